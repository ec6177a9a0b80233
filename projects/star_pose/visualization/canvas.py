"""What the pictures of clips share: frames of a data sample, tiles, titles and text.

Images here are (H, W, 3) RGB uint8 arrays; sizes in arguments are (w, h). Text is set with Pillow,
because OpenCV's stroke fonts are hard to read at the size of a caption.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from matplotlib import font_manager
from mmpose.structures import PoseDataSample
from PIL import Image, ImageDraw, ImageFont

from ..evaluation.sr_quality_metric import target_to_rgb

__all__ = [
    'BACKGROUND',
    'INK',
    'clip_to_rgb',
    'frame_tile',
    'hr_to_rgb',
    'put_text',
    'resize_nearest',
    'sr_to_rgb',
    'stack_columns',
    'stack_row',
    'text_size',
    'titled',
]

BACKGROUND = (250, 250, 250)
INK = (40, 40, 40)


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which Matplotlib ships, so that pictures look alike on every machine."""
    return ImageFont.truetype(font_manager.findfont('DejaVu Sans'), size)


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of ``text`` set at ``size`` pixels.

    Returns:
        (w, h); h is the line height, the same for every text of one size.
    """
    ascent, descent = _font(size).getmetrics()
    return int(np.ceil(_font(size).getlength(text))), ascent + descent


def put_text(
    image: np.ndarray,
    text: str,
    position: tuple[int, int],
    size: int = 14,
    colour: Sequence[int] = INK,
) -> np.ndarray:
    """Write one line of text.

    Args:
        image: (H, W, 3) uint8.
        text: What to write.
        position: (x, y) of the upper left corner.
        size: Height of the type in pixels.
        colour: RGB.

    Returns:
        A copy of the image with the text on it.
    """
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text(position, text, font=_font(size), fill=tuple(colour))
    return np.array(picture)


def resize_nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize so that every source pixel stays a visible square.

    Args:
        image: (H, W, 3) uint8.
        size: (w, h) of the result.
    """
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)


def frame_tile(image: np.ndarray, colour: Sequence[int], width: int = 3) -> np.ndarray:
    """Draw a border inside the image's edge; the size stays."""
    framed = image.copy()
    h, w = image.shape[:2]
    corner = (w - 1 - width // 2, h - 1 - width // 2)
    return cv2.rectangle(framed, (width // 2, width // 2), corner, tuple(colour), width)


def titled(image: np.ndarray, title: str, size: int = 14) -> np.ndarray:
    """Put a centred title above an image; a title wider than the image is set smaller.

    Args:
        image: (H, W, 3) uint8.
        title: One line.
        size: Height of the type in pixels; the strip above the image depends on it alone, so that
            tiles with titles of any length align.
    """
    strip_height = text_size(title, size)[1] + 4
    fitted = size
    while fitted > 6 and text_size(title, fitted)[0] > image.shape[1]:
        fitted -= 1
    strip = np.full((strip_height, image.shape[1], 3), BACKGROUND, np.uint8)
    w, h = text_size(title, fitted)
    left = max(0, (image.shape[1] - w) // 2)
    strip = put_text(strip, title, (left, (strip_height - h) // 2), fitted)
    return np.concatenate([strip, image])


def stack_row(tiles: Sequence[np.ndarray], gap: int = 8) -> np.ndarray:
    """Put tiles of one height beside each other, ``gap`` pixels apart."""
    spacer = np.full((tiles[0].shape[0], gap, 3), BACKGROUND, np.uint8)
    pieces = [piece for tile in tiles for piece in (tile, spacer)][:-1]
    return np.concatenate(pieces, axis=1)


def stack_columns(rows: Sequence[np.ndarray], gap: int = 8, margin: int = 10) -> np.ndarray:
    """Put rows of any width under each other, centred, with a margin around the whole."""
    width = max(row.shape[1] for row in rows)
    canvas = []
    for index, row in enumerate(rows):
        left = (width - row.shape[1]) // 2
        right = width - row.shape[1] - left
        below = gap if index + 1 < len(rows) else 0
        canvas.append(_pad(row, (0, below), (left, right)))
    return _pad(np.concatenate(canvas), (margin, margin), (margin, margin))


def _pad(image: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    return cv2.copyMakeBorder(image, *rows, *columns, cv2.BORDER_CONSTANT, value=BACKGROUND)


def clip_to_rgb(inputs: torch.Tensor) -> list[np.ndarray]:
    """Turn a packed clip or still into pictures.

    Args:
        inputs: (T, 3, h, w) or (3, h, w) uint8 BGR.

    Returns:
        T images (h, w, 3) RGB uint8.

    Raises:
        ValueError: If the tensor is something else, such as a batch or a normalised clip.
    """
    clip = torch.as_tensor(inputs).cpu()
    if clip.dtype != torch.uint8 or clip.ndim not in (3, 4) or clip.shape[-3] != 3:
        raise ValueError(
            f'inputs has shape {tuple(clip.shape)} and dtype {clip.dtype}; give the packed clip '
            '(T, 3, h, w) or still (3, h, w) as uint8, before the data preprocessor'
        )
    clip = clip[None] if clip.ndim == 3 else clip  # -> (T, 3, h, w)
    return list(np.ascontiguousarray(clip.flip(1).permute(0, 2, 3, 1).numpy()))  # T x (h, w, 3) RGB


def sr_to_rgb(sample: PoseDataSample) -> np.ndarray | None:
    """The predicted SR frame (H, W, 3) RGB uint8, rounded; None without ``pred_sr``."""
    if 'pred_sr' not in sample:
        return None
    return _to_picture(sample.pred_sr.img)


def hr_to_rgb(sample: PoseDataSample) -> np.ndarray | None:
    """The HR target frame (H, W, 3) RGB uint8; None without ``gt_sr``."""
    if 'gt_sr' not in sample:
        return None
    return _to_picture(target_to_rgb(sample.gt_sr.img, sample.metainfo.get('img_norm_cfg')))


def _to_picture(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) float in [0, 255] -> (H, W, 3) uint8."""
    rounded = image.detach().float().cpu().round().clamp(0, 255).byte()
    return np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())
