"""A heatmap head whose maps are distributions over the cells."""

from __future__ import annotations

import math

import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from mmpose.utils.typing import OptSampleList
from torch import Tensor

__all__ = ['SoftmaxHeatmapHead']


@MODELS.register_module()
class SoftmaxHeatmapHead(HeatmapHead):
    """MMPose's heatmap head with a softmax over the cells of each joint's map.

    It is decoded as :class:`mmpose.models.HeatmapHead` is. On the few samples that a CPU sees in an
    hour it learns several times faster than SimCC, whose last layer has to learn every place anew
    (docs/findings.md).

    Args:
        in_channels: Channels of the last level.
        out_channels: Number K of joints.
        loss: Takes logits, target heatmaps and weights, as :class:`SpatialKLLoss` does.
        **kwargs: As :class:`mmpose.models.HeatmapHead`; ``decoder`` must be given, an
            ``MSRAHeatmap`` or a Gaussian ``UDPHeatmap``: one map a joint, which is a Gaussian.

    Raises:
        ValueError: If the decoder is another one, or its Gaussian has no width.
    """

    def __init__(
        self, in_channels: int, out_channels: int, loss: dict | None = None, **kwargs
    ) -> None:
        loss = loss or {'type': 'SpatialKLLoss'}
        super().__init__(in_channels, out_channels, loss=loss, **kwargs)
        gaussian = isinstance(self.decoder, MSRAHeatmap) or (
            isinstance(self.decoder, UDPHeatmap) and self.decoder.heatmap_type == 'gaussian'
        )
        if not gaussian:
            raise ValueError(
                f'decoder is {kwargs.get("decoder")}; it must be a codec of one Gaussian heatmap '
                "a joint: type='MSRAHeatmap', or type='UDPHeatmap' with heatmap_type='gaussian'"
            )
        if not self.decoder.sigma > 0:
            raise ValueError(f'decoder has sigma={self.decoder.sigma}; it must be above 0')
        self.total = 2 * math.pi * self.decoder.sigma**2  # the sum of a Gaussian whose peak is 1

    def logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the maps before the softmax, (N, K, h, w)."""
        return super().forward(feats)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the heatmaps (N, K, h, w), in [0, 1].

        Their scale is that of the codec's targets: a joint that is found as sharply as it was
        taught, or more sharply, has a peak of 1, so that scores mean what those of other heatmap
        heads do.
        """
        logits = self.logits(feats)
        heatmaps = self.total * logits.flatten(2).softmax(-1)  # (N, K, h w)
        # Divided, not cut off: the peak keeps its shape and its place.
        heatmaps = heatmaps / heatmaps.amax(-1, keepdim=True).clamp(min=1)
        return heatmaps.view_as(logits)

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: OptSampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Compute ``loss_kpt``.

        Args:
            feats: The levels of a backbone or neck; the last is read.
            batch_data_samples: N samples with ``gt_fields.heatmaps`` and
                ``gt_instance_labels.keypoint_weights``.
            train_cfg: Not used.
        """
        target = torch.stack([sample.gt_fields.heatmaps for sample in batch_data_samples])
        weights = [sample.gt_instance_labels.keypoint_weights for sample in batch_data_samples]
        return {'loss_kpt': self.loss_module(self.logits(feats), target, torch.cat(weights))}
