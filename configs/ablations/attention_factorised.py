# Attention over space, then over time, instead of both at once.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(attention='factorised'))
