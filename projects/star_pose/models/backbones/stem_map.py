"""Where a stride-4 map enters a pose backbone: the contract of the hand-offs behind a stem."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['StemMap']


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
