"""The networks: front end, fusion, head, losses and cascades, in MMPose's registries."""

from .adaptive_fusion_neck import AdaptiveFusionNeck
from .star_pose_net import STARPoseNet

__all__ = ['AdaptiveFusionNeck', 'STARPoseNet']
