# The flagship made small enough for two CPU cores: HRNet of width 16 and a short front end, trained
# in bfloat16. Its heatmaps are distributions, because in few steps those learn far more than squared
# errors or SimCC do (docs/findings.md).
_base_ = './star_pose_64x48_posetrack.py'

# Sizes are w x h.
codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)
scale = 4
num_frames = 5
num_keypoints = 17

model = dict(
    backbone=dict(num_cnn_blocks=2),
    head=dict(
        # From random weights there is no stem to be kept: the fused map takes its place.
        handoff='feature',
        pose_net=dict(
            init_cfg=None,
            backbone=dict(
                extra=dict(
                    stage1=dict(num_blocks=(1, )),
                    stage2=dict(num_blocks=(2, 2), num_channels=(16, 32)),
                    stage3=dict(num_modules=1, num_blocks=(2, 2, 2), num_channels=(16, 32, 64)),
                    stage4=dict(num_modules=1, num_blocks=(2, 2, 2, 2),
                                num_channels=(16, 32, 64, 128)))),
            head=dict(
                _delete_=True,
                type='SoftmaxHeatmapHead',
                in_channels=16,
                out_channels=num_keypoints,
                deconv_out_channels=None,
                decoder=codec)),
        # A heatmap's divergence is about 4 at the start, as a joint map's is; the frame's losses are
        # below 1.
        sr_loss=dict(weights=dict(pixel=1.0, structure=1.0)),
        aux_head=dict(loss_weight=1.0)),
    test_cfg=dict(shift_heatmap=True))

# MSRAHeatmap's plain affine, not UDP's: the SimCC baseline sees the same crops. Half bodies and wide
# rotations pay in long trainings only; this one is meant to be short.
train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=40),
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
train_dataloader = dict(num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    type='AutocastOptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-2))
auto_scale_lr = dict(base_batch_size=32, enable=False)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='SkipSummaryHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FiniteLossHook'),
]
