"""Pictures of what a model gets, before any of it is normalised, and which branch it trusts."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmpose.structures import PoseDataSample

from .canvas import (
    BACKGROUND,
    clip_to_rgb,
    frame_tile,
    hr_to_rgb,
    put_text,
    resize_nearest,
    stack_columns,
    stack_row,
    text_size,
    titled,
)

__all__ = ['draw_fusion_weights', 'draw_sample']

_TARGET = (230, 120, 20)
_OUTSIDE = np.array([200, 60, 200])


def draw_sample(inputs, sample: PoseDataSample, metainfo: dict) -> np.ndarray:
    """Draw one sample: the clip, the joints on its target frame, and the truth.

    The tiles are the clip's frames, their pixels enlarged to the size of the high-resolution
    crop; the target frame with the labelled joints; the high-resolution target, without and with
    the joints, and with the training target's heatmaps where there are some. Pixels outside the
    source frame, which no loss may read, are tinted. Both grids share their borders, so a joint is
    at the same place in all tiles.

    Args:
        inputs: (T, 3, h, w) uint8 BGR.
        sample: What ``PackClipInputs`` packed beside it.
        metainfo: Of the data set: ``keypoint_colors`` (K, 3), ``skeleton_links`` and
            ``skeleton_link_colors``, RGB.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    size = tuple(int(side) for side in sample.metainfo['input_size'])
    frames = [resize_nearest(frame, size) for frame in clip_to_rgb(inputs)]
    target = sample.metainfo['target_idx']
    tiles = [
        titled(frame_tile(frame, _TARGET), 'target')
        if t == target
        else titled(frame, f't {t - target:+d}')
        for t, frame in enumerate(frames)
    ]
    tiles.append(titled(_draw_joints(frames[target], sample, metainfo), 'joints'))
    truth = hr_to_rgb(sample)
    if truth is not None:
        if 'mask' in sample.gt_sr:
            truth = _tint_outside(truth, sample.gt_sr.mask.numpy()[0])
        tiles.append(titled(truth, 'high resolution'))
        tiles.append(titled(_draw_joints(truth, sample, metainfo), 'joints'))
    if 'gt_fields' in sample and 'heatmaps' in sample.gt_fields:
        background = frames[target] if truth is None else truth
        heatmaps = sample.gt_fields.heatmaps.numpy()
        tiles.append(titled(_overlay_heatmaps(background, heatmaps), 'heatmaps'))
    row = stack_row(tiles)
    caption = _describe(sample)
    strip = np.full((text_size(caption, 13)[1] + 6, row.shape[1], 3), BACKGROUND, np.uint8)
    return np.concatenate([put_text(strip, caption, (2, 2), 13), row])


def _draw_joints(image: np.ndarray, sample: PoseDataSample, metainfo: dict) -> np.ndarray:
    picture = image.copy()
    instances = sample.gt_instances
    if 'transformed_keypoints' not in instances:
        return picture
    visible = np.asarray(instances.keypoints_visible)[0]
    # cv2 wants whole numbers with 4 binary places here
    points = np.rint(instances.transformed_keypoints[0] * 16).astype(int)
    links = zip(metainfo['skeleton_links'], metainfo['skeleton_link_colors'], strict=True)
    for (start, end), colour in links:
        if visible[start] > 0 and visible[end] > 0:
            ends = tuple(points[start].tolist()), tuple(points[end].tolist())
            cv2.line(picture, *ends, _rgb(colour), 1, cv2.LINE_AA, shift=4)
    for point, seen, colour in zip(points, visible, metainfo['keypoint_colors'], strict=True):
        if seen > 0:
            cv2.circle(picture, tuple(point.tolist()), 48, _rgb(colour), -1, cv2.LINE_AA, shift=4)
    return picture


def _rgb(colour) -> tuple[int, int, int]:
    return tuple(int(value) for value in colour)


def _tint_outside(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    tinted = (image * 0.6 + _OUTSIDE * 0.4).astype(np.uint8)
    return np.where(mask[..., None] > 0, image, tinted)


def _overlay_heatmaps(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Brighten an image (H, W, 3) where any of the heatmaps (K, h, w) is high."""
    size = image.shape[1::-1]
    strength = cv2.resize(heatmaps.max(axis=0), size).clip(0, 1)[..., None]
    return (image * (1 - strength) * 0.6 + np.array([255, 220, 40]) * strength).astype(np.uint8)


def _describe(sample: PoseDataSample) -> str:
    """One line: which sample, and what was drawn for it."""
    meta = sample.metainfo
    parts = [f'{meta.get("img_path")}', f'id {meta.get("id")}']
    if meta.get('flip'):
        parts.append('flipped')
    degradation = meta.get('degradation')
    if degradation:
        parts.append(degradation['downsample'])
        for name, parameters in degradation['steps']:
            values = ', '.join(
                f'{key} {value:.3g}' if isinstance(value, float) else f'{key} {value}'
                for key, value in parameters.items()
            )
            parts.append(f'{name} {values}')
    return '   '.join(parts)


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
