"""Tiles, titles and text: the layout that the pictures of clips share.

Images here are (H, W, 3) RGB uint8 arrays; sizes in arguments are (w, h). Text is set with Pillow,
because OpenCV's stroke fonts are hard to read at the size of a caption.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

__all__ = [
    'BACKGROUND',
    'INK',
    'frame_tile',
    'put_text',
    'resize_nearest',
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
