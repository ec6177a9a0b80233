"""Where a token is: positions in the crop and in time, for any size and any number of frames.

Both encodings are functions of where in the crop a token is (so that a larger crop of the same
person gives each body part the same code) and of how many frames it lies from the target.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

__all__ = ['POSITIONS', 'LearnedPosition', 'SinusoidalPosition', 'build_position']


class SinusoidalPosition(BaseModule):
    """Sines and cosines of the place in the crop and of the offset in frames, each with a gain.

    Args:
        channels: Width C; a multiple of 4.
        init_gain: What both gains start from. At 1 a position is as loud as the content that it is
            added to; much smaller, and what depends on places, as joints do, is learned late.
    """

    def __init__(self, channels: int, init_gain: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if channels % 4:
            raise ValueError(f'channels is {channels}; sinusoidal positions need a multiple of 4')
        self.channels = channels
        self.spatial_gain = nn.Parameter(torch.tensor(init_gain))
        self.temporal_gain = nn.Parameter(torch.tensor(init_gain))

    def forward(self, height: int, width: int, frame_offsets: Tensor) -> Tensor:
        """Positions of a clip.

        Args:
            height: Rows of tokens.
            width: Columns of tokens.
            frame_offsets: (T,), each frame's distance from the target in frames.

        Returns:
            (T, h, w, C) fp32.
        """
        # From half a cycle, which tells one end from the other, to 8 cycles across the crop.
        cycles = 0.5 * 2 ** torch.linspace(0, 4, self.channels // 4, device=frame_offsets.device)
        rows = _waves(_centres(height, cycles), 2 * math.pi * cycles)  # h C/2
        columns = _waves(_centres(width, cycles), 2 * math.pi * cycles)  # w C/2
        rows = rows[:, None].expand(-1, width, -1)  # h w C/2
        columns = columns[None].expand(height, -1, -1)  # h w C/2
        spatial = torch.cat((rows, columns), -1)  # h w C
        # From one radian a frame down to 1/64: periods of 6 to 400 frames.
        rates = 2 ** -torch.linspace(0, 6, self.channels // 2, device=frame_offsets.device)
        temporal = _waves(frame_offsets.to(rates.dtype), rates)  # T C
        return self.spatial_gain * spatial + self.temporal_gain * temporal[:, None, None]


class LearnedPosition(BaseModule):
    """Learned tables, interpolated to the size of the crop and to the frames' offsets.

    Args:
        channels: Width C.
        grid: Rows and columns of the spatial table, as (w, h).
        max_offset: The temporal table covers offsets of +- this many frames; beyond, its ends.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int] = (12, 16),
        max_offset: int = 2,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.max_offset = max_offset
        self.spatial = nn.Parameter(torch.empty(1, channels, grid[1], grid[0]))
        self.temporal = nn.Parameter(torch.empty(2 * max_offset + 1, channels))
        nn.init.trunc_normal_(self.spatial, std=0.02)
        nn.init.trunc_normal_(self.temporal, std=0.02)

    def forward(self, height: int, width: int, frame_offsets: Tensor) -> Tensor:
        """Positions of a clip: see :meth:`SinusoidalPosition.forward`."""
        spatial = F.interpolate(
            self.spatial, size=(height, width), mode='bilinear', align_corners=False
        )
        spatial = spatial[0].permute(1, 2, 0)  # h w C
        place = (frame_offsets + self.max_offset).clamp(0, 2 * self.max_offset).to(spatial.dtype)
        lower = place.floor().clamp(max=max(2 * self.max_offset - 1, 0))
        upper = (lower + 1).clamp(max=2 * self.max_offset)
        share = (place - lower)[:, None]  # T 1
        temporal = torch.lerp(self.temporal[lower.long()], self.temporal[upper.long()], share)
        return spatial + temporal[:, None, None]  # T h w C


def _centres(size: int, like: Tensor) -> Tensor:
    """Centres of ``size`` cells that divide [-0.5, 0.5]."""
    cells = torch.arange(size, device=like.device, dtype=like.dtype)
    return (cells + 0.5) / size - 0.5


def _waves(position: Tensor, rate: Tensor) -> Tensor:
    """Sines and cosines of (P,) positions at (R,) rates: (P, 2 R)."""
    angle = position[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), -1)


POSITIONS = {'sinusoidal': SinusoidalPosition, 'learned': LearnedPosition}


def build_position(name: str, channels: int) -> nn.Module:
    """Build a position encoding by its name.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in POSITIONS:
        raise ValueError(f'position is {name!r}; it must be one of {tuple(POSITIONS)}')
    return POSITIONS[name](channels)
