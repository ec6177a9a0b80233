# Pixels alone: super-resolution for the eye.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(head=dict(distillation=dict(levels=[], feature_weight=0.0, output_weight=0.0)))
