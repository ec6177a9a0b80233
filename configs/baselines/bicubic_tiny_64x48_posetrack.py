# The bicubic baseline of the tiny model: the first row of every ablation.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(
    backbone=dict(_delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre'),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, sr_loss=None, aux_head=None))
