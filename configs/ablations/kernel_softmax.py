# Quadratic in the tokens: the oracle of what linear attention gives up.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(kernel='softmax'))
