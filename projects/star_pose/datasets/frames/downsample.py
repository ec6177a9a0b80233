"""Making images smaller without moving them: all methods keep the borders of the image in place.

A pixel of the small image covers a rectangle of the large one, so its centre x lies at
(x + 0.5) s - 0.5, with s the ratio of the sizes. PixelShuffle and torch's ``align_corners=False``
live on the same grid.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

__all__ = ['METHODS', 'downsample']

METHODS = ('bicubic', 'bilinear', 'area', 'nearest')
_CV2_FLAGS = {'area': cv2.INTER_AREA, 'nearest': cv2.INTER_NEAREST_EXACT}


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
