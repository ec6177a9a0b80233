# What enters behind the pose network's stem shall also be what that stem sees in the
# high-resolution frame: for a pose network that is trained already (--load-from).
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(stem_weight=1.0))
