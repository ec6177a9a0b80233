"""A model between the pixels of the crops and the decoder, as one network."""

from __future__ import annotations

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor, nn

__all__ = ['PoseNetwork']


class PoseNetwork(nn.Module):
    """All of a model between the pixels of the crops and the decoder, as one network.

    Args:
        model: A top-down estimator in eval mode.
    """

    def __init__(self, model: TopdownPoseEstimator) -> None:
        super().__init__()
        self.model = model
        preprocessor = model.data_preprocessor
        self.swap = getattr(preprocessor, '_channel_conversion', False)
        normalised = getattr(preprocessor, '_enable_normalize', False)
        for name, default in (('mean', 0.0), ('std', 1.0)):
            value = getattr(preprocessor, name) if normalised else torch.tensor(default)
            self.register_buffer(name, value.clone().float(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute what the head's decoder reads: heatmaps, SimCC vectors or coordinates.

        Args:
            pixels: (N, T, 3, h, w) or (N, 3, h, w) uint8 BGR.
        """
        values = pixels.float()
        if self.swap:
            values = values.flip(-3)
        feats = self.model.extract_feat((values - self.mean) / self.std)
        head = self.model.head
        # A head that fuses the evidence of frames gives that of each frame by itself
        return head.evidence(feats) if hasattr(head, 'evidence') else head(feats)
