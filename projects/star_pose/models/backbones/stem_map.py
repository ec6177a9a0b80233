"""Where a stride-4 map enters a pose backbone, and how to run what stands before and behind it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from mmpose.models.backbones.hrnet import HRNet
from mmpose.models.backbones.resnet import ResNet
from torch import Tensor, nn

__all__ = ['StemMap', 'find_stem', 'run_stem', 'run_trunk']


@dataclass(frozen=True)
class StemMap:
    """The first stride-4 map of a backbone, and the modules in front of it.

    A backbone that has an attribute ``stem_map`` of this type takes the hand-offs ``residual`` and
    ``feature``. It promises that its forward runs the modules one after the other on the image, and
    reads the last one's output alone: with identities in their place it takes the map instead.

    Args:
        modules: Names of the backbone's children, in the order in which its forward runs them.
        channels: Channels of the map.
        rectified: Whether the map is the output of a ReLU.
        origin: HR pixel at the centre of the map's first cell, the same for rows and columns: 0
            where convolutions pad alike on both sides.
    """

    modules: tuple[str, ...]
    channels: int
    rectified: bool
    origin: float = 0.0


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
