"""Build the parts that STARPoseHead is made of, and refuse what cannot work together."""

from __future__ import annotations

from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS
from torch import nn

from .pose_handoff import HANDOFFS

__all__ = ['build_handoff', 'build_part', 'build_pose_net']


def build_pose_net(config: dict) -> BasePoseEstimator:
    """Build a whole estimator; anything else raises a TypeError."""
    pose_net = MODELS.build(config)
    if not isinstance(pose_net, BasePoseEstimator) or not pose_net.with_head:
        raise TypeError(
            f'pose_net is a {type(pose_net).__name__}; it must be an MMPose estimator with '
            "backbone and head, such as type='TopdownPoseEstimator'"
        )
    return pose_net


def build_handoff(handoff: str | dict, in_channels: int, scale: int) -> nn.Module:
    """Build a hand-off from its short name, or from a config with a registered type."""
    if isinstance(handoff, str):
        if handoff not in HANDOFFS:
            raise ValueError(f'handoff is {handoff!r}; it must be one of {tuple(HANDOFFS)}')
        return HANDOFFS[handoff](in_channels=in_channels, scale=scale)
    return MODELS.build({'in_channels': in_channels, 'scale': scale, **handoff})


def build_part(name: str, config: dict | None, **shared: int) -> nn.Module | None:
    """Build a part of the head; what it shares with the head is given, or must agree."""
    if config is None:
        return None
    config = {**shared, **config}
    for key, value in shared.items():
        if config[key] != value:
            raise ValueError(f'{name} has {key}={config[key]}, but the head has {key}={value}')
    return MODELS.build(config)
