"""Pixel-shuffle decoder: from a feature map and the LR frame to the super-resolved frame."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['PixelShuffleSRDecoder', 'bicubic_upsample', 'has_pretrained_init']

SLOPE = 0.1
"""Slope of the LeakyReLU below zero."""


def bicubic_upsample(frame: Tensor, scale: int) -> Tensor:
    """Upsample by torch's bicubic kernel, unclipped: the baseline that all models start from.

    Args:
        frame: (N, 3, h, w); fp32 whatever autocast says.
        scale: Integer factor; 1 returns the frame itself.

    Returns:
        Tensor: (N, 3, H, W) on the half-pixel grid, which pixel shuffle follows too.
    """
    if scale == 1:
        return frame
    return F.interpolate(
        frame.float(), scale_factor=scale, mode='bicubic', align_corners=False, antialias=False
    )


def has_pretrained_init(init_cfg: dict | list[dict] | None) -> bool:
    """Tell whether an ``init_cfg`` loads a checkpoint, which zeroing afterwards would spoil."""
    configs = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
    return any(config['type'] == 'Pretrained' for config in configs)


@MODELS.register_module()
class PixelShuffleSRDecoder(BaseModule):
    """Decode a fused feature map to the super-resolved target frame.

    A convolution at low resolution and one pixel shuffle to RGB (Shi et al., "Real-Time Single
    Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
    arXiv 1609.05158), added to the bicubic frame. Nothing but the three colours is ever computed at
    high resolution, whose memory traffic was most of a decoder's time.

    The last convolution starts at zero, so that the decoder starts as the bicubic upsampling. The
    gradient upstream of it is exactly zero in the first step and non-zero from the second on.

    Args:
        in_channels: Channels C of the fused map.
        mid_channels: Channels of one more convolution in front; None: there is none.
        scale: Integer upsampling factor >= 1.
        init_cfg: As :class:`mmengine.model.BaseModule`. Default: Kaiming for all but the last
            convolution, which is zeroed again after it.

    Raises:
        ValueError: If ``scale`` or a channel count is below 1.
    """

    def __init__(
        self,
        in_channels: int = 32,
        mid_channels: int | None = None,
        scale: int = 4,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        width = in_channels if mid_channels is None else mid_channels
        if min(in_channels, width, scale) < 1 or int(scale) != scale:
            raise ValueError(
                f'in_channels={in_channels}, mid_channels={mid_channels}, scale={scale}: '
                'each must be an integer >= 1'
            )
        # A head's default init sets every Conv2d below it to std 0.001, which starves a decoder;
        # its own init runs after the parent's and wins.
        default = {'type': 'Kaiming', 'layer': 'Conv2d', 'a': SLOPE, 'mode': 'fan_in'}
        super().__init__(init_cfg or {**default, 'nonlinearity': 'leaky_relu'})
        self.scale = scale
        body = [] if mid_channels is None else [nn.Conv2d(in_channels, width, 3, padding=1)]
        self.body = nn.Sequential(*body, nn.LeakyReLU(SLOPE))
        self.to_rgb = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        self._zero_output()

    def _zero_output(self) -> None:
        nn.init.zeros_(self.to_rgb.weight)
        nn.init.zeros_(self.to_rgb.bias)

    def init_weights(self) -> None:
        """Initialise, then zero the last convolution again: ``init_cfg`` overwrote it."""
        first_time = not self.is_init
        super().init_weights()
        if first_time and not has_pretrained_init(self.init_cfg):
            self._zero_output()

    def forward(self, fused: Tensor, lr_target: Tensor) -> Tensor:
        """Super-resolve the target frame.

        Args:
            fused: (N, C, h, w).
            lr_target: (N, 3, h, w).

        Returns:
            Tensor: (N, 3, H, W), unclipped, fp32.
        """
        detail = self.to_rgb(self.body(fused))  # (N, C, h, w) -> (N, 3 scale^2, h, w)
        detail = F.pixel_shuffle(detail, self.scale)  # (N, 3, H, W)
        return bicubic_upsample(lr_target, self.scale) + detail
