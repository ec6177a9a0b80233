# The CNN branch sees the features of the frames before and after the target too.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(num_neighbours=2))
