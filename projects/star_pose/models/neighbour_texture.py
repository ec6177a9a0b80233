"""What the frames next to the target show at the same places: the local path through time."""

import torch
import torch.nn as nn
from torch import Tensor

from .linear_attention import ALL
from .residual_block import kaiming_scaled_

__all__ = ['NeighbourTexture']


class NeighbourTexture(nn.Module):
    """Convolve the features of neighbouring frames together, to be added to the target's.

    Linear attention averages over thousands of tokens and finds the few pixels that moved under the
    target's only slowly. A 3x3 window over the nearest frames, at full resolution, sees them from
    the start.

    Frames are found by their offsets, so that their order in the clip does not matter; where the
    clip ends, the nearest frame stands in, at last the target itself.

    Args:
        channels: Width C of the features.
        num_neighbours: Frames beside the target: half of them before, half after it.
        past_only: All of them before it.
        reduction: They are reduced to C / ``reduction`` channels first.
    """

    def __init__(
        self,
        channels: int,
        num_neighbours: int = 2,
        past_only: bool = False,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        if num_neighbours < 1:
            raise ValueError(f'num_neighbours is {num_neighbours}; it must be at least 1')
        after = 0 if past_only else num_neighbours // 2
        before = num_neighbours - after
        self.steps = (*range(-before, 0), *range(1, after + 1))
        reduced = max(channels // reduction, 1)
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.mix = nn.Conv2d(num_neighbours * reduced, channels, 3, padding=1)
        kaiming_scaled_(self.mix, 0.3)  # below the target's own features at the start

    def forward(self, features: Tensor, frame_offsets: Tensor, shown: slice = ALL) -> Tensor:
        """Look at the neighbours of each of the frames ``shown``.

        Args:
            features: (N, T, C, h, w).
            frame_offsets: (T,), the frames' times in frames.
            shown: The T' frames whose neighbours are wanted.

        Returns:
            (N T', C, h, w).
        """
        steps = torch.tensor(self.steps, device=frame_offsets.device)
        wanted = frame_offsets[shown, None] + steps  # T' S
        distance = (wanted[..., None] - frame_offsets).abs()  # T' S T
        nearest = distance.argmin(-1).flatten()  # T'S
        frames = self.reduce(features[:, nearest].flatten(0, 1))  # NT'S c h w
        frames = frames.unflatten(0, (-1, len(self.steps))).flatten(1, 2)  # NT' Sc h w
        return self.mix(frames)
