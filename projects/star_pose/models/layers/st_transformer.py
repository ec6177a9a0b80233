"""The spatial-temporal Transformer: pre-norm blocks of linear attention over a clip's tokens.

A clip is kept as ``N T h w C`` throughout. That is a channels-last image for the convolutions and a
list of tokens for the projections, so that neither needs a copy.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .linear_attention import ALL, LinearAttention
from .position_encoding import build_position

__all__ = ['ATTENTIONS', 'ConvFeedForward', 'STTransformer', 'STTransformerBlock', 'TemporalConv']

ATTENTIONS = ('joint', 'factorised')


class TemporalConv(nn.Module):
    """Depthwise convolution over time, added to its input; the identity at the start.

    Written as shifted products: a handful of element-wise operations instead of a 3-D convolution,
    which is slow on CPUs and not channels-last.

    Args:
        channels: Width C.
        kernel_size: Odd number of frames that are seen.
        causal: See only earlier frames and the own one.
    """

    def __init__(self, channels: int, kernel_size: int = 3, causal: bool = False) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'temporal_kernel is {kernel_size}; it must be odd and at least 1')
        self.before = kernel_size - 1 if causal else kernel_size // 2
        self.after = kernel_size - 1 - self.before
        self.weight = nn.Parameter(torch.zeros(kernel_size, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Mix frames at each place: (N, T, h, w, C) -> (N, T, h, w, C)."""
        num_frames = x.shape[1]
        # The first and last frame stand in for what lies outside the clip.
        first = x[:, :1].expand(-1, self.before, -1, -1, -1)
        last = x[:, -1:].expand(-1, self.after, -1, -1, -1)
        padded = torch.cat((first, x, last), 1)  # N T+k-1 h w C
        for tap, weight in enumerate(self.weight):
            x = torch.addcmul(x, padded[:, tap : tap + num_frames], weight.to(x.dtype))
        return x


class ConvFeedForward(nn.Module):
    """Feed-forward part with a depthwise convolution, which gives attention its locality back.

    Args:
        channels: Width C of the tokens.
        ratio: Width of the hidden layer in C.
    """

    def __init__(self, channels: int, ratio: float = 2.0) -> None:
        super().__init__()
        hidden = int(channels * ratio)
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
    """One pre-norm block: a local look in time, attention, the convolutional feed-forward part.

    ``joint`` attention mixes all T h w tokens at once. ``factorised`` mixes the tokens of each
    frame and then, at each place, those of all frames.

    Args:
        channels: Width C of the tokens.
        num_heads: Heads of the attention.
        attention: One of :data:`ATTENTIONS`.
        form: Arguments of :class:`~star_pose.models.layers.linear_attention.AttentionForm`.
        ffn_ratio: Width of the feed-forward part in C.
        temporal_kernel: Frames that a depthwise convolution over time sees; 1 leaves it out.
        causal: Let no token see a later frame.
        residual_scale: What the learned, per-channel scale of each residual branch starts from.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 4,
        attention: str = 'joint',
        form: dict | None = None,
        ffn_ratio: float = 2.0,
        temporal_kernel: int = 1,
        causal: bool = False,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f'attention is {attention!r}; it must be one of {ATTENTIONS}')
        self.temporal = (
            TemporalConv(channels, temporal_kernel, causal) if temporal_kernel != 1 else None
        )
        across = 'past' if causal else 'clip'
        self.spatial = None
        if attention == 'factorised':
            self.spatial = nn.Sequential(
                nn.LayerNorm(channels), LinearAttention(channels, num_heads, form, 'frame')
            )
            self.spatial_scale = nn.Parameter(torch.full((channels,), residual_scale))
        self.norm = nn.LayerNorm(channels)
        self.attention = LinearAttention(channels, num_heads, form, across)
        self.attention_scale = nn.Parameter(torch.full((channels,), residual_scale))
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = ConvFeedForward(channels, ffn_ratio)
        self.ffn_scale = nn.Parameter(torch.full((channels,), residual_scale))

    def forward(self, x: Tensor, shown: slice = ALL) -> Tensor:
        """Mix the tokens of a clip.

        Args:
            x: (N, T, h, w, C).
            shown: The T' frames whose tokens are wanted; the others are only attended to.

        Returns:
            (N, T', h, w, C).
        """
        if self.temporal is not None:
            x = self.temporal(x)
        tokens = x.flatten(2, 3)  # N T L C
        if self.spatial is None:
            mixed = self.attention(self.norm(tokens), shown)  # N T' L C
        else:
            tokens = _add_scaled(tokens, self.spatial_scale, self.spatial(tokens))
            mixed = self._attend_at_each_place(self.norm(tokens), shown)  # N T' L C
        tokens = _add_scaled(tokens[:, shown], self.attention_scale, mixed)
        x = tokens.unflatten(2, x.shape[2:4])  # N T' h w C
        return _add_scaled(x, self.ffn_scale, self.ffn(self.ffn_norm(x)))

    def _attend_at_each_place(self, tokens: Tensor, shown: slice) -> Tensor:
        """Attend over the T tokens of each place: (N, T, L, C) -> (N, T', L, C)."""
        num_places = tokens.shape[2]
        places = tokens.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # NL T 1 C
        mixed = self.attention(places, shown).squeeze(2)  # NL T' C
        return mixed.unflatten(0, (-1, num_places)).transpose(1, 2)  # N T' L C


class STTransformer(BaseModule):
    """Positions and a stack of blocks over the tokens of a clip of any length and size.

    Args:
        channels: Width C of the tokens.
        depth: Number of blocks.
        position: ``'sinusoidal'`` or ``'learned'``.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        init_cfg: Initialisation config of MMEngine.
        **block: Arguments of :class:`STTransformerBlock`.
    """

    def __init__(
        self,
        channels: int = 64,
        depth: int = 3,
        position: str = 'sinusoidal',
        with_cp: bool = False,
        init_cfg: dict | None = None,
        **block,
    ) -> None:
        super().__init__(init_cfg)
        if depth < 1:
            raise ValueError(f'depth is {depth}; it must be at least 1')
        self.with_cp = with_cp
        self.position = build_position(position, channels)
        self.blocks = nn.ModuleList(STTransformerBlock(channels, **block) for _ in range(depth))
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
        for depth, block in enumerate(self.blocks, start=1):
            wanted = shown if depth == len(self.blocks) else ALL
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(block, x, wanted, use_reentrant=False)
            else:
                x = block(x, wanted)
        return self.norm(x)


def _add_scaled(x: Tensor, scale: Tensor, branch: Tensor) -> Tensor:
    """``x + scale * branch`` in one pass over the memory, in the type of ``x``."""
    return torch.addcmul(x, scale.to(x.dtype), branch.to(x.dtype))
