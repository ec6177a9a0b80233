# A plain residual CNN with as many parameters as both branches together (247 k of 244 k).
_base_ = './attention_none.py'

model = dict(backbone=dict(num_cnn_blocks=12), neck=dict(weighted=False))
