"""The networks: front end, fusion, head, losses and cascades, in MMPose's registries."""

from .backbones.sr_cascade_backbone import SRCascadeBackbone
from .backbones.star_pose_net import STARPoseNet
from .backbones.star_pose_sr_net import STARPoseSRNet
from .data_preprocessor import PoseClipDataPreprocessor
from .heads.joint_map_head import JointMapHead
from .heads.pose_handoff import DirectHandoff, FeatureHandoff, ImageHandoff, ResidualHandoff
from .heads.softmax_heatmap_head import SoftmaxHeatmapHead
from .heads.sr_decoder import PixelShuffleSRDecoder
from .heads.star_pose_head import STARPoseHead
from .losses.frozen_pose_features import FrozenPoseFeatures
from .losses.loss_weights import FixedLossWeights, ScheduledLossWeights, UncertaintyLossWeights
from .losses.pose_aware_sr_loss import PoseAwareSRLoss
from .losses.spatial_kl_loss import SpatialKLLoss
from .necks.adaptive_fusion_neck import AdaptiveFusionNeck
from .necks.linear_attention_neck import LinearAttentionNeck

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
