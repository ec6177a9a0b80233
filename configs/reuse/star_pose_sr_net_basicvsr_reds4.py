# Our front end and decoder as a pure video super-resolver, trained by MMagic's own BasicVSR model,
# data preprocessor, data set and metrics. Run it with MMagic: mim train mmagic CONFIG
custom_imports = dict(imports=['star_pose', 'mmagic.models'], allow_failed_imports=False)
default_scope = 'mmagic'
scale = 4
work_dir = './work_dirs/star_pose_sr_net_basicvsr_reds4'

model = dict(
    type='BasicVSR',
    generator=dict(
        type='mmpose.STARPoseSRNet',
        backbone=dict(type='STARPoseNet', embed_channels=32),
        neck=dict(type='AdaptiveFusionNeck', in_channels=32, num_branches=2),
        sr_decoder=dict(type='PixelShuffleSRDecoder', in_channels=32, scale=scale)),
    pixel_loss=dict(type='CharbonnierLoss', loss_weight=1.0, reduction='mean'),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))

train_pipeline = [
    dict(type='GenerateSegmentIndices', interval_list=[1]),
    dict(type='LoadImageFromFile', key='img', channel_order='rgb'),
    dict(type='LoadImageFromFile', key='gt', channel_order='rgb'),
    dict(type='SetValues', dictionary=dict(scale=scale)),
    dict(type='PairedRandomCrop', gt_patch_size=256),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
val_pipeline = [
    dict(type='GenerateSegmentIndices', interval_list=[1]),
    dict(type='LoadImageFromFile', key='img', channel_order='rgb'),
    dict(type='LoadImageFromFile', key='gt', channel_order='rgb'),
    dict(type='PackInputs'),
]

data_root = 'data/REDS'
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BasicFramesDataset',
        metainfo=dict(dataset_type='reds_reds4', task_name='vsr'),
        data_root=data_root,
        data_prefix=dict(img='train_sharp_bicubic/X4', gt='train_sharp'),
        ann_file='meta_info_reds4_train.txt',
        depth=1,
        num_input_frames=5,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BasicFramesDataset',
        metainfo=dict(dataset_type='reds_reds4', task_name='vsr'),
        data_root=data_root,
        data_prefix=dict(img='train_sharp_bicubic/X4', gt='train_sharp'),
        ann_file='meta_info_reds4_val.txt',
        depth=1,
        num_input_frames=100,
        fixed_seq_len=100,
        pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Evaluator', metrics=[dict(type='PSNR'), dict(type='SSIM')])
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=100_000, val_interval=5000)
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')

optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.99)))
param_scheduler = dict(
    type='CosineRestartLR', by_epoch=False, periods=[100_000], restart_weights=[1], eta_min=1e-7)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=5000, by_epoch=False),
    logger=dict(type='LoggerHook', interval=100))
log_processor = dict(type='LogProcessor', window_size=100, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
