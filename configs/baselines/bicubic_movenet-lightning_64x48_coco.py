# MoveNet Lightning, as published, behind bicubic upsampling: what adaptation must gain over.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(
    backbone=dict(
        _delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre', frozen=True),
    neck=None,
    head=dict(in_channels=3, sr_decoder=None, distillation=None))
