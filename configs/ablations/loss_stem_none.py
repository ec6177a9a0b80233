# The super-resolved frame alone supervises the front end, not what the pose network's stem sees.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(stem_weight=0.0))
