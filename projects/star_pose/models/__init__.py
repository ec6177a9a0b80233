"""The networks: front end, fusion, head, losses and cascades, in MMPose's registries.

Letters of shapes, here and in every file below:

=========  ====================================================================================
``N T``    clips of a batch, frames of a clip
``C``      channels of a feature map; ``B`` branches that are fused
``h w``    rows and columns of the low-resolution (LR) frame, and of the maps of its size
``H W``    rows and columns of the high-resolution (HR) frame, ``scale`` times as many
``L d``    tokens of a frame, channels of an attention head
``K``      joints; keypoints are (N, K, 2), x first, in pixels of the HR frame
``c s S``  channels of the stem, pixels between tokens, frames that the CNN branch sees
=========  ====================================================================================

Sizes in arguments are (w, h). Frames are normalised RGB where nothing else is said.

Grids: the centre of HR pixel i is at i. LR pixel i, and cell i of the front end's maps, lie at
``scale * i + (scale - 1) / 2``. Cell i of an MSRA heatmap, a joint map and the stride-4 map of an
HRNet or ResNet lies at ``4 * i``. The hand-off moves the fused map from one grid to the other.
"""

from .backbones.movenet import MoveNet
from .backbones.residual_dense_net import ResidualDenseNet
from .backbones.sr_cascade_backbone import SRCascadeBackbone
from .backbones.star_pose_net import STARPoseNet
from .backbones.star_pose_sr_net import STARPoseSRNet
from .data_preprocessor import PoseClipDataPreprocessor
from .heads.joint_map_head import JointMapHead
from .heads.movenet_head import MoveNetHead
from .heads.pose_handoff import DirectHandoff, FeatureHandoff, ImageHandoff, ResidualHandoff
from .heads.softmax_heatmap_head import SoftmaxHeatmapHead
from .heads.sr_decoder import PixelShuffleSRDecoder
from .heads.star_pose_head import STARPoseHead
from .layers.evidence_fusion import EvidenceFusion
from .losses.bounded_focal_heatmap_loss import BoundedFocalHeatmapLoss
from .losses.frozen_network_distillation import FrozenNetworkDistillation
from .losses.pose_aware_sr_loss import PoseAwareSRLoss
from .losses.spatial_kl_loss import SpatialKLLoss
from .necks.adaptive_fusion_neck import AdaptiveFusionNeck
from .necks.linear_attention_neck import LinearAttentionNeck
from .pretrained_pose_net import PretrainedPoseNet

__all__ = [
    'AdaptiveFusionNeck',
    'BoundedFocalHeatmapLoss',
    'DirectHandoff',
    'EvidenceFusion',
    'FeatureHandoff',
    'FrozenNetworkDistillation',
    'ImageHandoff',
    'JointMapHead',
    'LinearAttentionNeck',
    'MoveNet',
    'MoveNetHead',
    'PixelShuffleSRDecoder',
    'PoseAwareSRLoss',
    'PoseClipDataPreprocessor',
    'PretrainedPoseNet',
    'ResidualDenseNet',
    'ResidualHandoff',
    'SRCascadeBackbone',
    'STARPoseHead',
    'STARPoseNet',
    'STARPoseSRNet',
    'SoftmaxHeatmapHead',
    'SpatialKLLoss',
]
