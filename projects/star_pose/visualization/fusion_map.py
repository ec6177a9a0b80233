"""A picture of the adaptive fusion: which branch the network trusts where."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from .canvas import resize_nearest, stack_columns, stack_row, titled

__all__ = ['draw_fusion_weights']


def draw_fusion_weights(
    weights: torch.Tensor,
    names: Sequence[str] = ('Transformer', 'CNN'),
    image: np.ndarray | None = None,
    tile_height: int = 384,
) -> np.ndarray:
    """Draw one map a branch: viridis, dark 0 and bright 1, titled with its mean and its range.

    Args:
        weights: (B, h, w) or (B, C, h, w) in [0, 1]; channels are averaged.
        names: B titles.
        image: The picture that the maps belong to, (H, W, 3) RGB uint8; drawn first where given.
        tile_height: Height in pixels of a map.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        ValueError: If the shape is neither of the two, or the number of names is not B.
    """
    maps = torch.as_tensor(weights).detach().float().cpu()
    if maps.ndim == 4:
        maps = maps.mean(1)  # (B, C, h, w) -> (B, h, w)
    if maps.ndim != 3 or len(names) != len(maps):
        raise ValueError(
            f'weights has shape {tuple(weights.shape)} and names {len(names)} entries; '
            'give (B, h, w) or (B, C, h, w) and B names'
        )
    size = (round(tile_height * maps.shape[2] / maps.shape[1]), tile_height)
    tiles = [] if image is None else [titled(resize_nearest(image, size), 'Image')]
    for name, values in zip(names, maps.numpy(), strict=True):
        grey = np.clip(values * 255, 0, 255).astype(np.uint8)
        picture = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
        title = f'{name} {values.mean():.2f} ({values.min():.2f} to {values.max():.2f})'
        tiles.append(titled(resize_nearest(picture, size), title))
    return stack_columns([stack_row(tiles)])
