# The plain sum of the branches, without learned weights.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(neck=dict(weighted=False))
