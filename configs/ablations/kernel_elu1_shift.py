_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(kernel='elu1', normaliser='shift'))
