# The tiny model on LSP-Extended: photographs of athletes, each made a clip by a smooth random
# camera motion. Get and convert the data as docs/data.md says, and set data_root.
_base_ = './star_pose_tiny_64x48_posetrack.py'

codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)
scale = 4
num_frames = 5

dataset_type = 'CocoStillClipDataset'
data_root = 'data/lspe/'

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='PseudoClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=scale),
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
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='lspe_train.json',
        data_prefix=dict(img=''),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='lspe_val.json',
        data_prefix=dict(img=''),
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# Ground truth from the samples: the label file is not one of PoseTrack's.
val_evaluator = dict(_delete_=True, type='PoseTrackMetric')
test_evaluator = val_evaluator
