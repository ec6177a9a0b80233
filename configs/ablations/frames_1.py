# Clips of 1 frame instead of 5: what the neighbours in time add.
_base_ = '../adapt/movenet-lightning_64x48_coco.py'

codec = dict(
    type='CellCentreHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True,
    blur_kernel_size=3, centre_prior=32)
scale = 4
num_frames = 1

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='PseudoClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='ClipAffine', input_size=codec['input_size']),
    # Mostly as a camera of the street has it, one in three clean.
    dict(
        type='GenerateLRClip',
        scale=scale,
        downsample=['bicubic', 'bilinear', 'area'],
        before=[
            dict(type='ClipBlur', sigma=(0.2, 2.0), prob=0.4),
            dict(type='ClipMotionBlur', length=(2.0, 12.0), prob=0.2)],
        after=[
            dict(type='ClipLowLight', prob=0.1),
            dict(type='ClipNoise', sigma=(2.0, 14.0), prob=0.5),
            dict(type='ClipJPEG', quality=(30, 95), prob=0.1),
            dict(type='ClipH264', crf=(20, 38), prob=0.4)],
        prob=0.72),
    dict(type='PackClipInputs'),
]
# A still is evaluated as the clip of a camera that stands still.
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
