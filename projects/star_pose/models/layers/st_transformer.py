"""The spatial-temporal Transformer: pre-norm blocks of linear attention over a clip's tokens.

A clip is kept as ``N T h w C`` throughout. That is a channels-last image for the convolutions and a
list of tokens for the projections, so that neither needs a copy.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .linear_attention import LinearAttention

__all__ = ['ConvFeedForward', 'STTransformer', 'STTransformerBlock', 'SinusoidalPosition']

ALL = slice(None)
"""The frames of a clip, all of them."""


class SinusoidalPosition(nn.Module):
    """Sines and cosines of the place in the crop and of the offset in frames, each with a gain.

    A place is a share of the crop, so that a larger crop of the same person gives each body part
    the same code; a time is a number of frames from the target.

    Args:
        channels: Width C; a multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % 4:
            raise ValueError(f'channels is {channels}; sinusoidal positions need a multiple of 4')
        self.channels = channels
        # At 1 a position is as loud as the content that it is added to; at a tenth, what depends on
        # places, as joints do, is learned late.
        self.spatial_gain = nn.Parameter(torch.tensor(1.0))
        self.temporal_gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, height: int, width: int, frame_offsets: Tensor) -> Tensor:
        """Encode the tokens of a clip.

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


def _centres(size: int, like: Tensor) -> Tensor:
    """Return the centres of ``size`` cells that divide [-0.5, 0.5]."""
    cells = torch.arange(size, device=like.device, dtype=like.dtype)
    return (cells + 0.5) / size - 0.5


def _waves(position: Tensor, rate: Tensor) -> Tensor:
    """Return sines and cosines of (P,) positions at (R,) rates: (P, 2 R)."""
    angle = position[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), -1)


class ConvFeedForward(nn.Module):
    """Feed-forward part with a depthwise convolution, which gives attention its locality back.

    Args:
        channels: Width C of the tokens.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 2 * channels
        self.expand = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.reduce = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix channels and neighbours: (N, T, h, w, C) -> (N, T, h, w, C)."""
        hidden = self.expand(x)
        frames = hidden.flatten(0, 1).permute(0, 3, 1, 2)  # NT C h w, channels last
        frames = self.depthwise(frames).permute(0, 2, 3, 1)  # NT h w C
        return self.reduce(F.gelu(hidden + frames.unflatten(0, (-1, x.shape[1]))))  # N T h w C


class STTransformerBlock(nn.Module):
    """One pre-norm block: attention over all T h w tokens, then the feed-forward part.

    Each of the two is added with a learned scale for each channel.

    Args:
        channels: Width C of the tokens.
        num_heads: Heads of the attention.
        form: Arguments of :class:`~star_pose.models.layers.linear_attention.AttentionForm`.
    """

    def __init__(self, channels: int, num_heads: int = 4, form: dict | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = LinearAttention(channels, num_heads, form)
        self.attention_scale = nn.Parameter(torch.ones(channels))
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = ConvFeedForward(channels)
        self.ffn_scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, shown: slice = ALL) -> Tensor:
        """Mix the tokens of a clip.

        Args:
            x: (N, T, h, w, C).
            shown: The T' frames whose tokens are wanted; the others are only attended to.

        Returns:
            (N, T', h, w, C).
        """
        normed = self.norm(x)
        wanted = x[:, shown]  # N T' h w C
        mixed = self.attention(normed[:, shown].flatten(1, 3), normed.flatten(1, 3))  # N T'hw C
        x = _add_scaled(wanted, self.attention_scale, mixed.view_as(wanted))
        return _add_scaled(x, self.ffn_scale, self.ffn(self.ffn_norm(x)))


class STTransformer(nn.Module):
    """Positions and a stack of blocks over the tokens of a clip of any length and size.

    Args:
        channels: Width C of the tokens.
        depth: Number of blocks.
        num_heads: Heads of the attention.
        form: Arguments of :class:`~star_pose.models.layers.linear_attention.AttentionForm`.
    """

    def __init__(
        self, channels: int = 64, depth: int = 3, num_heads: int = 4, form: dict | None = None
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f'depth is {depth}; it must be at least 1')
        self.position = SinusoidalPosition(channels)
        self.blocks = nn.ModuleList(
            STTransformerBlock(channels, num_heads, form) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, frame_offsets: Tensor, shown: slice = ALL) -> Tensor:
        """Mix the tokens of a clip.

        Args:
            x: (N, T, h, w, C).
            frame_offsets: (T,), each frame's distance from the target in frames.
            shown: The T' frames whose tokens are wanted. The last block computes only these.

        Returns:
            (N, T', h, w, C), normalised over C.
        """
        x = x + self.position(*x.shape[2:4], frame_offsets).to(x.dtype)
        for block in self.blocks[:-1]:
            x = block(x)
        return self.norm(self.blocks[-1](x, shown))


def _add_scaled(x: Tensor, scale: Tensor, branch: Tensor) -> Tensor:
    """Return ``x + scale * branch`` in one pass over the memory, in the type of ``x``."""
    return torch.addcmul(x, scale.to(x.dtype), branch.to(x.dtype))
