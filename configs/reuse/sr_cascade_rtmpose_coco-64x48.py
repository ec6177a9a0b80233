# The cascade wrapper with another pose model: SRResNet of MMagic x4, then RTMPose-s as it stands.
custom_imports = dict(imports=['star_pose'], allow_failed_imports=False)
default_scope = 'mmpose'

codec = dict(
    type='SimCCLabel', input_size=(192, 256), sigma=(4.9, 5.66), simcc_split_ratio=2.0,
    normalize=False, use_dark=False)
scale = 4

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.MSRResNet', in_channels=3, out_channels=3, mid_channels=64, num_blocks=16,
            upscale_factor=scale),
        scale=scale),
    head=dict(
        type='STARPoseHead',
        handoff='image',
        in_channels=3,
        scale=scale,
        # A published RTMPose-s loads whole: init_cfg=dict(type='PretrainedPoseNet', checkpoint=PATH).
        pose_net=dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='CSPNeXt',
                arch='P5',
                expand_ratio=0.5,
                deepen_factor=0.33,
                widen_factor=0.5,
                out_indices=(4, ),
                channel_attention=True,
                norm_cfg=dict(type='BN'),
                act_cfg=dict(type='SiLU')),
            head=dict(
                type='RTMCCHead',
                in_channels=512,
                out_channels=17,
                input_size=codec['input_size'],
                in_featuremap_size=(6, 8),
                simcc_split_ratio=codec['simcc_split_ratio'],
                final_layer_kernel_size=7,
                gau_cfg=dict(
                    hidden_dims=256, s=128, expansion_factor=2, dropout_rate=0., drop_path=0.,
                    act_fn='SiLU', use_rel_bias=False, pos_enc=False),
                loss=dict(
                    type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
                decoder=codec))),
    test_cfg=dict(flip_test=True))

dataset_type = 'CocoDataset'
data_mode = 'topdown'
data_root = 'data/coco/'

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=1),  # a still is a clip of one frame
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=scale, keep_hr=False),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=1),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=scale, keep_hr=False),
    dict(type='PackClipInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
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
    batch_size=64,
    num_workers=4,
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

train_cfg = dict(by_epoch=True, max_epochs=210, val_interval=10)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=256)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=10, save_best='coco/AP', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'))
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
log_level = 'INFO'
load_from = None
resume = False
