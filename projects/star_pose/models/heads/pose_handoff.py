"""The ways to hand the super-resolution front end's result to a pose network.

====================  ===========================================================================
:class:`ImageHandoff`    the super-resolved frame feeds the whole pose network; any backbone
:class:`ResidualHandoff` the bicubic frame goes through the network's own stem, and the fused map
                         is added to the stem's output through a norm that starts at zero
:class:`FeatureHandoff`  the fused map takes the place of the stem's output; no frame is needed
:class:`DirectHandoff`   the fused map is all there is: a head alone decodes it
====================  ===========================================================================

With ``ImageHandoff`` and ``ResidualHandoff`` the model starts as the bicubic baseline.
"""

from __future__ import annotations

import copy
from abc import abstractmethod

import torch
from mmengine.model import BaseModule
from mmpose.models.backbones.hrnet import HRNet
from mmpose.models.backbones.resnet import ResNet
from mmpose.registry import MODELS
from torch import Tensor, nn

from .sr_decoder import bicubic_upsample, has_pretrained_init

__all__ = [
    'HANDOFFS',
    'DirectHandoff',
    'FeatureHandoff',
    'ImageHandoff',
    'ResidualHandoff',
    'run_stem',
    'run_trunk',
    'stem_layers',
    'stem_target',
]

STEM_STRIDE, STEM_CHANNELS = 4, 64


def stem_layers(backbone: nn.Module) -> tuple[str, ...]:
    """Name the stem's modules in the order in which the backbone's own forward runs them.

    Args:
        backbone: An HRNet or ResNet, or a subclass that keeps their forward.

    Raises:
        ValueError: If the backbone's forward is neither of the two, or its stem is not 64 channels
            wide.
    """
    forward = type(backbone).forward
    if forward is HRNet.forward:
        first, second = backbone.norm1_name, backbone.norm2_name
        names = ('conv1', first, 'relu', 'conv2', second, 'relu')
        channels = backbone.conv2.out_channels
    elif forward is ResNet.forward:
        convolutions = ('stem',) if backbone.deep_stem else ('conv1', backbone.norm1_name, 'relu')
        names = (*convolutions, 'maxpool')
        channels = backbone.stem_channels
    else:
        names, channels = (), None
    if channels != STEM_CHANNELS:
        found = 'unknown to this hand-off' if channels is None else f'{channels} channels wide'
        raise ValueError(
            f'the stem of {type(backbone).__name__} is {found}: `residual` and `feature` need the '
            f'stride-{STEM_STRIDE}, {STEM_CHANNELS}-channel stem of the HRNet or ResNet family; '
            "use handoff='image', which takes any backbone"
        )
    return names


def run_stem(backbone: nn.Module, image: Tensor) -> Tensor:
    """Run a backbone's stem alone: (N, 3, H, W) -> (N, 64, H/4, W/4)."""
    for name in stem_layers(backbone):
        image = getattr(backbone, name)(image)
    return image


def stem_target(backbone: nn.Module, image: Tensor) -> Tensor:
    """Return what a backbone's stem sees in an image, as a constant target.

    The batch norms use their running statistics and leave them alone, whatever the mode.

    Args:
        backbone: An HRNet or ResNet.
        image: (N, 3, H, W), normalised.

    Returns:
        Tensor: (N, 64, H/4, W/4), detached.
    """
    layers = {getattr(backbone, name) for name in stem_layers(backbone)}
    modules = [module for layer in layers for module in layer.modules()]
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    with torch.no_grad():
        target = run_stem(backbone, image)
    for module, mode in zip(modules, modes, strict=True):
        module.training = mode
    return target


def run_trunk(backbone: nn.Module, stem_map: Tensor) -> tuple[Tensor, ...]:
    """Run everything behind a backbone's stem by its own forward.

    The forward runs on a shallow copy that shares all weights and has identities in the stem's
    place. The backbone itself keeps its stem: an identity put there for good would lose published
    stem weights.

    Args:
        backbone: An HRNet or ResNet.
        stem_map: (N, 64, H/4, W/4), in the place of the stem's output. It is rectified on the way.

    Returns:
        tuple[Tensor, ...]: What the backbone returns for an image of (H, W).
    """
    view = copy.copy(backbone)
    # The trunk rectifies its input again, in place and, in HRNet, twice over: that would corrupt
    # what others read of the map, and autograd refuses it. Out of place it changes nothing.
    replaced = {
        name: nn.ReLU() if name == 'relu' else nn.Identity() for name in stem_layers(backbone)
    }
    view._modules = {**backbone._modules, **replaced}
    return type(backbone).forward(view, stem_map)


class _Handoff(BaseModule):
    """What all hand-offs share.

    Args:
        in_channels: Channels of the fused map.
        scale: Upsampling factor of the super-resolved frame.
        init_cfg: As :class:`mmengine.model.BaseModule`.
    """

    needs_sr = False
    """Whether :meth:`enter` reads the super-resolved frame, at inference too."""

    has_stem = False
    """Whether what :meth:`enter` returns stands for the output of the pose network's stem."""

    def __init__(
        self, in_channels: int = 64, scale: int = 4, init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.scale = scale

    def bind(self, pose_net: nn.Module | None) -> None:
        """Check at construction that this hand-off can serve the pose network.

        Raises:
            ValueError: If it cannot; the message names what to use.
        """
        if pose_net is None:
            raise ValueError(
                f'{type(self).__name__} needs a pose_net; a head alone is served by DirectHandoff'
            )

    @abstractmethod
    def enter(
        self, pose_net: nn.Module | None, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> Tensor:
        """Make the map or frame that enters the pose network.

        Args:
            pose_net: The pose estimator.
            lr_target: (N, 3, h, w), normalised.
            fused: (N, C, h, w).
            sr: (N, 3, scale h, scale w), normalised; None where ``needs_sr`` is False and nothing
                else asked for it.
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
    """A hand-off that enters the pose network behind its stem."""

    has_stem = True

    def bind(self, pose_net: nn.Module | None) -> None:
        """Check the stem and that its output has the fused map's size."""
        super().bind(pose_net)
        stem_layers(pose_net.backbone)
        if self.scale != STEM_STRIDE:
            raise ValueError(
                f'scale={self.scale}: behind its stride-{STEM_STRIDE} stem the pose network '
                f"expects the LR frame's size, which takes scale={STEM_STRIDE}; use handoff='image'"
            )

    def run(self, pose_net: nn.Module, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the pose network's features of a map (N, 64, h, w) behind its stem."""
        feats = run_trunk(pose_net.backbone, entering)
        return pose_net.neck(feats) if pose_net.with_neck else feats


@MODELS.register_module()
class ImageHandoff(_Handoff):
    """Feed the super-resolved frame to the pose network, as a cascade does. Any MMPose backbone."""

    needs_sr = True

    def enter(self, pose_net: nn.Module, lr_target: Tensor, fused: Tensor, sr: Tensor) -> Tensor:
        """Return ``sr``."""
        return sr

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

    def __init__(
        self, in_channels: int = 64, scale: int = 4, init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(in_channels, scale, init_cfg)
        self.project = nn.Conv2d(in_channels, STEM_CHANNELS, 1, bias=False)
        self.norm = nn.BatchNorm2d(STEM_CHANNELS)
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
        """Return what the stem sees in the bicubic frame, plus the projected map; (N, 64, h, w)."""
        stem_map = run_stem(pose_net.backbone, bicubic_upsample(lr_target, self.scale))
        return stem_map + self.norm(self.project(fused))


@MODELS.register_module()
class FeatureHandoff(_StemHandoff):
    """Put the fused map in the place of the stem's output; neither frame nor stem is computed.

    A projection with batch normalisation gives the map the statistics that the trunk was trained
    on. The stem stays in the state dict, frozen and unused, so that checkpoints move in and out
    unchanged.
    """

    def __init__(
        self, in_channels: int = 64, scale: int = 4, init_cfg: dict | list[dict] | None = None
    ) -> None:
        default = [
            {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'nonlinearity': 'relu'},
            {'type': 'Constant', 'layer': 'BatchNorm2d', 'val': 1},
        ]
        super().__init__(in_channels, scale, init_cfg or default)
        self.project = nn.Conv2d(in_channels, STEM_CHANNELS, 1, bias=False)
        self.norm = nn.BatchNorm2d(STEM_CHANNELS)

    def bind(self, pose_net: nn.Module | None) -> None:
        """Check, and freeze the stem: DDP refuses trainable weights that no loss reaches."""
        super().bind(pose_net)
        for name in stem_layers(pose_net.backbone):
            getattr(pose_net.backbone, name).requires_grad_(False)

    def enter(
        self, pose_net: nn.Module, lr_target: Tensor, fused: Tensor, sr: Tensor | None
    ) -> Tensor:
        """Return the projected, normalised and rectified map (N, 64, h, w)."""
        return self.norm(self.project(fused)).relu()


@MODELS.register_module()
class DirectHandoff(_Handoff):
    """Give the fused map to a head that stands alone: the smallest model."""

    def bind(self, pose_net: nn.Module | None) -> None:
        """Refuse a pose network, which would go unused."""
        if pose_net is not None:
            raise ValueError('DirectHandoff serves a head alone; give `head` and no `pose_net`')

    def enter(self, pose_net: None, lr_target: Tensor, fused: Tensor, sr: Tensor | None) -> Tensor:
        """Return ``fused`` (N, C, h, w)."""
        return fused

    def run(self, pose_net: None, entering: Tensor) -> tuple[Tensor, ...]:
        """Return the map as the only level."""
        return (entering,)


HANDOFFS = {
    'image': ImageHandoff,
    'residual': ResidualHandoff,
    'feature': FeatureHandoff,
    'direct': DirectHandoff,
}
"""Short names of the hand-offs, for configs."""
