# MoveNet Lightning behind bicubic upsampling, learning itself, without labels: what a front end must
# gain over when the network may learn too.
_base_ = '../adapt/movenet-lightning_64x48_joint.py'

model = dict(
    backbone=dict(
        _delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre', frozen=True),
    neck=None,
    head=dict(in_channels=3, sr_decoder=None, distillation=dict(pixel_weight=0.0)))
