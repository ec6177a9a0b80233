# The tiny model at half the sides, clips of 32x24 (HxW) for a pose network at 128x96: a quarter of
# the work, for learning curves on a slow machine.
_base_ = '../configs/star_pose_tiny_64x48_posetrack.py'

codec = dict(
    type='SimCCLabel',
    input_size=(96, 128),
    sigma=(3.46, 4.0),
    simcc_split_ratio=2.0,
    normalize=False,
)
scale = 4
num_frames = 5

model = dict(
    head=dict(
        pose_net=dict(
            head=dict(input_size=codec['input_size'], in_featuremap_size=(24, 32), decoder=codec)
        ),
        # Evidence keeps its extent on the body.
        sr_loss=dict(sigma=3.0, limb_sigma=2.0),
    )
)

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=scale),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=scale),
    dict(type='PackClipInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
