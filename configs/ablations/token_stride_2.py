# Tokens of 2x2 pixels instead of 4x4: four times as many.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(token_stride=2))
