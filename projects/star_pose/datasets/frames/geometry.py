"""Affine matrices of the pipeline and the pixel grids they lead to.

A matrix is (2, 3) float64 and maps pixel centres: x_out = M @ (x, y, 1). All sizes are (w, h).
"""

import cv2
import numpy as np
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

__all__ = [
    'apply_matrix',
    'box_matrix',
    'compose',
    'inside_mask',
    'invert',
    'matrix_scale',
    'recover_matrix',
    'resize_matrix',
]


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The matrix of ``outer(inner(x))``."""
    lower = np.vstack([inner, [0.0, 0.0, 1.0]])
    return np.asarray(outer, dtype=np.float64) @ lower


def invert(matrix: np.ndarray) -> np.ndarray:
    """The matrix of the inverse map."""
    return cv2.invertAffineTransform(np.asarray(matrix, dtype=np.float64))


def apply_matrix(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def matrix_scale(matrix: np.ndarray) -> float:
    """Output pixels per input pixel of length, the geometric mean over both axes."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def resize_matrix(
    factors: tuple[float, float], offset: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """The map of cutting at ``offset`` and resizing by ``factors``.

    Resizing keeps the image's borders, not its corner pixels' centres: x -> (x + 0.5) f - 0.5.

    Args:
        factors: Output size over input size, (x, y).
        offset: Input pixel (x, y) that becomes the corner of the cut.
    """
    (fx, fy), (x, y) = factors, offset
    return np.array([[fx, 0, (0.5 - x) * fx - 0.5], [0, fy, (0.5 - y) * fy - 0.5]])


def box_matrix(results: dict, input_size: tuple[int, int], use_udp: bool) -> np.ndarray:
    """The matrix with which MMPose's ``TopdownAffine`` has warped a sample.

    Args:
        results: The sample after ``TopdownAffine``: ``input_center``, ``input_scale`` and, if its
            box was turned, ``bbox_rotation`` in degrees.
        input_size: Of the crop.
        use_udp: As of ``TopdownAffine``.
    """
    rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
    make = get_udp_warp_matrix if use_udp else get_warp_matrix
    matrix = make(results['input_center'], results['input_scale'], rotation, input_size)
    return matrix.astype(np.float64)


def recover_matrix(results: dict) -> np.ndarray | None:
    """Find the matrix of a sample that a stock ``TopdownAffine`` has warped.

    It does not record whether it worked with UDP: of the two possible matrices, the one that maps
    ``keypoints`` to ``transformed_keypoints`` is the one.

    Returns:
        The matrix; None for a sample without keypoints.

    Raises:
        ValueError: Neither matrix maps the keypoints to the transformed ones.
    """
    mapped = results.get('transformed_keypoints')
    if results.get('keypoints') is None or mapped is None or mapped.ndim != 3:
        return None
    candidates = [box_matrix(results, results['input_size'], udp) for udp in (True, False)]
    errors = [
        np.abs(apply_matrix(matrix, results['keypoints'][..., :2]) - mapped[..., :2]).max()
        for matrix in candidates
    ]
    best = int(np.argmin(errors))
    # Coordinates far outside the crop carry float32 rounding of their own size
    if errors[best] > 1e-2 + 1e-4 * np.abs(mapped).max():
        raise ValueError(
            f'transformed_keypoints of {results.get("img_path")} are {errors[best]:.3f} px off '
            'every matrix of its box: a transform between TopdownAffine and here moved them; '
            'use ClipAffine, which records its matrix'
        )
    return candidates[best]


def inside_mask(
    matrix: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """Mark the pixels of a warped image that show the source and no border fill at all.

    Args:
        matrix: Source to output.
        box: (x1, y1, x2, y2), the first and last pixel centres of the source that count.
        size: Of the output.

    Returns:
        (h, w) uint8, 1 where bilinear sampling needs pixels inside ``box`` only.
    """
    width, height = size
    inverse = invert(matrix)
    x1, y1, x2, y2 = box
    tolerance = 1e-4  # the matrices are computed in float32 upstream
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    low, high = np.array([x1, y1]) - tolerance, np.array([x2, y2]) + tolerance
    mapped = apply_matrix(inverse, corners)
    if (mapped >= low).all() and (mapped <= high).all():
        return np.ones((height, width), np.uint8)  # the box is convex: all between is inside too
    # Along a row both source coordinates are linear, so its inside is an interval: of x for each
    # of them in turn, infinite or empty (inf to inf) where the coordinate does not change
    rows = np.arange(height)
    first, last = np.zeros(height), np.full(height, width - 1.0)
    for axis in (0, 1):
        slope, at_zero = inverse[axis, 0], inverse[axis, 1] * rows + inverse[axis, 2]
        with np.errstate(divide='ignore', over='ignore'):
            ends = np.array([low[axis] - at_zero, high[axis] - at_zero]) / slope  # 2 H
        first = np.maximum(first, ends.min(axis=0))
        last = np.minimum(last, ends.max(axis=0))
    columns = np.arange(width)
    return ((columns >= first[:, None]) & (columns <= last[:, None])).astype(np.uint8)
