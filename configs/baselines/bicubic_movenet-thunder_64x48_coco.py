# MoveNet Thunder, as published, behind bicubic upsampling: what adaptation must gain over.
_base_ = './bicubic_movenet-lightning_64x48_coco.py'

model = dict(
    head=dict(
        pose_net=dict(
            backbone=dict(arch='thunder'),
            init_cfg=dict(checkpoint='star_pose://movenet-thunder.pth'))))
