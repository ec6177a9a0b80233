"""The target frame's texture, with what the frames next to it show at the same places."""

import torch
import torch.nn as nn
from torch import Tensor

from .linear_attention import ALL
from .residual_block import kaiming_scaled_

__all__ = ['NeighbourTexture']


class NeighbourTexture(nn.Module):
    """Convolve the features of a frame and of the frames next to it together.

    Linear attention averages over hundreds of tokens and finds the few pixels that moved under the
    target's only slowly. A 3x3 window over the nearest frames, at full resolution, sees them from
    the start.

    Frames are found by their offsets, so that their order in the clip does not matter; where the
    clip ends, the nearest frame stands in, at last the frame itself.

    Args:
        in_channels: Channels c of the features.
        channels: Width C of the result.
        num_neighbours: Frames beside the target: half of them before, half after it; 0: the target
            alone.
        past_only: All of them before it.
    """

    def __init__(
        self, in_channels: int, channels: int, num_neighbours: int = 2, past_only: bool = False
    ) -> None:
        super().__init__()
        if num_neighbours < 0:
            raise ValueError(f'num_neighbours is {num_neighbours}; it must be at least 0')
        after = 0 if past_only else num_neighbours // 2
        self.steps = tuple(range(after - num_neighbours, after + 1))
        self.mix = nn.Conv2d(len(self.steps) * in_channels, channels, 3, padding=1)
        kaiming_scaled_(self.mix)
        # What the neighbours add stays below the frame's own share at the start.
        shares = self.mix.weight.data.unflatten(1, (len(self.steps), -1))  # C S c 3 3
        own = self.steps.index(0)
        shares[:, :own] *= 0.3
        shares[:, own + 1 :] *= 0.3

    def forward(self, features: Tensor, frame_offsets: Tensor, shown: slice = ALL) -> Tensor:
        """Look at each of the frames ``shown`` and at its neighbours.

        Args:
            features: (N, T, c, h, w).
            frame_offsets: (T,), the frames' times in frames.
            shown: The T' frames that are wanted.

        Returns:
            (N T', C, h, w).
        """
        steps = torch.tensor(self.steps, device=frame_offsets.device)
        wanted = frame_offsets[shown, None] + steps  # T' S
        distance = (wanted[..., None] - frame_offsets).abs()  # T' S T
        nearest = distance.argmin(-1).flatten()  # T'S
        frames = features[:, nearest].unflatten(1, (-1, len(self.steps)))  # N T' S c h w
        return self.mix(frames.flatten(2, 3).flatten(0, 1))  # NT' Sc h w -> NT' C h w
