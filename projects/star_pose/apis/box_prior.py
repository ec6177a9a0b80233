"""What a box says about joints: they are in it or close by, and not in the people beside it."""

from __future__ import annotations

import numpy as np

__all__ = ['damp_outside']

# Parts of the box's size, the root of its area. Arms and feet reach out of a detector's box, and
# between two detections it lags behind.
_MARGIN = 0.05
_SIGMA = 0.1


def damp_outside(
    heatmaps: np.ndarray, boxes: np.ndarray, centres: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    """Damp heatmaps the further the more they lie outside the person's box.

    A crop shows more than the box, and a network marks the joints of everybody in it: the highest
    peak may be a neighbour's.

    Args:
        heatmaps: (N, K, h, w).
        boxes: (N, 4) as x1 y1 x2 y2 in the frame.
        centres: (N, 2) of the crops in the frame.
        scales: (N, 2) of the crops.

    Returns:
        (N, K, h, w) float32; what is not positive stays.
    """
    h, w = heatmaps.shape[2:]
    size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))[:, None]
    weights = []
    for axis, count in ((0, w), (1, h)):
        cells = (np.arange(count) + 0.5) / count - 0.5
        places = centres[:, axis, None] + cells * scales[:, axis, None]  # N count
        beyond = np.maximum(boxes[:, axis, None] - places, places - boxes[:, axis + 2, None])
        beyond = np.maximum(beyond - _MARGIN * size, 0) / (_SIGMA * size)
        weights.append(np.exp(-0.5 * beyond**2).astype(np.float32))
    weight = weights[1][:, None, :, None] * weights[0][:, None, None, :]  # N 1 h w
    return np.where(heatmaps > 0, heatmaps * weight, heatmaps)
