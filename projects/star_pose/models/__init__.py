"""The networks: front end, fusion, head, losses and cascades, in MMPose's registries."""

from .adaptive_fusion_neck import AdaptiveFusionNeck
from .frozen_pose_features import FrozenPoseFeatures
from .joint_map_head import JointMapHead
from .linear_attention_neck import LinearAttentionNeck
from .loss_weights import FixedLossWeights, ScheduledLossWeights, UncertaintyLossWeights
from .pose_aware_sr_loss import PoseAwareSRLoss
from .pose_clip_data_preprocessor import PoseClipDataPreprocessor
from .pose_handoff import DirectHandoff, FeatureHandoff, ImageHandoff, ResidualHandoff
from .softmax_heatmap_head import SoftmaxHeatmapHead
from .spatial_kl_loss import SpatialKLLoss
from .sr_cascade_backbone import SRCascadeBackbone
from .sr_decoder import PixelShuffleSRDecoder
from .star_pose_head import STARPoseHead
from .star_pose_net import STARPoseNet
from .star_pose_sr_net import STARPoseSRNet

__all__ = [
    'AdaptiveFusionNeck',
    'DirectHandoff',
    'FeatureHandoff',
    'FixedLossWeights',
    'FrozenPoseFeatures',
    'ImageHandoff',
    'JointMapHead',
    'LinearAttentionNeck',
    'PixelShuffleSRDecoder',
    'PoseAwareSRLoss',
    'PoseClipDataPreprocessor',
    'ResidualHandoff',
    'SRCascadeBackbone',
    'STARPoseHead',
    'STARPoseNet',
    'STARPoseSRNet',
    'ScheduledLossWeights',
    'SoftmaxHeatmapHead',
    'SpatialKLLoss',
    'UncertaintyLossWeights',
]
