# The CNN branch sees the target frame alone.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(num_neighbours=0))
