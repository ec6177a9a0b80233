_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(kernel='leaky_relu', normaliser='inline'))
