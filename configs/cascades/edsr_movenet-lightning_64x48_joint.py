# Cascade of EDSR and MoveNet Lightning, both learning from the untouched network's view of the
# high-resolution crop, as front end and network do in configs/adapt. Start from an EDSR that was
# trained by pixels (benchmarks/train_sr.py): --cfg-options load_from=PATH
_base_ = '../adapt/movenet-lightning_64x48_joint.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.EDSRNet', in_channels=3, out_channels=3, mid_channels=64,
            num_blocks=16, upscale_factor=4),
        scale=4,
        target='centre',
        frames='target'),
    neck=None,
    head=dict(in_channels=3, sr_decoder=None))
