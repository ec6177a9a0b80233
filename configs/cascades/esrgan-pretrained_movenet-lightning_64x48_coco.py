# Cascade: ESRGAN x4 as published for UpscalerJS (trained on DIV2K), then the frozen MoveNet Lightning.
# Nothing is trained: tools/convert_esrgan.py makes the weights of the npm package
# @upscalerjs/esrgan-medium, --cfg-options model.backbone.checkpoint=PATH. For -slim: num_blocks=2,
# growth_channels=4. It sees and super-resolves the target frame alone.
_base_ = '../baselines/bicubic_movenet-lightning_64x48_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(type='ResidualDenseNet', num_blocks=10, growth_channels=64),
        scale=4,
        target='centre',
        frames='target',
        frozen=True,
        checkpoint=None))
