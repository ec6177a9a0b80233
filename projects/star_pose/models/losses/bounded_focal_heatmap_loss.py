"""MMPose's focal loss of heatmaps, finite where the network is sure."""

from __future__ import annotations

from mmpose.models.losses.heatmap_loss import FocalHeatmapLoss
from mmpose.registry import MODELS
from torch import Tensor

__all__ = ['BoundedFocalHeatmapLoss']

SMALLEST = 1e-4  # of a probability, and of its complement


@MODELS.register_module()
class BoundedFocalHeatmapLoss(FocalHeatmapLoss):
    """The focal loss of CornerNet (arXiv 1808.01244) for heatmaps that a sigmoid made.

    In float32 a sigmoid reaches 1 exactly, and the logarithm in
    MMPose's ``FocalHeatmapLoss`` is then infinite, times 0: one such cell makes
    all weights NaN. Probabilities stay ``1e-4`` away from 0 and 1 here, as in CenterNet
    (arXiv 1904.07850).
    """

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        target_weights: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            output: (N, K, h, w) in [0, 1].
            target: (N, K, h, w), Gaussians that are 1 in the cell of the joint.
            target_weights: (N, K).
            mask: (N, K, h, w) or (N, 1, h, w).
        """
        output = output.clamp(SMALLEST, 1 - SMALLEST)
        return super().forward(output, target, target_weights, mask)
