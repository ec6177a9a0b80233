"""The residual block of super-resolution networks: two convolutions and no normalisation."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = ['ResidualBlock', 'kaiming_scaled_']


def kaiming_scaled_(layer: nn.Conv2d | nn.Linear, scale: float = 1.0) -> None:
    """Initialise a layer by Kaiming's rule times ``scale``, and its bias with 0."""
    nn.init.kaiming_normal_(layer.weight, mode='fan_in', nonlinearity='relu')
    layer.weight.data.mul_(scale)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, as in EDSR (Lim et al., CVPRW 2017), without batch norm.

    Its weights start at a tenth of Kaiming's rule, so that a stack of blocks starts near the
    identity (Wang et al., "ESRGAN", ECCVW 2018).

    Args:
        channels: Width C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        kaiming_scaled_(self.conv1, 0.1)
        kaiming_scaled_(self.conv2, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))
