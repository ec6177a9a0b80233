# Baseline without any super-resolution: ResNet-50 reads the 64x48 frame itself, and SimCC's bins
# give sub-pixel precision. Heatmaps on so small a map lose 18 AP on COCO (HRNet-W32, published).
_base_ = '../star_pose_64x48_posetrack.py'

codec = dict(
    type='SimCCLabel', input_size=(192, 256), sigma=(4.9, 5.66), simcc_split_ratio=2.0,
    normalize=False)
num_frames = 1
num_keypoints = 17

model = dict(
    # scale=1: the target frame is handed on as it is.
    backbone=dict(_delete_=True, type='SRCascadeBackbone', sr=None, scale=1, target='centre'),
    neck=None,
    head=dict(
        handoff='image',
        in_channels=3,
        scale=1,
        sr_decoder=None,
        sr_loss=None,
        aux_head=None,
        pose_net=dict(
            _delete_=True,
            type='TopdownPoseEstimator',
            # HRNet's branches need sides that are multiples of 32, which 48 is not. With the last
            # stride taken back, ResNet's map is 4x3 (HxW); two deconvolutions make it 16x12.
            backbone=dict(type='ResNet', depth=50, strides=(1, 2, 2, 1)),
            head=dict(
                type='SimCCHead',
                in_channels=2048,
                out_channels=num_keypoints,
                input_size=codec['input_size'],
                in_featuremap_size=(3, 4),
                simcc_split_ratio=codec['simcc_split_ratio'],
                deconv_out_channels=(256, 256),
                deconv_kernel_sizes=(4, 4),
                loss=dict(type='KLDiscretLoss', use_target_weight=True),
                decoder=codec))),
    test_cfg=dict(_delete_=True, flip_test=True))

# The crop's affine is not UDP's: that one costs SimCC up to 1.2 px.
train_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='GenerateLRClip', scale=4, keep_hr=False),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='SampleClipFrames', num_frames=num_frames, target='centre'),
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=codec['input_size']),
    dict(type='GenerateLRClip', scale=4, keep_hr=False),
    dict(type='PackClipInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
