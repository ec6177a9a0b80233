# Pose-aware pixels and gradients: the default.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(sr_loss=dict(structure='gradient')))
