"""From the tensors of a data sample to RGB pictures."""

import numpy as np
import torch
from mmpose.structures import PoseDataSample

from ..evaluation.sr_quality_metric import target_to_rgb

__all__ = ['clip_to_rgb', 'hr_to_rgb', 'sr_to_rgb']


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
