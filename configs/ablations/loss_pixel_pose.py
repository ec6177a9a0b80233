# Pixels on joints and limbs count more.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(sr_loss=dict(structure=None)))
