"""Small models and hand-made batches for the tests of the models."""

import logging

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample

NUM_KEYPOINTS = 5
SKELETON = [(0, 1), (1, 2), (2, 3), (3, 4)]
PREPROCESSOR = {
    'type': 'PoseClipDataPreprocessor',
    'mean': [123.675, 116.28, 103.53],
    'std': [58.395, 57.12, 57.375],
    'bgr_to_rgb': True,
}
# A quarter of the flagship's sides: LR frames of 24x32 (w x h).
SIZE = (96, 128)
HEATMAP = {'type': 'UDPHeatmap', 'input_size': SIZE, 'heatmap_size': (24, 32), 'sigma': 1.5}
SIMCC = {
    'type': 'SimCCLabel',
    'input_size': SIZE,
    'sigma': (4.0, 4.0),
    'simcc_split_ratio': 2.0,
    'normalize': False,
}
REGRESSION = {'type': 'RegressionLabel', 'input_size': SIZE}


def hrnet(width: int = 8) -> dict:
    """An HRNet with MMPose's own stem and one small module a stage."""
    stage = {'num_modules': 1, 'block': 'BASIC'}
    widths = [width * 2**i for i in range(4)]
    return {
        'type': 'HRNet',
        'in_channels': 3,
        'extra': {
            'stage1': {
                'num_modules': 1,
                'num_branches': 1,
                'block': 'BOTTLENECK',
                'num_blocks': (1,),
                'num_channels': (16,),
            },
            **{
                f'stage{i}': {
                    **stage,
                    'num_branches': i,
                    'num_blocks': (1,) * i,
                    'num_channels': tuple(widths[:i]),
                }
                for i in (2, 3, 4)
            },
        },
    }


def resnet(**changes) -> dict:
    """A narrow ResNet-18 with MMPose's own 64-channel stem."""
    return {'type': 'ResNet', 'depth': 18, 'base_channels': 16, **changes}


def heatmap_head(in_channels: int = 8, **changes) -> dict:
    return {
        'type': 'HeatmapHead',
        'in_channels': in_channels,
        'out_channels': NUM_KEYPOINTS,
        'deconv_out_channels': None,
        'loss': {'type': 'KeypointMSELoss', 'use_target_weight': True},
        'decoder': HEATMAP,
        **changes,
    }


def simcc_head(in_channels: int = 8, **changes) -> dict:
    return {
        'type': 'SimCCHead',
        'in_channels': in_channels,
        'out_channels': NUM_KEYPOINTS,
        'input_size': SIZE,
        'in_featuremap_size': (24, 32),
        'simcc_split_ratio': 2.0,
        'deconv_out_channels': None,
        'loss': {'type': 'KLDiscretLoss', 'use_target_weight': True},
        'decoder': SIMCC,
        **changes,
    }


def rtmcc_head(in_channels: int = 8) -> dict:
    return {
        'type': 'RTMCCHead',
        'in_channels': in_channels,
        'out_channels': NUM_KEYPOINTS,
        'input_size': SIZE,
        'in_featuremap_size': (24, 32),
        'simcc_split_ratio': 2.0,
        'final_layer_kernel_size': 3,
        'gau_cfg': {
            'hidden_dims': 32,
            's': 16,
            'expansion_factor': 2,
            'dropout_rate': 0.0,
            'drop_path': 0.0,
            'act_fn': 'SiLU',
            'use_rel_bias': False,
            'pos_enc': False,
        },
        'loss': {'type': 'KLDiscretLoss', 'use_target_weight': True},
        'decoder': SIMCC,
    }


def regression_head(in_channels: int = 128) -> dict:
    return {
        'type': 'RegressionHead',
        'in_channels': in_channels,
        'num_joints': NUM_KEYPOINTS,
        'loss': {'type': 'SmoothL1Loss', 'use_target_weight': True},
        'decoder': REGRESSION,
    }


def estimator(backbone: dict | None = None, head: dict | None = None, **changes) -> dict:
    """An ordinary MMPose estimator, to be nested or to stand alone."""
    return {
        'type': 'TopdownPoseEstimator',
        'backbone': backbone or hrnet(),
        'head': head or heatmap_head(),
        **changes,
    }


def star_pose(handoff: str = 'residual', test_cfg: dict | None = None, **head) -> dict:
    """A small STAR-Pose whose head arguments may be changed."""
    return {
        'type': 'TopdownPoseEstimator',
        'data_preprocessor': PREPROCESSOR,
        'backbone': {
            'type': 'STARPoseNet',
            'embed_channels': 16,
            'depth': 1,
            'num_cnn_blocks': 1,
            'num_heads': 2,
        },
        'neck': {'type': 'AdaptiveFusionNeck', 'in_channels': 16},
        'head': {
            'type': 'STARPoseHead',
            'handoff': handoff,
            'in_channels': 16,
            'pose_net': estimator(),
            'sr_decoder': {'type': 'PixelShuffleSRDecoder', 'mid_channels': 8},
            'sr_loss': {'type': 'PoseAwareSRLoss'},
            **head,
        },
        'test_cfg': test_cfg or {},
    }


def cascade(**head) -> dict:
    """The bicubic baseline of the same size."""
    return {
        'type': 'TopdownPoseEstimator',
        'data_preprocessor': PREPROCESSOR,
        'backbone': {'type': 'SRCascadeBackbone', 'sr': None},
        'head': {
            'type': 'STARPoseHead',
            'handoff': 'image',
            'in_channels': 3,
            'pose_net': estimator(),
            **head,
        },
    }


def build(config: dict, seed: int = 0) -> torch.nn.Module:
    """Build and initialise in MMPose's scope, reproducibly."""
    # init_weights() logs a paragraph for every parameter.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(config)
        if hasattr(model, 'init_weights'):
            model.init_weights()
    return model


def codec_of(config: dict) -> dict:
    """The codec in a head's ``decoder``, however deep the head is nested."""
    head = config['head']
    while 'pose_net' in head or head.get('head') is not None:
        head = head['pose_net']['head'] if head.get('pose_net') else head['head']
    return head['decoder']


def batch(
    codec: dict = HEATMAP,
    num: int = 2,
    num_frames: int = 3,
    with_hr: tuple[bool, ...] | None = None,
    scale: int = 4,
    target_idx: int | None = None,
    seed: int = 0,
) -> dict:
    """A collated batch as the pipeline packs it; ``num_frames=0`` gives images (3, h, w)."""
    rng = np.random.default_rng(seed)
    width, height = codec['input_size']
    lr = (height // scale, width // scale)
    shape = (3, *lr) if num_frames == 0 else (num_frames, 3, *lr)
    with_hr = with_hr or (True,) * num
    encoder = KEYPOINT_CODECS.build(codec)
    inputs, samples = [], []
    for index in range(num):
        inputs.append(torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)))
        keypoints = rng.uniform(8, min(width, height) - 8, (1, NUM_KEYPOINTS, 2)).astype(np.float32)
        visible = np.ones((1, NUM_KEYPOINTS), np.float32)
        encoded = encoder.encode(keypoints, visible)
        sample = PoseDataSample(
            metainfo={
                'input_size': (width, height),
                'input_center': np.array([width / 2, height / 2], np.float32),
                'input_scale': np.array([width, height], np.float32),
                'flip_indices': [0, 2, 1, 4, 3],
                'skeleton_links': SKELETON,
                'img_path': f'{index}.jpg',
                **_clip_meta(num_frames, target_idx),
            }
        )
        sample.gt_instances = InstanceData(
            bboxes=np.array([[0, 0, width, height]], np.float32),
            bbox_scores=np.ones(1, np.float32),
            keypoints=keypoints,
            transformed_keypoints=keypoints,
            keypoints_visible=visible,
        )
        labels = {
            name: torch.from_numpy(np.asarray(encoded[name], np.float32))
            for name in (
                'keypoint_labels',
                'keypoint_x_labels',
                'keypoint_y_labels',
                'keypoint_weights',
            )
            if name in encoded
        }
        sample.gt_instance_labels = InstanceData(**labels)
        if 'heatmaps' in encoded:
            sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
        if with_hr[index]:
            image = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
            mask = np.ones((1, height, width), np.uint8)
            mask[..., : 8 * index] = 0
            sample.gt_sr = PixelData(img=torch.from_numpy(image), mask=torch.from_numpy(mask))
        samples.append(sample)
    return {'inputs': inputs, 'data_samples': samples}


def _clip_meta(num_frames: int, target_idx: int | None) -> dict:
    if num_frames == 0:
        return {}
    return {
        'target_idx': num_frames // 2 if target_idx is None else target_idx,
        'frame_paths': [f'{frame:06d}.jpg' for frame in range(num_frames)],
    }


def losses_of(model: torch.nn.Module, data: dict) -> dict:
    """The loss dictionary of a batch."""
    data = model.data_preprocessor(data, training=True)
    return model(**data, mode='loss')


def predict(model: torch.nn.Module, data: dict) -> list[PoseDataSample]:
    """The predictions of a batch, as the test loop makes them."""
    model.eval()
    with torch.no_grad():
        return model.test_step(data)


def train_step(model: torch.nn.Module, data: dict, optimiser: torch.optim.Optimizer) -> dict:
    """One optimiser step; returns the logged values."""
    model.train()
    optimiser.zero_grad()
    loss, logged = model.parse_losses(losses_of(model, data))
    loss.backward()
    optimiser.step()
    return logged
