# MoveNet as published behind bicubic upsampling, with neck and head top learned in front of it, for AP
# by PoseTrack's rules. Thunder: --cfg-options model.head.pose_net.backbone.arch=thunder
# model.head.pose_net.init_cfg.checkpoint=star_pose://movenet-thunder.pth
_base_ = '../adapt/movenet-lightning_64x48_posetrack.py'

model = dict(
    data_preprocessor=dict(window=None),
    backbone=dict(
        _delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre', frozen=True),
    neck=None,
    head=dict(in_channels=3, sr_decoder=None, evidence_fusion=None))

num_frames = 1
train_pipeline = _base_.train_pipeline
train_pipeline[0].update(num_frames=num_frames)
val_pipeline = _base_.val_pipeline
val_pipeline[0].update(num_frames=num_frames)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
