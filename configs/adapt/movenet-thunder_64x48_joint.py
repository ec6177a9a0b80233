# Front end and Thunder learn together, as with Lightning: see there.
_base_ = './movenet-lightning_64x48_joint.py'

model = dict(
    head=dict(
        pose_net=dict(
            backbone=dict(arch='thunder'),
            init_cfg=dict(checkpoint='star_pose://movenet-thunder.pth'))))
