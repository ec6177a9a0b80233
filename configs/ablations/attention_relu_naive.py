# Attention with the plain ReLU kernel and the plain normaliser, not LeakyReLU with the absolute one.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(backbone=dict(kernel='relu', normaliser='naive'))
