"""Heatmaps whose cells are areas of pixels."""

from __future__ import annotations

import numpy as np
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import KEYPOINT_CODECS

__all__ = ['CellCentreHeatmap']


@KEYPOINT_CODECS.register_module()
class CellCentreHeatmap(MSRAHeatmap):
    """MMPose's Gaussian heatmaps on the grid that TensorFlow's networks are trained on.

    A cell of stride 4 is the area of the pixels 4i to 4i + 3, and its centre is at 4i + 1.5; in
    :class:`mmpose.codecs.MSRAHeatmap` it is at 4i. On this grid a mirrored image has mirrored
    heatmaps: ``flip_test`` needs no ``shift_heatmap``.

    *Encoded* and arguments are those of :class:`mmpose.codecs.MSRAHeatmap`.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
    ) -> None:
        super().__init__(input_size, heatmap_size, sigma, unbiased, blur_kernel_size)
        self.centre = (self.scale_factor - 1) / 2

    def encode(
        self, keypoints: np.ndarray, keypoints_visible: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Encode joints.

        Args:
            keypoints: (1, K, 2), pixels of the input.
            keypoints_visible: (1, K).

        Returns:
            ``heatmaps`` (K, h, w) and ``keypoint_weights`` (1, K).
        """
        return super().encode(keypoints - self.centre, keypoints_visible)

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode heatmaps.

        Args:
            encoded: (K, h, w).

        Returns:
            Joints (1, K, 2) in pixels of the input, and their scores (1, K).
        """
        keypoints, scores = super().decode(encoded)
        return keypoints + self.centre, scores
