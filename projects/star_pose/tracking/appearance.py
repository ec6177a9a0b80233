"""How people look: colours of the upper and the lower body, to tell who is who after a crossing."""

import cv2
import numpy as np

__all__ = ['person_looks']

_BINS = (6, 8, 8)  # of L, a and b
_LOW, _HIGH = np.array((0, -60, -60), np.float32), np.array((100, 60, 60), np.float32)
_HALVES = ((0.12, 0.5), (0.5, 0.92))  # of the box's height, without the head and the ground
_WIDTH = 0.5  # of the box's, about its middle: little background


def person_looks(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Describe people by the colours that they wear.

    The dot product of two descriptions is the Bhattacharyya coefficient of two colour histograms in
    CIELAB, the mean over upper and lower body: 1 for the same colours, 0 for no colour in common.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: (N, 4) as x1 y1 x2 y2.

    Returns:
        (N, D) float32, each of length 1.
    """
    h, w = image.shape[:2]
    looks = np.zeros((len(boxes), len(_HALVES), int(np.prod(_BINS))), np.float32)
    for look, (x1, y1, x2, y2) in zip(looks, np.asarray(boxes, np.float64), strict=True):
        side = _WIDTH * (x2 - x1) / 2
        left, right = _span((x1 + x2) / 2 - side, (x1 + x2) / 2 + side, w)
        for half, (begin, end) in zip(look, _HALVES, strict=True):
            top, bottom = _span(y1 + begin * (y2 - y1), y1 + end * (y2 - y1), h)
            half[:] = _histogram(image[top:bottom, left:right])
    return np.sqrt(looks / len(_HALVES)).reshape(len(boxes), looks[0].size if len(boxes) else 0)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """At least one pixel, inside the image."""
    begin = int(np.clip(low, 0, size - 1))
    return begin, int(np.clip(np.ceil(high), begin + 1, size))


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Shares of the colours (D,); neighbouring shades share their weight."""
    lab = cv2.cvtColor(np.ascontiguousarray(pixels, np.float32) / 255, cv2.COLOR_BGR2LAB)
    bins = (lab.reshape(-1, 3) - _LOW) / (_HIGH - _LOW) * _BINS
    bins = np.clip(bins.astype(int), 0, np.array(_BINS) - 1)
    counts = np.bincount(np.ravel_multi_index(tuple(bins.T), _BINS), minlength=np.prod(_BINS))
    smooth = cv2.GaussianBlur(counts.reshape(_BINS[0], -1).astype(np.float32), (1, 3), 0.5)
    return smooth.ravel() / smooth.sum()
