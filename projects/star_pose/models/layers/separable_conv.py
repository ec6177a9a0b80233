"""The depthwise separable convolution that MoveNet's pyramid and head are made of."""

from torch import nn

__all__ = ['separable_conv']


def separable_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build a depthwise 3x3 without bias, a 1x1 and a ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1),
        nn.ReLU(),
    )
