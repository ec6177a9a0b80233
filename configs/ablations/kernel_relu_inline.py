_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(backbone=dict(kernel='relu', normaliser='inline'))
