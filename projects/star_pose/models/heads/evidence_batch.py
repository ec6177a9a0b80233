"""Samples of several frames as they pass a head: their outputs fused, the target's parts taken."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from ..data_samples import target_index
from ..layers.evidence_fusion import EvidenceFusion
from .pose_teacher import full_precision

__all__ = ['EvidenceBatch']


class EvidenceBatch:
    """N samples of E frames each: N E clips in a row, of which every E-th is the target's.

    It holds no weights: the fusion is a part of the head, which its state dict names.

    Args:
        fusion: Fuses E heatmaps to one; None: E is 1 and everything passes as it is.
        target: ``'centre'`` or ``'last'`` of the E frames.
    """

    def __init__(self, fusion: EvidenceFusion | None, target: str) -> None:
        self.fusion = fusion
        self.num_frames = 1 if fusion is None else fusion.num_frames
        self.index = target_index(self.num_frames, target)

    def fuse(self, output: Tensor | tuple[Tensor, ...], frames: Tensor) -> Tensor | tuple:
        """Fuse heatmaps (N E, K, h, w) of LR frames (N E, 3, h, w): (N, K, h, w).

        Without a fusion any output of a pose head is returned as it is.
        """
        if self.fusion is None:
            return output
        maps, frames = (x.unflatten(0, (-1, self.num_frames)) for x in (output, frames))
        with full_precision(output):
            return self.fusion(maps, frames, self.index)

    def of_target(self, x: Tensor | Sequence) -> Tensor | tuple:
        """Take the target's out of N E, in a tensor or nested in tuples: N."""
        if self.fusion is None:
            return x
        if not isinstance(x, Tensor):
            return tuple(self.of_target(item) for item in x)
        return x.unflatten(0, (-1, self.num_frames))[:, self.index]

    def fusing_head(self, pose_head: nn.Module) -> nn.Module:
        """Return a view of a pose head that reads (levels, LR frames) and fuses its maps."""
        view = copy.copy(pose_head)
        view.forward = lambda feats: self.fuse(pose_head(feats[0]), feats[1])
        return view
