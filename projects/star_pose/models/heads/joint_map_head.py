"""Supervision in the middle: where the joints are must be readable from the fused map itself."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..losses.spatial_kl_loss import SpatialKLLoss

__all__ = ['JointMapHead', 'joint_distributions']


@torch.no_grad()
def joint_distributions(
    keypoints: Tensor, size: tuple[int, int], stride: float, sigma: float
) -> Tensor:
    """Spread every joint over the cells of a map, as a Gaussian that sums to 1.

    Args:
        keypoints: (N, K, 2).
        size: (w, h) of the map in cells.
        stride: Pixels a cell; cell i lies at pixel ``stride * i``, as in an MSRA heatmap.
        sigma: Standard deviation in cells.

    Returns:
        Tensor: (N, K, h w), fp32.
    """
    centres = keypoints.float() / stride  # (N, K, 2) in cells
    along = []
    for axis, side in enumerate(size):
        cells = torch.arange(side, device=keypoints.device, dtype=torch.float32)
        distance = cells - centres[..., axis, None]  # (N, K, side)
        along.append((-distance.square() / (2 * sigma**2)).softmax(-1))
    across, down = along
    return (down[..., :, None] * across[..., None, :]).flatten(2)  # (N, K, h, w) -> (N, K, h w)


@MODELS.register_module()
class JointMapHead(BaseModule):
    """Read a map of every joint from the fused map by one 1x1 convolution, in training only.

    Supervision in the middle of a network, after Newell et al., "Stacked Hourglass Networks for
    Human Pose Estimation" (ECCV 2016): it reaches the front end past the pose network, so that what
    is handed on shows the joints from early on. At inference nothing of it is computed.

    A joint's map is a distribution over all cells, by softmax, and is compared with a Gaussian at
    the joint by :class:`SpatialKLLoss`. It lies on the grid of the heatmaps.

    Args:
        in_channels: Channels C of the fused map.
        num_keypoints: Number K of joints.
        sigma: Standard deviation of the target in cells of the fused map.
        loss_weight: Factor of the loss, which is about ``log(h w) - log(17 sigma^2)`` at the start:
            4 for 64x48 cells.
        init_cfg: As :class:`mmengine.model.BaseModule`; by default a small normal distribution.

    Raises:
        ValueError: If ``sigma`` is not positive or ``loss_weight`` is negative.
    """

    def __init__(
        self,
        in_channels: int = 32,
        num_keypoints: int = 17,
        sigma: float = 2.0,
        loss_weight: float = 1.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or {'type': 'Normal', 'layer': 'Conv2d', 'std': 0.01})
        if sigma <= 0:
            raise ValueError(f'sigma is {sigma}; it must be positive')
        self.sigma = sigma
        self.loss_module = SpatialKLLoss(loss_weight)
        self.final_layer = nn.Conv2d(in_channels, num_keypoints, 1)

    def forward(self, fused: Tensor) -> Tensor:
        """Return the logits of every joint's map: (N, C, h, w) -> (N, K, h, w)."""
        return self.final_layer(fused)

    def loss(
        self, fused: Tensor, keypoints: Tensor | None, visible: Tensor | None, scale: float
    ) -> Tensor:
        """Compare the maps with the joints.

        Args:
            fused: (N, C, h, w), on the heatmaps' grid.
            keypoints: (N, K, 2); None: no joint is known.
            visible: (N, K), labelled where positive.
            scale: From the fused map's size to the HR frame's.

        Returns:
            Tensor: The weighted mean over the joints that are labelled and inside the frame, in
            nats; 0 if there is none.

        Raises:
            ValueError: If the samples have another number of joints.
        """
        logits = self(fused)  # (N, K, h, w)
        height, width = logits.shape[-2:]
        if keypoints is None:
            return 0 * logits.sum()
        if keypoints.shape[1] != logits.shape[1]:
            raise ValueError(
                f'the samples have {keypoints.shape[1]} joints, the head '
                f'num_keypoints={logits.shape[1]}'
            )
        limit = keypoints.new_tensor([scale * width - 1, scale * height - 1])
        inside = ((keypoints >= 0) & (keypoints <= limit)).all(-1)  # (N, K, 2) -> (N, K)
        counts = ((visible > 0) & inside).float()
        target = joint_distributions(keypoints, (width, height), scale, self.sigma)
        return self.loss_module(logits, target.view_as(logits), counts)
