"""The HR crop of a data sample: its pixels, and where joints of the source image lie in it."""

import numpy as np
import torch

__all__ = ['image_to_crop', 'target_to_rgb']


def target_to_rgb(image: torch.Tensor, img_norm_cfg: dict | None) -> torch.Tensor:
    """Bring ``gt_sr.img`` back to RGB in [0, 255].

    Args:
        image: (3, H, W); uint8 BGR as packed, or float RGB as the data preprocessor normalised it.
        img_norm_cfg: The sample's metainfo of that name: ``mean`` and ``std``, 3 values each, in
            RGB order and in [0, 255]. Only a float image needs it.

    Returns:
        (3, H, W) float32 RGB in [0, 255].

    Raises:
        ValueError: If the image is float and its normalisation is unknown.
    """
    if image.dtype == torch.uint8:
        return image.flip(0).float()
    if img_norm_cfg is None:
        raise ValueError(
            f'gt_sr.img has dtype {image.dtype}, so it is normalised, but the sample has no '
            'img_norm_cfg to undo it; use PoseClipDataPreprocessor, which records it'
        )
    mean, std = (
        torch.tensor(img_norm_cfg[key], device=image.device).view(3, 1, 1)
        for key in ('mean', 'std')
    )
    return image.float() * std + mean


def image_to_crop(keypoints: np.ndarray, metainfo: dict) -> np.ndarray:
    """Map keypoints of the source image into the HR crop that the network saw.

    The inverse of what ``TopdownPoseEstimator.add_pred_to_datasample`` does to predictions; like
    that, it spreads the box over ``input_size`` pixels, so that under a UDP affine the result is
    off by less than one HR pixel.

    Args:
        keypoints: (N, K, 2) in pixels of the source image.
        metainfo: A data sample's, with ``input_center``, ``input_scale`` and ``input_size`` (w, h).

    Returns:
        (N, K, 2) in pixels of the crop.
    """
    centre, scale = np.asarray(metainfo['input_center']), np.asarray(metainfo['input_scale'])
    return (keypoints - centre + scale / 2) / scale * np.asarray(metainfo['input_size'])
