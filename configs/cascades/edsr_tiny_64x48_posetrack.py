# Cascade: EDSR-baseline of MMagic x4, then the tiny model's pose network. The super-resolution
# network is trained first (benchmarks/train_sr.py), then frozen: --cfg-options
# model.backbone.checkpoint=PATH. It sees and super-resolves the target frame alone.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.EDSRNet', in_channels=3, out_channels=3, mid_channels=64,
            num_blocks=16, upscale_factor=4),
        scale=4,
        target='centre',
        frames='target',
        frozen=True,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, sr_loss=None, aux_head=None))
