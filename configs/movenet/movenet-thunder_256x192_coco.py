# MoveNet Thunder, as Lightning 1.75 times as wide: see there.
_base_ = './movenet-lightning_256x192_coco.py'

model = dict(backbone=dict(arch='thunder'))
