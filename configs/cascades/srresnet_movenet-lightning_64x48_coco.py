# Cascade: SRResNet of MMagic x4, then the frozen MoveNet Lightning; trained first, by pixels, as EDSR is.
_base_ = './edsr_movenet-lightning_64x48_coco.py'

model = dict(backbone=dict(sr=dict(type='mmagic.MSRResNet')))
