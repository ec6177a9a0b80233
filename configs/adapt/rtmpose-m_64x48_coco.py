# The front end in front of MMPose's own RTMPose-m, frozen, with its published weights of COCO (SimCC at
# 256x192). Without a network give the path of the downloaded file:
# --cfg-options model.head.pose_net.init_cfg.checkpoint=PATH
_base_ = './movenet-lightning_64x48_coco.py'

codec = dict(
    _delete_=True, type='SimCCLabel', input_size=(192, 256), sigma=(4.9, 5.66),
    simcc_split_ratio=2.0, normalize=False, use_dark=False)

model = dict(
    head=dict(
        pose_net=dict(
            _delete_=True,
            type='TopdownPoseEstimator',
            backbone=dict(
                type='CSPNeXt',
                arch='P5',
                expand_ratio=0.5,
                deepen_factor=0.67,
                widen_factor=0.75,
                out_indices=(4, ),
                channel_attention=True,
                norm_cfg=dict(type='BN'),
                act_cfg=dict(type='SiLU')),
            head=dict(
                type='RTMCCHead',
                in_channels=768,
                out_channels=17,
                input_size=(192, 256),
                in_featuremap_size=(6, 8),
                simcc_split_ratio=2.0,
                final_layer_kernel_size=7,
                gau_cfg=dict(
                    hidden_dims=256, s=128, expansion_factor=2, dropout_rate=0., drop_path=0.,
                    act_fn='SiLU', use_rel_bias=False, pos_enc=False),
                loss=dict(
                    type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
                decoder=dict(
                    type='SimCCLabel', input_size=(192, 256), sigma=(4.9, 5.66),
                    simcc_split_ratio=2.0, normalize=False, use_dark=False)),
            init_cfg=dict(
                type='PretrainedPoseNet',
                checkpoint='https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-coco_pt-aic-coco_420e-256x192-d8dd5ca4_20230127.pth')),
        # One early level, where textures are, and what the head reads.
        distillation=dict(
            levels=['backbone.stage1', 'backbone.stage4'], output='simcc', output_weight=1.0,
            beta=10.0)),
    test_cfg=dict(_delete_=True, flip_test=True))
