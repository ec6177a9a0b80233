"""The pixel grids of the pipeline: affine matrices, cuts of frames, and making images smaller.

A matrix is (2, 3) float64 and maps pixel centres: x_out = M @ (x, y, 1). All sizes are (w, h).
Making an image smaller keeps its borders in place. A pixel of the small image covers a rectangle of
the large one, so its centre x lies at (x + 0.5) s - 0.5, with s the ratio of the sizes;
PixelShuffle and torch's ``align_corners=False`` live on the same grid.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

__all__ = [
    'DOWNSAMPLING',
    'SourceView',
    'apply_matrix',
    'box_matrix',
    'compose',
    'downsample',
    'inside_mask',
    'invert',
    'recover_matrix',
    'resize_matrix',
]

DOWNSAMPLING = ('bicubic', 'bilinear', 'area', 'nearest')
_CV2_FLAGS = {'area': cv2.INTER_AREA, 'nearest': cv2.INTER_NEAREST_EXACT}


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


@dataclasses.dataclass(frozen=True)
class SourceView:
    """Images that show a cut of the frame, perhaps resized: those of a person-clip cache.

    Boxes and keypoints of such a sample stay in pixels of the frame, so that labels and results
    need no mapping; only the warp has to know.

    Attributes:
        frame_size: (w, h) of the frame.
        image_size: (w, h) of the images.
        to_frame: (2, 3) float64, image pixels to frame pixels; no rotation.
        inside: (x1, y1, x2, y2), first and last pixel centres of the images that show the frame.
        made_for: (w, h) of the crop that the cut was made for; None: any.
    """

    frame_size: tuple[int, int]
    image_size: tuple[int, int]
    to_frame: np.ndarray
    inside: tuple[float, float, float, float]
    made_for: tuple[int, int] | None = None

    @classmethod
    def of_frame(cls, shape: tuple[int, int]) -> SourceView:
        """The view of images that are the frames themselves, of shape (h, w)."""
        height, width = shape[:2]
        size = (int(width), int(height))
        return cls(size, size, np.eye(2, 3), (0.0, 0.0, width - 1.0, height - 1.0))

    @classmethod
    def of_cut(
        cls, frame_size: tuple[int, int], image_size: tuple[int, int], to_frame: np.ndarray
    ) -> SourceView:
        """The view of cuts that may reach over the frame's border."""
        corners = np.array([[0.0, 0.0], [frame_size[0] - 1.0, frame_size[1] - 1.0]])
        (x1, y1), (x2, y2) = apply_matrix(invert(to_frame), corners)
        width, height = image_size
        inside = (max(x1, 0.0), max(y1, 0.0), min(x2, width - 1.0), min(y2, height - 1.0))
        return cls(tuple(frame_size), tuple(image_size), to_frame, inside)

    def flipped(self, direction: str) -> SourceView:
        """The view after the images and, as MMPose does, the coordinates of the frame are flipped.

        Args:
            direction: ``'horizontal'``, ``'vertical'`` or ``'diagonal'``.
        """
        axes = {'horizontal': (0,), 'vertical': (1,), 'diagonal': (0, 1)}[direction]
        flip_frame, flip_image = np.eye(2, 3), np.eye(2, 3)
        inside = list(self.inside)
        for axis in axes:
            flip_frame[axis, axis] = flip_image[axis, axis] = -1
            flip_frame[axis, 2] = self.frame_size[axis] - 1
            flip_image[axis, 2] = last = self.image_size[axis] - 1
            inside[axis], inside[axis + 2] = last - inside[axis + 2], last - inside[axis]
        to_frame = compose(flip_frame, compose(self.to_frame, flip_image))
        return dataclasses.replace(self, to_frame=to_frame, inside=tuple(inside))


def downsample(frames: list[np.ndarray], size: tuple[int, int], method: str) -> list[np.ndarray]:
    """Make the frames of a clip smaller.

    Args:
        frames: T images (H, W, 3) uint8 of one size.
        size: (w, h) of the result, not larger than the images.
        method: ``'bicubic'`` and ``'bilinear'`` are anti-aliased: the kernel is widened by the
            ratio of the sizes (cubic with a = -0.5, as in Pillow and MATLAB; cv2's are not
            widened and alias). ``'area'`` averages rectangles. ``'nearest'`` picks the pixel at
            the rectangle's centre; with an even ratio there is none, and its right lower
            neighbour, half a pixel off, is picked.

    Returns:
        T images (h, w, 3) uint8.
    """
    if method in _CV2_FLAGS:
        return [cv2.resize(frame, size, interpolation=_CV2_FLAGS[method]) for frame in frames]
    clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)  # T H W C -> T C H W, a view
    small = F.interpolate(
        clip, size=(size[1], size[0]), mode=method, antialias=True, align_corners=False
    )
    return list(np.ascontiguousarray(small.permute(0, 2, 3, 1).numpy()))  # T C h w -> T h w C
