# PoseTrack18's 17 joints with Thunder, as with Lightning: see there.
_base_ = './movenet-lightning_64x48_posetrack.py'

model = dict(
    head=dict(
        pose_net=dict(
            backbone=dict(arch='thunder'),
            init_cfg=dict(checkpoint='star_pose://movenet-thunder.pth'))))
