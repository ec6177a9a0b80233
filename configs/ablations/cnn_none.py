# The CNN branch without its residual blocks: it hands on what two convolutions see.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

model = dict(backbone=dict(num_cnn_blocks=0))
