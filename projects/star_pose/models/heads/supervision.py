"""What supervises a head: the pose head's losses, those of the SR frame, and distillation."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.structures import PixelData
from mmpose.utils.typing import SampleList
from torch import Tensor, nn

from ..data_samples import denormalise, gather_pose_targets, gather_sr_targets, masked_psnr
from ..losses.pose_aware_sr_loss import scale_loss

__all__ = ['add_pred_sr', 'distillation_losses', 'pose_losses', 'sr_losses']


def pose_losses(
    head: nn.Module, feats: tuple[Tensor, ...], samples: SampleList, train_cfg: dict, weight: float
) -> dict[str, Tensor]:
    """Return a pose head's own entries; those whose name holds ``loss`` are weighted.

    Args:
        head: An MMPose head.
        feats: Levels that it reads.
        samples: N samples with its labels.
        train_cfg: As the head's ``loss`` takes it.
        weight: Of the losses.
    """
    entries = head.loss(feats, samples, train_cfg=train_cfg)
    return {
        name: scale_loss(value, weight) if 'loss' in name else value
        for name, value in entries.items()
    }


def sr_losses(
    loss: nn.Module, sr: Tensor, samples: SampleList, pose_losses: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Compare the SR frame with the samples' HR frames.

    Args:
        loss: A loss such as :class:`PoseAwareSRLoss`.
        sr: (N, 3, H, W).
        samples: N samples; those without ``gt_sr`` count with weight 0.
        pose_losses: What the pose head gave, which the loss may weigh too.

    Returns:
        dict[str, Tensor]: The loss's entries, and ``psnr`` in dB where a sample has a target.
    """
    hr, mask, weight = gather_sr_targets(samples, sr)
    keypoints, visible = gather_pose_targets(samples, sr.device)
    losses = loss(
        sr,
        hr,
        keypoints,
        visible,
        mask,
        skeleton=samples[0].metainfo.get('skeleton_links'),
        sample_weight=weight,
        pose_losses=pose_losses,
    )
    psnr = masked_psnr(sr.detach(), hr, mask, samples)
    return losses if psnr is None else {**losses, 'psnr': psnr}


def distillation_losses(
    loss: nn.Module,
    student: tuple[dict, Tensor | tuple],
    look: Callable[[Tensor], tuple[dict, Tensor | tuple]],
    sr: Tensor | None,
    samples: SampleList,
    frame: Tensor,
) -> dict[str, Tensor]:
    """Compare the student's view with the teacher's of the samples' HR frames.

    Args:
        loss: A loss such as :class:`FrozenNetworkDistillation`.
        student: Levels by name, and the output.
        look: What the teacher makes of HR frames (N, 3, H, W), of the same form.
        sr: (N, 3, H, W); None where no SR frame is made.
        samples: N samples; those without ``gt_sr`` count with weight 0.
        frame: (N, 3, H, W), whose size and device the HR frames have.

    Returns:
        dict[str, Tensor]: The loss's entries, and ``psnr`` in dB where there is an SR frame and a
        sample has a target.
    """
    hr, mask, weight = gather_sr_targets(samples, frame)
    frames = None if sr is None else (sr, hr, mask)
    losses = loss(student, look(hr), frames, weight)
    psnr = None if sr is None else masked_psnr(sr.detach(), hr, mask, samples)
    return losses if psnr is None else {**losses, 'psnr': psnr}


def add_pred_sr(sr: Tensor, samples: SampleList) -> None:
    """Put the SR frame, RGB in [0, 255], into every sample as ``pred_sr``.

    Args:
        sr: (N, 3, H, W), normalised.
        samples: N samples with ``img_norm_cfg``.

    Raises:
        ValueError: If a sample does not say how it was normalised.
    """
    for frame, sample in zip(sr.detach(), samples, strict=True):
        norm = sample.metainfo.get('img_norm_cfg')
        if norm is None:
            raise ValueError(
                'the samples have no img_norm_cfg, so the frame cannot be turned into an image; '
                'use PoseClipDataPreprocessor, which records it'
            )
        sample.pred_sr = PixelData(img=denormalise(frame.float(), **norm).clamp(0, 255))
