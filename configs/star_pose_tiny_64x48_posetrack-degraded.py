# The tiny model trained on what cameras and encoders do to a person far away: blur, motion blur, low
# light, noise, JPEG and H.264, other colours, and frames that end beside the person.
_base_ = './star_pose_tiny_64x48_posetrack.py'

# Sizes are w x h.
codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)
scale = 4
num_frames = 5

before = [
    dict(type='ClipMotionBlur', length=(2.0, 10.0), prob=0.2),
    dict(type='ClipBlur', sigma=(0.2, 2.0), prob=0.5),
]
# As in a camera: less light, then the sensor's noise, then the encoder.
after = [
    dict(type='ClipLowLight', prob=0.2),
    dict(type='ClipNoise', sigma=(2.0, 12.0), prob=0.5),
    dict(type='ClipJPEG', quality=(30, 95), prob=0.2),
    dict(type='ClipH264', crf=(20, 36), prob=0.4),
]
train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='ClipPhotometricDistortion', prob=0.5),
    dict(type='RandomFrameBorder', prob=0.1),
    dict(type='GenerateTarget', encoder=codec),
    dict(
        type='GenerateLRClip',
        scale=scale,
        downsample=['bicubic', 'bilinear', 'area'],
        before=before,
        after=after),
    dict(type='PackClipInputs'),
]
# A seed: a sample looks the same in every validation.
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=scale, before=before, after=after, seed=0),
    dict(type='PackClipInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
