# Every Transformer block begins with a depthwise convolution over three frames.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(temporal_kernel=3))
