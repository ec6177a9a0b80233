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

    *Encoded* is as by :class:`mmpose.codecs.MSRAHeatmap`.

    Args:
        input_size: As in :class:`mmpose.codecs.MSRAHeatmap`, and so are the next four.
        heatmap_size: (w, h) in cells.
        sigma: Of the joints' Gaussians, in cells.
        unbiased: Refine the peaks as DARK does.
        blur_kernel_size: What the maps are blurred with before that, in cells.
        centre_prior: Deviation, in cells, of a Gaussian about the middle of the box: the peak of a
            joint is looked for in the map weighed by it, so that of two people in a box the one in
            its middle is found. MoveNet's own decoding weighs its centre map so. None: unweighed.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
        centre_prior: float | None = None,
    ) -> None:
        super().__init__(input_size, heatmap_size, sigma, unbiased, blur_kernel_size)
        self.centre = (self.scale_factor - 1) / 2
        self.prior = None
        if centre_prior is not None:
            columns, rows = (np.arange(side) - (side - 1) / 2 for side in self.heatmap_size)
            distance = rows[:, None] ** 2 + columns**2
            self.prior = np.exp(-distance / (2 * centre_prior**2)).astype(np.float32)  # h w

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
        if self.prior is None:
            keypoints, scores = super().decode(encoded)
            return keypoints + self.centre, scores
        keypoints, scores = super().decode(encoded * self.prior)
        x, y = (keypoints[0] / self.scale_factor).round().astype(int).T  # K
        width, height = self.heatmap_size
        weighed = self.prior[y.clip(0, height - 1), x.clip(0, width - 1)]
        return keypoints + self.centre, scores / weighed
