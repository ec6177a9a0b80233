# No super-resolution: the pose loss alone trains the front end.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(sr_decoder=None, sr_loss=None))
