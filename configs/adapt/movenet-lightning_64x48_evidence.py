# Evidence fusion on your own videos: the adapted Lightning sees five frames around each of five, and
# their five sets of heatmaps, brought to the middle one by motion, become its own. Only the weights of
# the frames are trained here, without labels. Take the adapted model along: --cfg-options load_from=PATH
_base_ = './movenet-lightning_64x48_coco.py'

codec = dict(
    type='CellCentreHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True,
    blur_kernel_size=3, centre_prior=32)
scale = 4
window = 5
num_evidence = 5
num_frames = 9  # window + num_evidence - 1

model = dict(
    data_preprocessor=dict(window=window),
    head=dict(evidence_fusion=dict(type='EvidenceFusion', num_frames=num_evidence)))

dataset_type = 'VideoClipDataset'
data_root = 'data/videos/'

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='ClipAffine', input_size=codec['input_size']),
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
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=scale),
    dict(type='PackClipInputs'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img=''),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='PCKAccuracy', thr=0.05, norm_item='bbox')
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(lr=5e-2, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys=dict(
        backbone=dict(lr_mult=0.0), neck=dict(lr_mult=0.0), sr_decoder=dict(lr_mult=0.0))))
