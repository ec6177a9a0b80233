"""The pose network inside the head, frozen or learning, and its untouched twin that teaches it."""

from __future__ import annotations

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..losses.frozen_network_distillation import FrozenNetworkDistillation

__all__ = ['PoseTeacher', 'build_pose_net', 'freeze', 'full_precision', 'to_float']


def build_pose_net(config: dict) -> BasePoseEstimator:
    """Build a whole estimator.

    MMEngine's ``Pretrained`` of the whole is read as :class:`PretrainedPoseNet`, which loads every
    weight or refuses; with a ``prefix``, or inside a part, it stays MMEngine's.

    Raises:
        TypeError: If it is something else.
    """
    init = config.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained' and not init.get('prefix'):
        checked = dict(type='PretrainedPoseNet', checkpoint=init['checkpoint'])
        config = {**config, 'init_cfg': checked}
    pose_net = MODELS.build(config)
    if not isinstance(pose_net, BasePoseEstimator) or not pose_net.with_head:
        raise TypeError(
            f'pose_net is a {type(pose_net).__name__}; it must be an MMPose estimator with '
            "backbone and head, such as type='TopdownPoseEstimator'"
        )
    return pose_net


def freeze(net: nn.Module) -> nn.Module:
    """Take a network's gradients away and leave it in eval mode."""
    net.requires_grad_(False)
    net.eval()
    return net


def full_precision(like: Tensor) -> torch.autocast:
    """Switch autocast off: SimCC and other heads fail on bf16, and losses lose digits in it."""
    return torch.autocast(like.device.type, enabled=False)


def to_float(feats: Tensor | tuple | list) -> Tensor | tuple:
    """Cast features, nested as necks return them, to fp32."""
    if isinstance(feats, Tensor):
        return feats.float()
    return tuple(to_float(feat) for feat in feats)


class PoseTeacher:
    """A trained pose network that looks at high-resolution crops.

    It is no module: its weights are in no state dict, no optimiser and no DDP bucket, and a deep
    copy, as an average of weights makes one, shares it.

    Args:
        net: The estimator: the frozen pose network itself, or a twin of one that learns.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __deepcopy__(self, memo: dict) -> PoseTeacher:
        return self

    @torch.no_grad()
    def look(self, image: Tensor, loss: FrozenNetworkDistillation) -> tuple[dict, Tensor | tuple]:
        """Return what ``loss`` records of the levels, and the pose head's output.

        Args:
            image: (N, 3, H, W), normalised as the network was trained to see it.
            loss: Names the levels.
        """
        with loss.record(self.net) as seen:
            feats = to_float(self.net.extract_feat(image))
        with full_precision(image):
            return seen, self.net.head(feats)


def build_twin(config: dict) -> PoseTeacher:
    """Build a pose network's untouched twin; :meth:`init_weights` of its net loads the checkpoint.

    Raises:
        ValueError: If the definition names no checkpoint.
    """
    init = config.get('init_cfg') or {}
    if not isinstance(init, dict) or not init.get('checkpoint'):
        raise ValueError(
            'distillation into a pose_net that learns needs its untouched weights: set '
            "pose_net.init_cfg=dict(type='PretrainedPoseNet', checkpoint=...), or "
            'freeze_pose_net=True'
        )
    return PoseTeacher(freeze(build_pose_net(config)))
