# The tiny model's pose network on the high-resolution crop itself: an upper bound for every system
# that sees 64x48, and the trained network that all of them can start from.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)
scale = 1  # the frame is handed on as it is
num_frames = 1

model = dict(
    backbone=dict(_delete_=True, type='SRCascadeBackbone', sr=None, scale=scale, target='centre'),
    neck=None,
    head=dict(handoff='image', in_channels=3, scale=scale, sr_decoder=None, sr_loss=None, aux_head=None))

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=scale, keep_hr=False),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=scale, keep_hr=False),
    dict(type='PackClipInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
