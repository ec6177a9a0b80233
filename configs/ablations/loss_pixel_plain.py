# Every pixel counts alike.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(sr_loss=dict(evidence_gain=0.0, structure=None)))
