"""Grids of pixels: where the cells of a map lie, and how to bring a map to other places."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ['move_grid']


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
