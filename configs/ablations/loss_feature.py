# The default terms, and what the first stage of a frozen pose network sees. That should be a
# trained one, such as the tiny bicubic baseline's: --cfg-options
# model.head.sr_loss.feature.checkpoint=PATH
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(
    head=dict(
        sr_loss=dict(
            feature=dict(
                type='FrozenPoseFeatures',
                config='{{ fileDirname }}/../baselines/bicubic_tiny_64x48_posetrack.py',
                checkpoint=None,
                layers=('layer1', )),
            weights=dict(feature=1.0))))
