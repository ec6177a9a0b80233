# The front end in front of MMPose's own HRNet-W32, frozen, with its published weights of COCO (MSRA
# heatmaps at 256x192). Without a network give the path of the downloaded file:
# --cfg-options model.head.pose_net.init_cfg.checkpoint=PATH
_base_ = './movenet-lightning_64x48_coco.py'

codec = dict(
    _delete_=True, type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)

model = dict(
    head=dict(
        pose_net=dict(
            _delete_=True,
            type='TopdownPoseEstimator',
            backbone=dict(
                type='HRNet',
                in_channels=3,
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
                out_channels=17,
                deconv_out_channels=None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=dict(
                    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)),
            init_cfg=dict(
                type='PretrainedPoseNet',
                checkpoint='https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth')),
        # 'backbone' is what the head reads: 32 channels of stride 4.
        distillation=dict(levels=['backbone'], output='squared', output_weight=1.0)),
    test_cfg=dict(shift_heatmap=True))
