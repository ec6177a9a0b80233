# Cascade: SRResNet of MMagic x4, then the frozen MoveNet Lightning. SRResNet is trained first, by
# pixels (benchmarks/train_sr.py): --cfg-options model.backbone.checkpoint=PATH. It sees and
# super-resolves the target frame alone.
_base_ = '../baselines/bicubic_movenet-lightning_64x48_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.MSRResNet', in_channels=3, out_channels=3, mid_channels=64,
            num_blocks=16, upscale_factor=4),
        scale=4,
        target='centre',
        frames='target',
        frozen=True,
        checkpoint=None))
