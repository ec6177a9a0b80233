"""Collect what the super-resolution losses need from a batch of data samples."""

from __future__ import annotations

import torch
from mmpose.utils.typing import SampleList
from torch import Tensor

__all__ = ['denormalise', 'gather_pose_targets', 'gather_sr_targets', 'masked_psnr']


def denormalise(image: Tensor, img_norm_cfg: dict | None) -> Tensor:
    """Undo the data preprocessor's normalisation.

    Args:
        image: (..., 3, H, W), normalised RGB.
        img_norm_cfg: The sample's metainfo of that name: ``mean`` and ``std``, 3 values each.

    Returns:
        Tensor: RGB, in [0, 255] where the image is a real one; unclipped.

    Raises:
        ValueError: If the normalisation is unknown.
    """
    if img_norm_cfg is None:
        raise ValueError(
            'the samples have no img_norm_cfg, so the frame cannot be turned into an image; use '
            'PoseClipDataPreprocessor, which records it'
        )
    mean, std = (image.new_tensor(img_norm_cfg[name]).view(3, 1, 1) for name in ('mean', 'std'))
    return image * std + mean


def gather_sr_targets(samples: SampleList, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Stack the high-resolution targets; a sample without one gets zeros and weight 0.

    Args:
        samples: N samples; ``gt_sr`` holds ``img`` (3, H, W), normalised, and optionally ``mask``
            (1, H, W), 1 inside the source image; ``sr_weight`` of the metainfo defaults to 1.
        like: (N, 3, H, W), the super-resolved frames.

    Returns:
        tuple: ``hr`` (N, 3, H, W), ``mask`` (N, 1, H, W) and ``weight`` (N,), in ``like``'s type.

    Raises:
        ValueError: If a target's size is not that of the super-resolved frame.
    """
    hr, mask = torch.zeros_like(like), torch.zeros_like(like[:, :1])
    weight = like.new_zeros(len(samples))
    for index, sample in enumerate(samples):
        if 'gt_sr' not in sample:
            continue
        target = sample.gt_sr
        if target.img.shape != like.shape[1:]:
            raise ValueError(
                f'gt_sr.img has shape {tuple(target.img.shape)}, the SR frame '
                f"{tuple(like.shape[1:])}; the head's `scale` must be that of GenerateLRClip"
            )
        hr[index] = target.img
        mask[index] = target.mask if 'mask' in target else 1
        weight[index] = sample.metainfo.get('sr_weight', 1.0)
    return hr, mask, weight


def gather_pose_targets(
    samples: SampleList, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Stack the ground-truth joints of the first person of every sample.

    Args:
        samples: N samples whose ``gt_instances`` may hold ``transformed_keypoints`` (1, K, 2) in
            HR-input pixels and ``keypoints_visible`` (1, K) or (1, K, 2).
        device: Where to put them.

    Returns:
        tuple: ``keypoints`` (N, K, 2) and ``visible`` (N, K); both None if no sample has joints.
    """
    instances = [sample.gt_instances if 'gt_instances' in sample else {} for sample in samples]
    labelled = [item for item in instances if 'transformed_keypoints' in item]
    if not labelled:
        return None, None
    num_joints = labelled[0].transformed_keypoints.shape[1]
    keypoints = torch.zeros(len(samples), num_joints, 2, device=device)
    visible = torch.zeros(len(samples), num_joints, device=device)
    for index, item in enumerate(instances):
        if 'transformed_keypoints' not in item:
            continue
        keypoints[index] = torch.as_tensor(item.transformed_keypoints[0], device=device)[..., :2]
        flags = torch.as_tensor(item.keypoints_visible[0], device=device)
        visible[index] = flags[..., 0] if flags.ndim == 2 else flags  # (K, 2) -> (K,)
    return keypoints, visible


def masked_psnr(sr: Tensor, hr: Tensor, mask: Tensor, samples: SampleList) -> Tensor | None:
    """Mean PSNR in dB, on images clipped to [0, 255], over the samples that have a target.

    Args:
        sr: (N, 3, H, W), normalised.
        hr: (N, 3, H, W), normalised.
        mask: (N, 1, H, W); a sample whose mask is all 0 is left out.
        samples: N samples with ``img_norm_cfg``.

    Returns:
        Tensor | None: A scalar; None if no sample has a target or the normalisation is unknown.
    """
    norm = samples[0].metainfo.get('img_norm_cfg')
    area = 3 * mask.flatten(1).sum(1)  # (N, 1, H, W) -> (N,)
    if norm is None or not area.any():
        return None
    error = denormalise(sr, norm).clamp(0, 255) - denormalise(hr, norm).clamp(0, 255)
    squares = (error.square() * mask).flatten(1).sum(1)  # (N, 3, H, W) -> (N,)
    has_target = area > 0
    mse = squares[has_target] / area[has_target]
    # Equal frames would be infinite; the floor is a tenth of a grey level, 68 dB.
    return (10 * torch.log10(255**2 / mse.clamp(min=0.01))).mean()
