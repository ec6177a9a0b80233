_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(handoff='image'))
