"""The ways to hand the super-resolution front end's result to a pose network.

====================  ===========================================================================
:class:`ImageHandoff`    the super-resolved frame feeds the whole pose network; any backbone
:class:`ResidualHandoff` the bicubic frame goes through the network's own stem, and the fused map
                         is added to the stem's output through a norm that starts at zero
:class:`FeatureHandoff`  the fused map takes the place of the stem's output; no frame is needed
:class:`DirectHandoff`   the fused map is all there is: a head alone decodes it
====================  ===========================================================================

With ``ImageHandoff`` and ``ResidualHandoff`` the model starts as the bicubic baseline.

``residual`` and ``feature`` ask the backbone where its stride-4 map enters. HRNet and ResNet are
known; any other backbone says it by an attribute ``stem_map``, a
:class:`~star_pose.models.backbones.stem_map.StemMap`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..backbones.stem_map import find_stem, run_stem, run_trunk
from ..layers.pixel_grid import move_grid
from .sr_decoder import bicubic_upsample, has_pretrained_init

__all__ = [
    'DirectHandoff',
    'FeatureHandoff',
    'ImageHandoff',
    'ResidualHandoff',
    'build_handoff',
]

STEM_STRIDE = 4


def _renormalisation(
    pose_net: nn.Module | None, norm: dict[str, Sequence[float]]
) -> tuple[Tensor | None, Tensor | None]:
    """Return gain and shift (3, 1, 1) from one normalisation to the pose network's own, or None."""
    own = getattr(pose_net, 'data_preprocessor', None)
    if not hasattr(own, 'mean'):
        return None, None
    mean, std = (torch.tensor(norm[name]).view(3, 1, 1) for name in ('mean', 'std'))
    own_mean, own_std = (x.cpu().expand(3, 1, 1) for x in (own.mean, own.std))
    if torch.allclose(mean, own_mean) and torch.allclose(std, own_std):
        return None, None
    return std / own_std, (mean - own_mean) / own_std


class _Handoff(BaseModule):
    """What all hand-offs share.

    Args:
        in_channels: Channels C of the fused map.
        scale: Upsampling factor of the super-resolved frame.
        pose_net: The pose estimator, which is checked and not kept.
        norm: ``mean`` and ``std`` of the frames that are given. A pose network whose data
            preprocessor has others gets the frames in those.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If this hand-off cannot serve the pose network; the message names what to use.
    """

    needs_sr = False
    """Whether :meth:`enter` reads the super-resolved frame, at inference too."""

    for_pose_net = True
    """Whether a pose network follows, or a head alone."""

    def __init__(
        self,
        in_channels: int,
        scale: int,
        pose_net: nn.Module | None,
        norm: dict[str, Sequence[float]],
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if self.for_pose_net and pose_net is None:
            raise ValueError(
                f'{type(self).__name__} needs a pose_net; a head alone is served by DirectHandoff'
            )
        if not self.for_pose_net and pose_net is not None:
            raise ValueError(
                f'{type(self).__name__} serves a head alone; give `head` and no `pose_net`'
            )
        self.scale = scale
        gain, shift = _renormalisation(pose_net, norm)
        self.register_buffer('gain', gain, persistent=False)
        self.register_buffer('shift', shift, persistent=False)

    def to_pose_space(self, frame: Tensor) -> Tensor:
        """Normalise a frame (N, 3, H, W) as the pose network was trained to see it."""
        return frame if self.gain is None else frame * self.gain + self.shift

    @abstractmethod
    def enter(
        self, pose_net: nn.Module | None, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> Tensor:
        """Make the map or frame that enters the pose network.

        Args:
            pose_net: The pose estimator.
            lr_target: (N, 3, h, w).
            fused: (N, C, h, w).
            sr: (N, 3, H, W); None where ``needs_sr`` is False and nothing else asked for it.
        """

    @abstractmethod
    def run(self, pose_net: nn.Module | None, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the pose network's features of what :meth:`enter` made."""

    def forward(
        self, pose_net: nn.Module | None, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the pose network's features; arguments as in :meth:`enter`."""
        return self.run(pose_net, self.enter(pose_net, lr_target, fused, sr))


class _StemHandoff(_Handoff):
    """A hand-off that enters the pose network behind its stem, with the fused map projected."""

    def __init__(
        self,
        in_channels: int,
        scale: int,
        pose_net: nn.Module,
        norm: dict[str, Sequence[float]],
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(in_channels, scale, pose_net, norm, init_cfg)
        stem = find_stem(pose_net.backbone)
        if scale != STEM_STRIDE:
            raise ValueError(
                f'scale={scale}: behind its stride-{STEM_STRIDE} stem the pose network '
                f"expects the LR frame's size, which takes scale={STEM_STRIDE}; use handoff='image'"
            )
        self.origin, self.rectified = stem.origin, stem.rectified
        self.project = nn.Conv2d(in_channels, stem.channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(stem.channels)

    def projected(self, fused: Tensor) -> Tensor:
        """Return the projected map on the stem's grid: (N, C, h, w) -> (N, channels, h, w)."""
        return self.norm(self.project(move_grid(fused, self.scale, self.origin)))

    def run(self, pose_net: nn.Module, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the pose network's features of a map (N, channels, h, w) behind its stem."""
        feats = run_trunk(pose_net.backbone, entering)
        return pose_net.neck(feats) if pose_net.with_neck else feats


@MODELS.register_module()
class ImageHandoff(_Handoff):
    """Feed the super-resolved frame to the pose network, as a cascade does. Any MMPose backbone."""

    needs_sr = True

    def enter(self, pose_net: nn.Module, lr_target: Tensor, fused: Tensor, sr: Tensor) -> Tensor:
        """Return ``sr`` in the pose network's normalisation."""
        return self.to_pose_space(sr)

    def run(self, pose_net: nn.Module, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the pose network's features of a frame (N, 3, H, W)."""
        return pose_net.extract_feat(entering)


@MODELS.register_module()
class ResidualHandoff(_StemHandoff):
    """Add the fused map to what the pose network's own stem sees in the bicubic frame.

    A projection with batch normalisation gives the map the statistics of a stem's output. The
    norm's scale starts at zero (Goyal et al., "Accurate, Large Minibatch SGD", arXiv 1706.02677),
    so that a trained pose network starts undisturbed, and grows within a few hundred steps. A
    projection that starts at zero without a norm needs damping, since its weights, 64 to a pixel,
    all move at once; damped, it hardly ever counts.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._zero_output()

    def _zero_output(self) -> None:
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def init_weights(self) -> None:
        """Initialise, then zero the norm again: an ``init_cfg`` may have overwritten it."""
        first_time = not self.is_init
        super().init_weights()
        if first_time and not has_pretrained_init(self.init_cfg):
            self._zero_output()

    def enter(
        self, pose_net: nn.Module, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> Tensor:
        """Return what the stem sees in the bicubic frame, plus the projected map."""
        frame = self.to_pose_space(bicubic_upsample(lr_target, self.scale))
        return run_stem(pose_net.backbone, frame) + self.projected(fused)


@MODELS.register_module()
class FeatureHandoff(_StemHandoff):
    """Put the fused map in the place of the stem's output; neither frame nor stem is computed.

    A projection with batch normalisation gives the map the statistics that the trunk was trained
    on. The stem stays in the state dict, frozen and unused, so that checkpoints move in and out
    unchanged; DDP refuses trainable weights that no loss reaches.
    """

    def __init__(self, **kwargs) -> None:
        default = [
            {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'nonlinearity': 'relu'},
            {'type': 'Constant', 'layer': 'BatchNorm2d', 'val': 1},
        ]
        super().__init__(**{'init_cfg': default, **kwargs})
        backbone = kwargs['pose_net'].backbone
        for name in find_stem(backbone).modules:
            getattr(backbone, name).requires_grad_(False)

    def enter(
        self, pose_net: nn.Module, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> Tensor:
        """Return the projected and normalised map, rectified as the stem's is."""
        entering = self.projected(fused)
        return entering.relu() if self.rectified else entering


@MODELS.register_module()
class DirectHandoff(_Handoff):
    """Give the fused map, on the heatmaps' grid, to a head alone: the smallest model."""

    for_pose_net = False

    def enter(self, pose_net: None, lr_target: Tensor, fused: Tensor, sr: Tensor | None) -> Tensor:
        """Return ``fused``, moved."""
        return move_grid(fused, self.scale)

    def run(self, pose_net: None, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the map as the only level."""
        return (entering,)


HANDOFFS = {
    'image': ImageHandoff,
    'residual': ResidualHandoff,
    'feature': FeatureHandoff,
    'direct': DirectHandoff,
}


def build_handoff(
    handoff: str | dict,
    in_channels: int,
    scale: int,
    pose_net: nn.Module | None,
    norm: dict[str, Sequence[float]],
) -> nn.Module:
    """Build a hand-off from its short name, or from a config with a registered type.

    Raises:
        ValueError: If there is none of this name, or it cannot serve the pose network.
    """
    shared = dict(in_channels=in_channels, scale=scale, pose_net=pose_net, norm=norm)
    if isinstance(handoff, dict):
        return MODELS.build({**shared, **handoff})
    if handoff not in HANDOFFS:
        raise ValueError(f'handoff is {handoff!r}; it must be one of {tuple(HANDOFFS)}')
    return HANDOFFS[handoff](**shared)
