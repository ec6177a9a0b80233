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

import copy
from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.models.backbones.hrnet import HRNet
from mmpose.models.backbones.resnet import ResNet
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..backbones.stem_map import StemMap
from .sr_decoder import bicubic_upsample, has_pretrained_init

__all__ = [
    'DirectHandoff',
    'FeatureHandoff',
    'ImageHandoff',
    'ResidualHandoff',
    'build_handoff',
    'find_stem',
    'move_grid',
    'run_stem',
    'run_trunk',
]

STEM_STRIDE = 4


def find_stem(backbone: nn.Module) -> StemMap:
    """Ask a backbone where its stride-4 map enters.

    Raises:
        ValueError: If the backbone has no ``stem_map`` and is no HRNet or ResNet, or a subclass of
            them with a forward of its own.
    """
    forward = type(backbone).forward
    if isinstance(getattr(backbone, 'stem_map', None), StemMap):
        return backbone.stem_map
    if forward is HRNet.forward:
        first, second = backbone.norm1_name, backbone.norm2_name
        modules = ('conv1', first, 'relu', 'conv2', second, 'relu')
        return StemMap(modules, backbone.conv2.out_channels, rectified=True)
    if forward is ResNet.forward:
        convolutions = ('stem',) if backbone.deep_stem else ('conv1', backbone.norm1_name, 'relu')
        return StemMap((*convolutions, 'maxpool'), backbone.stem_channels, rectified=True)
    raise ValueError(
        f'the stem of {type(backbone).__name__} is unknown: `residual` and `feature` need an '
        'HRNet, a ResNet or a backbone with a `stem_map`; '
        "use handoff='image', which takes any backbone"
    )


def run_stem(backbone: nn.Module, image: Tensor) -> Tensor:
    """Run a backbone's stem alone: (N, 3, H, W) -> (N, channels, H/4, W/4)."""
    for name in find_stem(backbone).modules:
        image = getattr(backbone, name)(image)
    return image


def run_trunk(backbone: nn.Module, stem_map: Tensor) -> tuple[Tensor, ...]:
    """Run everything behind a backbone's stem by its own forward.

    The forward runs on a shallow copy that shares all weights and has identities in the stem's
    place. The backbone itself keeps its stem: an identity put there for good would lose published
    stem weights.

    Args:
        backbone: A backbone with a stem, see :func:`find_stem`.
        stem_map: (N, channels, H/4, W/4), in the place of the stem's output. It is rectified on
            the way where the stem's is.

    Returns:
        tuple[Tensor, ...]: What the backbone returns for an image of (H, W).
    """
    view = copy.copy(backbone)
    # The trunk rectifies its input again, in place and, in HRNet, twice over: that would corrupt
    # what others read of the map, and autograd refuses it. Out of place it changes nothing.
    replaced = {
        name: nn.ReLU() if name == 'relu' else nn.Identity() for name in find_stem(backbone).modules
    }
    view._modules = {**backbone._modules, **replaced}
    return type(backbone).forward(view, stem_map)


def move_grid(fused: Tensor, scale: int, origin: float = 0.0) -> Tensor:
    """Move a map of the LR frame's grid to a grid whose cell i lies at ``scale * i + origin``.

    Cell i of the LR frame lies at ``scale * i + (scale - 1) / 2``. The map is interpolated
    bilinearly; its first or last cells stand in for what lies beyond them.

    Args:
        fused: (N, C, h, w).
        scale: HR pixels a cell.
        origin: HR pixel at the centre of the wanted grid's first cell, less than ``scale`` away
            from the LR grid's.

    Returns:
        Tensor: (N, C, h, w).
    """
    shift = (origin - (scale - 1) / 2) / scale  # in cells, within -1 and 1
    if shift == 0:
        return fused
    share, before = abs(shift), int(shift < 0)
    for axis, side in ((3, fused.shape[3]), (2, fused.shape[2])):
        pad = (before, 1 - before, 0, 0) if axis == 3 else (0, 0, before, 1 - before)
        padded = F.pad(fused, pad, mode='replicate')
        neighbour = padded.narrow(axis, 0 if before else 1, side)
        fused = fused + share * (neighbour - fused)
    return fused


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
