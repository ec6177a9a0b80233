"""The CNN branch: the target frame's texture with that of the frames next to it, then residuals."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = ['NeighbourTexture', 'ResidualBlock', 'kaiming_scaled_']


def kaiming_scaled_(layer: nn.Conv2d | nn.Linear, scale: float = 1.0) -> None:
    """Initialise a layer by Kaiming's rule times ``scale``, and its bias with 0."""
    nn.init.kaiming_normal_(layer.weight, mode='fan_in', nonlinearity='relu')
    layer.weight.data.mul_(scale)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class NeighbourTexture(nn.Module):
    """Convolve the features of a frame and of the frames next to it together.

    Where the clip ends, its last frame stands in for the ones beyond. Frames are not aligned.

    Args:
        in_channels: Channels c of the features.
        channels: Width C of the result.
        num_neighbours: Frames beside the target: half of them before, half after it; 0: the target
            alone.
        past_only: All of them before it.
    """

    def __init__(
        self, in_channels: int, channels: int, num_neighbours: int = 0, past_only: bool = False
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

    def forward(self, features: Tensor, shown: slice) -> Tensor:
        """Look at each of the T' frames ``shown`` and at its neighbours.

        (N, T, c, h, w) -> (N T', C, h, w).
        """
        num_frames = features.shape[1]
        wanted = range(num_frames)[shown]
        nearest = [min(max(t + step, 0), num_frames - 1) for t in wanted for step in self.steps]
        frames = features[:, nearest].unflatten(1, (-1, len(self.steps)))  # N T' S c h w
        return self.mix(frames.flatten(2, 3).flatten(0, 1))  # NT' Sc h w -> NT' C h w


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, as in EDSR (Lim et al., CVPRW 2017), without batch norm.

    The last convolution starts at a tenth of Kaiming's rule, so that a stack of blocks starts near
    the identity (Wang et al., "ESRGAN", ECCVW 2018). The first starts in full: with both small the
    gradient of the branch starts a hundred times too small.

    Args:
        channels: Width C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        kaiming_scaled_(self.conv1)
        kaiming_scaled_(self.conv2, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))
