# Without the pixels: distillation alone.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(head=dict(distillation=dict(pixel_weight=0.0)))
