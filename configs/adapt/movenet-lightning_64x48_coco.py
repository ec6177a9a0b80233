# Adapt without labels: the front end learns in front of a frozen MoveNet Lightning. A low-resolution
# clip shall look to the network as the high-resolution crop does; of the data set only the boxes are
# read in training. Any photographs or video with boxes will do: see docs/adapt.md.
custom_imports = dict(imports=['star_pose'], allow_failed_imports=False)
default_scope = 'mmpose'

# Sizes are w x h. The codec is the pose network's own.
codec = dict(
    type='CellCentreHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True,
    blur_kernel_size=3, centre_prior=32)
scale = 4
num_frames = 5

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='STARPoseNet', embed_channels=32, target='centre'),
    neck=dict(type='AdaptiveFusionNeck', in_channels=32, num_branches=2),
    head=dict(
        type='STARPoseHead',
        handoff='image',
        in_channels=32,
        scale=scale,
        target='centre',
        # False: the network learns too, taught by its own untouched weights.
        freeze_pose_net=True,
        pose_net=dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(  # x * 2 / 255 - 1: the head brings frames to it
                type='PoseDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True),
            backbone=dict(type='MoveNet', arch='lightning'),
            head=dict(type='MoveNetHead', in_channels=24, out_channels=17, decoder=codec),
            init_cfg=dict(
                type='PretrainedPoseNet', checkpoint='star_pose://movenet-lightning.pth')),
        sr_decoder=dict(type='PixelShuffleSRDecoder', in_channels=32, scale=scale),
        distillation=dict(
            type='FrozenNetworkDistillation',
            levels=['backbone.smooth.2'],  # the pyramid's map of stride 4, which the head reads
            output='sigmoid')),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))

dataset_type = 'CocoDataset'
data_mode = 'topdown'  # MMPose's inferencer asks for it
data_root = 'data/coco/'

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
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# In float32: a CPU without AVX-512 is far slower in bfloat16. Elsewhere type='AutocastOptimWrapper' pays.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=20, start_factor=0.05, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=16)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='ClipVisualizationHook', enable=False))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='SkipSummaryHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FiniteLossHook'),
]
visualizer = dict(
    type='ClipVisualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
log_level = 'INFO'
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
load_from = None
resume = False
