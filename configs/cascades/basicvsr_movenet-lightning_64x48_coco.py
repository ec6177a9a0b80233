# Cascade: BasicVSR of MMagic x4, then the frozen MoveNet Lightning. BasicVSR is trained first, by
# pixels (benchmarks/train_sr.py): --cfg-options model.backbone.checkpoint=PATH. It super-resolves all
# frames of the clip, and the target is taken. Its 30 blocks, as published, need days of a CPU;
# model.backbone.sr.num_blocks=5 trains at about a second a clip. The network of its flow starts from
# random weights too, or from MMagic's: spynet_pretrained=PATH in sr.
_base_ = '../baselines/bicubic_movenet-lightning_64x48_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.BasicVSRNet', mid_channels=64, num_blocks=30),
        scale=4,
        target='centre',
        frames='all',
        frozen=True,
        checkpoint=None))
