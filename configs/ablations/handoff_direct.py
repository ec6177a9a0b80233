# No pose network: a heatmap head decodes the fused map itself. The smallest and fastest model.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)

model = dict(
    head=dict(
        pose_net=None,
        handoff='direct',
        head=dict(
            type='SoftmaxHeatmapHead',
            in_channels=64,
            out_channels=17,
            deconv_out_channels=None,
            decoder=codec),
        # It would say what the head's own loss says.
        aux_head=None))
