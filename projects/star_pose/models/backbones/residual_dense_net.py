"""A small residual dense network for super-resolution, with the layers of ISR's models."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['ResidualDenseNet']


class _DenseBlock(BaseModule):
    """Add to a map what one convolution sees in it, (N, C, h, w)."""

    def __init__(self, channels: int, growth_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, growth_channels, 3, padding=1)
        self.fuse = nn.Conv2d(channels + growth_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fuse(torch.cat((x, self.conv(x).relu()), 1))


@MODELS.register_module()
class ResidualDenseNet(BaseModule):
    """Super-resolve images by dense blocks, all of which are joined, and a nearest upsampling.

    The network of Zhang et al., "Residual Dense Network for Image Super-Resolution" (CVPR 2018)
    with one layer a block, and the upsampling of the Python package ISR, whose ESRGAN weights
    ``tools/convert_esrgan.py`` reads. MMagic's ``RDNNet`` upsamples otherwise.

    Args:
        num_blocks: Dense blocks.
        growth_channels: Channels of each block's convolution.
        mid_channels: Channels of the maps between the blocks.
        scale: Upsampling factor.
        init_cfg: As :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        num_blocks: int = 10,
        growth_channels: int = 64,
        mid_channels: int = 64,
        scale: int = 4,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.shallow = nn.ModuleList(
            nn.Conv2d(channels, mid_channels, 3, padding=1) for channels in (3, mid_channels)
        )
        self.blocks = nn.ModuleList(
            _DenseBlock(mid_channels, growth_channels) for _ in range(num_blocks)
        )
        self.join = nn.Sequential(
            nn.Conv2d(num_blocks * mid_channels, mid_channels, 1),
            nn.Conv2d(mid_channels, mid_channels, 3, padding=1),
        )
        self.upsample = nn.Sequential(
            nn.Conv2d(mid_channels, 64, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 3 * scale**2, 3, padding=1),
            nn.Upsample(scale_factor=scale),
            nn.Conv2d(3 * scale**2, 3, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Super-resolve images (N, 3, h, w), RGB in [0, 1]: (N, 3, H, W), unclipped."""
        first = self.shallow[0](x)
        x = self.shallow[1](first)
        seen = []
        for block in self.blocks:
            x = block(x)
            seen.append(x)
        return self.upsample(first + self.join(torch.cat(seen, 1)))
