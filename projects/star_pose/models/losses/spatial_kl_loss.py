"""The distance of two maps that are distributions over their cells."""

from __future__ import annotations

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['SpatialKLLoss']


@MODELS.register_module()
class SpatialKLLoss(nn.Module):
    """Kullback-Leibler divergence of a map's softmax over its cells from the target's distribution.

    Heatmaps as distributions follow Nibali et al., "Numerical Coordinate Regression with
    Convolutional Neural Networks" (arXiv 1801.07372), which regularises by a divergence of this
    kind. It is scale-free, and the many empty cells do not outweigh the few that matter, as they
    do in a squared error.

    Args:
        loss_weight: Factor of the loss.

    Raises:
        ValueError: If ``loss_weight`` is negative.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}; it must not be negative')
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """Compare the maps.

        Args:
            logits: (N, K, h, w), any real numbers.
            target: (N, K, h, w), not negative; brought to a sum of 1. An empty map does not count.
            weights: (N, K), not negative.

        Returns:
            Tensor: The weighted mean over the maps that count, in nats, fp32; 0 if there is none.
        """
        target = target.float().flatten(2)  # (N, K, h w)
        total = target.sum(-1, keepdim=True)  # (N, K, 1)
        target = target / total.clamp(min=1e-6)
        found = logits.float().flatten(2).log_softmax(-1)
        divergence = (torch.special.xlogy(target, target) - target * found).sum(-1)  # (N, K)
        weights = weights * (total[..., 0] > 0)
        return self.loss_weight * (divergence * weights).sum() / weights.sum().clamp(min=1e-6)
