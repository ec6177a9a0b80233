"""What the models read from data samples: the target frame, sizes, normalisation, HR targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpose.utils.typing import SampleList
from torch import Tensor

__all__ = [
    'TARGETS',
    'as_clip',
    'check_normalisation',
    'check_sizes',
    'check_target',
    'check_target_frame',
    'denormalise',
    'gather_pose_targets',
    'gather_sr_targets',
    'masked_psnr',
    'target_index',
]

TARGETS = ('centre', 'last')


def as_clip(x: Tensor) -> Tensor:
    """Check a batch of clips (N, T, 3, h, w) or images (N, 3, h, w); return (N, T, 3, h, w).

    Raises:
        ValueError: If it is neither.
    """
    clip = x.unsqueeze(1) if x.ndim == 4 else x
    if clip.ndim != 5 or clip.shape[1] < 1 or clip.shape[2] != 3:
        raise ValueError(
            f'the input has shape {tuple(x.shape)}; it must be a batch of clips '
            '(N, T >= 1, 3, h, w) or of images (N, 3, h, w)'
        )
    return clip


def check_target(target: str, allowed: tuple[str, ...] = TARGETS) -> str:
    """Return ``target`` if it is allowed.

    Raises:
        ValueError: If it is not.
    """
    if target not in allowed:
        raise ValueError(f'target is {target!r}; it must be one of {allowed}')
    return target


def target_index(num_frames: int, target: str) -> int:
    """Return the position of the target frame in a clip of ``num_frames`` (>= 1) frames.

    The centre of an even number of frames is the later of the middle two.

    Example:
        >>> target_index(5, 'centre'), target_index(4, 'centre'), target_index(5, 'last')
        (2, 2, 4)
    """
    if num_frames < 1:
        raise ValueError(f'the clip has {num_frames} frames; it needs at least 1')
    return num_frames - 1 if check_target(target) == 'last' else num_frames // 2


def check_target_frame(samples: SampleList, target: str, num_evidence: int = 1) -> None:
    """Check that the clips' target is the frame that the model reconstructs.

    Args:
        samples: Samples with ``target_idx`` and ``frame_paths``; without them nothing is checked.
        target: ``'centre'`` or ``'last'``.
        num_evidence: Windows E that each clip of T frames was cut into, of T - E + 1 frames each.

    Raises:
        ValueError: If it is another one.
    """
    meta = samples[0].metainfo
    if 'target_idx' not in meta or 'frame_paths' not in meta:
        return
    num_frames = len(meta['frame_paths'])
    window = max(num_frames - num_evidence + 1, 1)
    expected = target_index(window, target) + target_index(num_evidence, target)
    found = {int(sample.metainfo['target_idx']) for sample in samples}
    if found != {expected}:
        raise ValueError(
            f'target_idx is {sorted(found)} in clips of {num_frames} frames, but the model '
            f'reconstructs frame {expected} (target={target!r}); set the same `target` in '
            'SampleClipFrames, the backbone and the head'
        )


def check_sizes(
    samples: SampleList, lr_target: Tensor, scale: int, codec_size: tuple[int, int] | None
) -> None:
    """Check that pipeline, codec and LR frame agree on the size of the pose network's input.

    Args:
        samples: Samples with ``input_size`` (w, h); without it nothing is checked.
        lr_target: The LR frame, (N, 3, h, w).
        scale: From the LR frame to the pose network's input. 1: there is no super-resolution, and
            the codec alone maps the LR frame to larger pixels; then the shapes must agree.
        codec_size: The codec's ``input_size`` (w, h), if it has one.

    Raises:
        ValueError: If they do not.
    """
    if 'input_size' not in samples[0].metainfo:
        return
    size = tuple(int(side) for side in samples[0].metainfo['input_size'])
    frame = (lr_target.shape[-1] * scale, lr_target.shape[-2] * scale)
    agree = size[0] * frame[1] == size[1] * frame[0] if scale == 1 else size == frame
    if not agree or (codec_size is not None and tuple(codec_size) != size):
        raise ValueError(
            f'sizes (w, h) disagree: the pipeline made input_size={size}, the codec says '
            f'{codec_size}, the LR frame times scale={scale} is {frame}; make them one in the '
            '`codec` dict and `scale`'
        )


def check_normalisation(samples: SampleList, expected: dict[str, Sequence[float]]) -> None:
    """Check that the frames are normalised as the head was told.

    Args:
        samples: Samples with ``img_norm_cfg``; without it nothing is checked.
        expected: ``mean`` and ``std``, 3 values each.

    Raises:
        ValueError: If the two differ.
    """
    norm = samples[0].metainfo.get('img_norm_cfg')
    for name in () if norm is None else ('mean', 'std'):
        wanted, found = ([round(value, 3) for value in row[name]] for row in (expected, norm))
        if wanted != found:
            raise ValueError(
                f'the data preprocessor has {name}={found}, the head {name}={wanted}; make the '
                "head's the same"
            )


def denormalise(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undo a data preprocessor's normalisation: (..., 3, H, W), RGB in [0, 255], unclipped.

    Args:
        image: (..., 3, H, W).
        mean: What was subtracted, 3 values.
        std: What it was divided by, 3 values.
    """
    mean, std = (torch.as_tensor(x, device=image.device).view(3, 1, 1) for x in (mean, std))
    return image * std.to(image.dtype) + mean.to(image.dtype)


def gather_sr_targets(samples: SampleList, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Stack the HR frames; a sample without one gets zeros and weight 0.

    Args:
        samples: N samples; ``gt_sr`` holds ``img`` (3, H, W), normalised, and optionally ``mask``
            (1, H, W), 1 inside the source image.
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
        weight[index] = 1
    return hr, mask, weight


def gather_pose_targets(
    samples: SampleList, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Stack the labelled joints of the first person of every sample.

    Args:
        samples: N samples whose ``gt_instances`` may hold ``transformed_keypoints`` (1, K, 2) and
            ``keypoints_visible`` (1, K) or (1, K, 2).
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
    """Average the PSNR in dB, on images clipped to [0, 255], over the samples with a target.

    Args:
        sr: (N, 3, H, W).
        hr: (N, 3, H, W).
        mask: (N, 1, H, W); a sample whose mask is all 0 is left out.
        samples: N samples with ``img_norm_cfg``.

    Returns:
        Tensor | None: A scalar; None if no sample has a target or the normalisation is unknown.
    """
    norm = samples[0].metainfo.get('img_norm_cfg')
    area = 3 * mask.flatten(1).sum(1)  # (N, 1, H, W) -> (N,)
    if norm is None or not area.any():
        return None
    error = denormalise(sr, **norm).clamp(0, 255) - denormalise(hr, **norm).clamp(0, 255)
    squares = (error.square() * mask).flatten(1).sum(1)  # (N, 3, H, W) -> (N,)
    has_target = area > 0
    mse = squares[has_target] / area[has_target]
    # Equal frames would be infinite; the floor is a tenth of a grey level, 68 dB.
    return (10 * torch.log10(255**2 / mse.clamp(min=0.01))).mean()
