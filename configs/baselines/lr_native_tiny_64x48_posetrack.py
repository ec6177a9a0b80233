# Baseline without any super-resolution, of the tiny model's size: ResNet-18 reads the 64x48 frame
# itself, and SimCC's bins give sub-pixel precision. See lr_native_res50_simcc_64x48_posetrack.py.
_base_ = './lr_native_res50_simcc_64x48_posetrack.py'

model = dict(
    head=dict(
        pose_net=dict(
            backbone=dict(depth=18),
            head=dict(in_channels=512, deconv_out_channels=(128, 128)))))

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-2))
auto_scale_lr = dict(base_batch_size=32, enable=False)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='SkipSummaryHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FiniteLossHook'),
]
