# Without the Transformer: the CNN branch alone.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(backbone=dict(depth=0), neck=dict(num_branches=1))
