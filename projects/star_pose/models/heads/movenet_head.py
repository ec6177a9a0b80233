"""MoveNet's keypoint heatmaps, as a head of MMPose."""

from __future__ import annotations

from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..layers.separable_conv import separable_conv

__all__ = ['MoveNetHead']

HIDDEN_CHANNELS = 96
PRIOR_LOGIT = -2.19  # a joint is as likely as 0.1 in every cell: CenterNet, arXiv 1904.07850


@MODELS.register_module()
class MoveNetHead(HeatmapHead):
    """The heatmap branch of MoveNet: MMPose's heatmap head with scores in [0, 1].

    Decoding, flip test and losses are those of :class:`mmpose.models.HeatmapHead`. The three other
    branches of the published graphs are not part of it: docs/design.md says what they measured.

    Args:
        in_channels: Channels of the last level.
        out_channels: Number K of joints.
        decoder: A codec of heatmaps; the shipped weights are for ``CellCentreHeatmap``.
        loss: Of the heatmaps; MMPose's mean squared error if None.
        init_cfg: As :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        in_channels: int = 24,
        out_channels: int = 17,
        decoder: dict | None = None,
        loss: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        final = {'type': 'Normal', 'name': 'final_layer', 'std': 0.001, 'bias': PRIOR_LOGIT}
        default = {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'override': final}
        super().__init__(
            in_channels,
            out_channels,
            deconv_out_channels=None,
            final_layer=None,
            loss=loss or {'type': 'KeypointMSELoss', 'use_target_weight': True},
            decoder=decoder,
            init_cfg=init_cfg or default,
        )
        self.conv_layers = separable_conv(in_channels, HIDDEN_CHANNELS)
        self.final_layer = nn.Conv2d(HIDDEN_CHANNELS, out_channels, 1)

    def logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the maps before the sigmoid, (N, K, h, w).

        Args:
            feats: Levels; the last is read.
        """
        return super().forward(feats)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the heatmaps (N, K, h, w) in [0, 1]; ``feats`` as in :meth:`logits`."""
        return self.logits(feats).sigmoid()
