"""MoveNet's backbone: MobileNetV2 with a feature pyramid that ends in one map of stride 4.

Google, "Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021; Sandler et al.,
"MobileNetV2", arXiv 1801.04381. The network is published as a graph, whose numbers these are.
"""

from __future__ import annotations

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmpose.models.backbones import MobileNetV2
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..layers.separable_conv import separable_conv
from .stem_map import StemMap

__all__ = ['MoveNet']

STRIDE = 32  # of the deepest level
TOP_CHANNELS = 1280  # at any width: MMPose's MobileNetV2 widens them too
LEVELS = (1, 2, 3, 7)  # the last layers of strides 4, 8 and 16, and the 1280 channels
# A pyramid level's channels, from stride 32 to stride 4, and what its sum is turned into.
LATERAL_CHANNELS = (64, 64, 32, 24)
SMOOTH_CHANNELS = (32, 24, 24)


@MODELS.register_module()
class MoveNet(MobileNetV2):
    """The backbone of MoveNet Lightning or Thunder, for RGB in [-1, 1].

    Batch norms are folded into the convolutions, as in the published weights, so that there are
    none. Convolutions pad as TensorFlow's ``SAME`` does, which for stride 2 is to the right and at
    the bottom.

    Args:
        arch: ``'lightning'`` (2.3 M parameters with its head) or ``'thunder'`` (6.2 M).
        with_cp: Recompute blocks in the backward pass, which saves memory.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If ``arch`` is neither.
    """

    WIDTHS = {'lightning': 1.0, 'thunder': 1.75}  # noqa: RUF012

    out_channels = SMOOTH_CHANNELS[-1]
    """Channels of the last map."""

    def __init__(
        self, arch: str, with_cp: bool = False, init_cfg: dict | list[dict] | None = None
    ) -> None:
        if arch not in self.WIDTHS:
            raise ValueError(f'arch={arch!r}: MoveNet has {sorted(self.WIDTHS)}')
        # Without norms the scale has to come from the weights: the fan of the outputs, MMPose's
        # default, would make depthwise convolutions vanish.
        default = {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in'}
        super().__init__(
            widen_factor=self.WIDTHS[arch],
            out_indices=LEVELS,
            conv_cfg={'type': 'Conv2dAdaptivePadding'},
            norm_cfg=None,
            with_cp=with_cp,
            init_cfg=init_cfg or default,
        )
        self.arch = arch
        self.conv2 = ConvModule(self.in_channels, TOP_CHANNELS, 1, act_cfg=self.act_cfg)
        widths = [self._width(index) for index in LEVELS[:-1]]
        entering = (TOP_CHANNELS, *reversed(widths))
        self.laterals = nn.ModuleList(
            nn.Conv2d(*channels, 1) for channels in zip(entering, LATERAL_CHANNELS, strict=True)
        )
        self.smooth = nn.ModuleList(
            separable_conv(*channels)
            for channels in zip(LATERAL_CHANNELS[1:], SMOOTH_CHANNELS, strict=True)
        )
        # The first stride-4 map ends layer 2; no activation follows it there. Windows begin at the
        # cell's first pixel: the first cell of stride 2 is about pixel 1, of stride 4 about 3.
        self.stem_map = StemMap(
            ('conv1', 'layer1', 'layer2'), widths[0], rectified=False, origin=3.0
        )

    def _width(self, index: int) -> int:
        """Return the channels of a MobileNet layer's output."""
        return getattr(self, self.layers[index])[-1].conv[-1].out_channels

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the levels.

        Args:
            image: (N, 3, H, W), RGB in [-1, 1]; H and W are multiples of 32.

        Returns:
            tuple[Tensor, ...]: MobileNet's maps of stride 4, 8, 16 and 32, and last the pyramid's
            (N, 24, H/4, W/4).

        Raises:
            ValueError: If a side is no multiple of 32.
        """
        levels = super().forward(image)
        if levels[-1].shape[-1] * 8 != levels[0].shape[-1] or (
            levels[-1].shape[-2] * 8 != levels[0].shape[-2]
        ):
            height, width = image.shape[-2:]
            raise ValueError(
                f"input of {width}x{height} (w x h): both sides of MoveNet's input must be "
                f"multiples of {STRIDE}; change the codec's input_size"
            )
        fused = self.laterals[0](levels[-1])
        deeper_first = levels[-2::-1]
        for lateral, smooth, level in zip(
            self.laterals[1:], self.smooth, deeper_first, strict=True
        ):
            # Half-pixel centres, as TensorFlow's UpSampling2D.
            upsampled = F.interpolate(fused, scale_factor=2, mode='bilinear', align_corners=False)
            fused = smooth(upsampled + lateral(level))
        return (*levels, fused)
