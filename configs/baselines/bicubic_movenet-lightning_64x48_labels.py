# MoveNet Lightning behind bicubic upsampling, taught by itself and by labels: what a front end must
# gain over when the network may learn all there is to learn.
_base_ = '../adapt/movenet-lightning_64x48_labels.py'

model = dict(
    backbone=dict(
        _delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre', frozen=True),
    neck=None,
    head=dict(in_channels=3, sr_decoder=None, distillation=dict(pixel_weight=0.0)))
