# The CNN branch without its residual blocks: it hands on what one
# convolution sees in the target frame and its neighbours.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(num_cnn_blocks=0))
