# STAR-Pose on PoseTrack18: clips of 5 frames of 64x48 (HxW), HRNet-W32 at 256x192, UDP, which starts
# from MMPose's weights for COCO. Without a network: download the file once, --cfg-options pretrained=PATH.
# The layout of the model is a reconstruction from the abstract of arXiv 2506.16061.
custom_imports = dict(imports=['star_pose'], allow_failed_imports=False)
default_scope = 'mmpose'

# The one home of the sizes, (w, h): what the pose network sees, and its heatmaps.
codec = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
scale = 4  # the clip's frames are this many times smaller: 48x64 (w x h)
num_frames = 5
num_keypoints = 17
# MMPose's td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192, 76.2 AP on COCO; None: from random weights.
pretrained = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914.pth')

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='STARPoseNet', embed_channels=64, stem_channels=16, depth=3, num_cnn_blocks=3,
        tokens='stem', num_neighbours=2, global_skip=False, target='centre'),
    # The norm makes the fused map what a stem hands on.
    neck=dict(
        type='AdaptiveFusionNeck', in_channels=64, num_branches=2,
        norm_cfg=dict(type='GN', num_groups=8)),
    head=dict(
        type='STARPoseHead',
        # The fused map is added to what HRNet's stem sees in the bicubic frame: the model starts as the
        # bicubic baseline, and the trained network loses nothing. docs/findings.md compares the hand-offs.
        handoff='residual',
        in_channels=64,
        scale=scale,
        target='centre',
        pose_net=dict(
            type='TopdownPoseEstimator',
            # Joints go by name: PoseTrack18 has the bottom and the top of the head where COCO has the
            # eyes. Those two start anew, the other 15 as they were.
            init_cfg=dict(
                type='PretrainedPoseNet',
                checkpoint=pretrained,
                from_joints='configs/_base_/datasets/coco.py',
                to_joints='configs/_base_/datasets/posetrack18.py'),
            backbone=dict(
                type='HRNet',
                in_channels=3,
                # For a start without the checkpoint: HRNet's own rule, a deviation of 0.001, is meant
                # for one from ImageNet.
                init_cfg=[
                    dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu'),
                    dict(type='Constant', layer='BatchNorm2d', val=1)],
                extra=dict(
                    stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK',
                                num_blocks=(4, ), num_channels=(64, )),
                    stage2=dict(num_modules=1, num_branches=2, block='BASIC',
                                num_blocks=(4, 4), num_channels=(32, 64)),
                    stage3=dict(num_modules=4, num_branches=3, block='BASIC',
                                num_blocks=(4, 4, 4), num_channels=(32, 64, 128)),
                    stage4=dict(num_modules=3, num_branches=4, block='BASIC',
                                num_blocks=(4, 4, 4, 4), num_channels=(32, 64, 128, 256)))),
            head=dict(
                type='HeatmapHead',
                in_channels=32,
                out_channels=num_keypoints,
                deconv_out_channels=None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=codec)),
        sr_decoder=dict(
            type='PixelShuffleSRDecoder', in_channels=64, mid_channels=64, scale=scale),
        # A heatmap's mean squared error is of the order of 1e-3, the frame's of 1e-1, a joint map's
        # divergence about 4: these weights let all pull alike at the start.
        sr_loss=dict(
            type='PoseAwareSRLoss',
            weights=dict(pixel=0.005, structure=0.005)),
        aux_head=dict(
            type='JointMapHead', in_channels=64, num_keypoints=num_keypoints, loss_weight=3e-4)),
    # shift_heatmap: UDP's flip is exact without the shift.
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))

dataset_type = 'PoseTrackClipDataset'
data_mode = 'topdown'  # MMPose's inferencer asks for it
data_root = 'data/posetrack18/'

train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='ClipAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=scale),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateLRClip', scale=scale),
    dict(type='PackClipInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/posetrack18_train.json',
        data_prefix=dict(img=''),
        # An unreadable frame ends no long training: it is counted, and too many of them still do.
        on_error='skip',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/posetrack18_val.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# poseval's AP; ground truth of the files, which carry what samples do not: ignore regions.
val_evaluator = dict(
    type='PoseTrackMetric', ann_file=data_root + 'annotations/posetrack18_val.json')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# As MMPose trains HRNet-W32 on PoseTrack18 from COCO (5e-4 for 512 samples a step, a tenth after 10 and
# 15 of 20 epochs), for 8 processes of 32 clips. On fewer or smaller ones the rate is scaled down.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2.5e-4, weight_decay=1e-2))
auto_scale_lr = dict(base_batch_size=256, enable=True)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=20, milestones=[10, 15], gamma=0.1, by_epoch=True),
]

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=3, save_best='posetrack/AP',
        rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    checkpoint_fit=dict(type='CheckpointFitHook'),
    visualization=dict(type='ClipVisualizationHook', enable=False))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='SkipSummaryHook'),
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
