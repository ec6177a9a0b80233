# The front end in front of a frozen MoveNet Thunder, as in front of Lightning: see there. A front end
# serves the network that it was adapted to.
_base_ = './movenet-lightning_64x48_coco.py'

model = dict(
    head=dict(
        pose_net=dict(
            backbone=dict(arch='thunder'),
            init_cfg=dict(checkpoint='star_pose://movenet-thunder.pth'))))
