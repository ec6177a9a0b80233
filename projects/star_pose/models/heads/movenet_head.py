"""MoveNet's keypoint heatmaps, as a head of MMPose."""

from __future__ import annotations

import torch
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..layers.separable_conv import separable_conv

__all__ = ['MoveNetHead']

HIDDEN_CHANNELS = 96
PRIOR_LOGIT = -2.19  # a joint is as likely as 0.1 in every cell: CenterNet, arXiv 1904.07850
EYES = slice(1, 3)  # of COCO's 17 joints; PoseTrack18's have neck and head top there, else the same


@MODELS.register_module()
class MoveNetHead(HeatmapHead):
    """The heatmap branch of MoveNet: MMPose's heatmap head with scores in [0, 1].

    Decoding, flip test and losses are those of :class:`mmpose.models.HeatmapHead`. The three other
    branches of the published graphs are not part of it: docs/design.md says what they measured.

    Weights may know 19 joints: neck and head top lie beside COCO's 17, and stand in the place of
    the eyes where ``joints`` asks for PoseTrack18's.

    Args:
        in_channels: Channels of the last level.
        out_channels: Number K of joints.
        decoder: A codec of heatmaps; the shipped weights are for ``CellCentreHeatmap``.
        loss: Of the heatmaps; MMPose's mean squared error if None.
        joints: ``'coco'`` or ``'posetrack18'``, whose 17 joints are put out. For other joints leave
            ``'coco'`` and set ``out_channels``.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If ``joints`` is neither, or PoseTrack18's are not 17.
    """

    optional_parts = ('neck_and_head_top',)  # a checkpoint may lack it, or hold it in excess

    def __init__(
        self,
        in_channels: int = 24,
        out_channels: int = 17,
        decoder: dict | None = None,
        loss: dict | None = None,
        joints: str = 'coco',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if joints not in ('coco', 'posetrack18'):
            raise ValueError(f"joints is {joints!r}; it must be 'coco' or 'posetrack18'")
        if joints == 'posetrack18' and out_channels != 17:
            raise ValueError(f'out_channels is {out_channels}; PoseTrack18 has 17 joints')
        final = {'type': 'Normal', 'std': 0.001, 'bias': PRIOR_LOGIT}
        layers = (
            ['final_layer', 'neck_and_head_top'] if joints == 'posetrack18' else ['final_layer']
        )
        override = [{'name': name, **final} for name in layers]
        default = {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'override': override}
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
        self.neck_and_head_top = None
        if joints == 'posetrack18':
            self.neck_and_head_top = nn.Conv2d(HIDDEN_CHANNELS, 2, 1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Leave what COCO's joints do not need, so that MMEngine does not call it unexpected."""
        if self.neck_and_head_top is None:
            for name in ('weight', 'bias'):
                state_dict.pop(f'{prefix}neck_and_head_top.{name}', None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the maps before the sigmoid, (N, K, h, w).

        Args:
            feats: Levels; the last is read.
        """
        hidden = self.conv_layers(feats[-1])  # N 96 h w
        maps = self.final_layer(hidden)
        if self.neck_and_head_top is None:
            return maps
        own = self.neck_and_head_top(hidden)
        return torch.cat((maps[:, : EYES.start], own, maps[:, EYES.stop :]), 1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the heatmaps (N, K, h, w) in [0, 1]; ``feats`` as in :meth:`logits`."""
        return self.logits(feats).sigmoid()
