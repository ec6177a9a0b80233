"""What parts of a head, and samples of a batch, may contradict each other in."""

from __future__ import annotations

from collections.abc import Mapping

from mmpose.registry import MODELS
from mmpose.utils.typing import OptSampleList
from torch import Tensor, nn

from ..data_samples import check_normalisation, check_sizes, check_target_frame

__all__ = ['build_part', 'check_batch', 'check_sr_parts']


def build_part(name: str, config: dict | None, **shared: int) -> nn.Module | None:
    """Build a part of the head; what it shares with the head is given, or must agree.

    Args:
        name: Of the part, for the message.
        config: Its config; None: there is none.
        **shared: Arguments that the part has in common with the head.

    Raises:
        ValueError: If the config contradicts the head.
    """
    if config is None:
        return None
    config = {**shared, **config}
    for key, value in shared.items():
        if config[key] != value:
            raise ValueError(f'{name} has {key}={config[key]}, but the head has {key}={value}')
    return MODELS.build(config)


def check_sr_parts(
    handoff: nn.Module, sr_decoder: nn.Module | None, sr_loss: nn.Module | None, trains_sr: bool
) -> None:
    """Refuse an SR loss without a frame, and a decoder that nothing would train.

    Args:
        handoff: How the fused map reaches the pose network.
        sr_decoder: Makes the SR frame.
        sr_loss: Compares it with the HR frame.
        trains_sr: Whether this or another loss compares the frame itself.

    Raises:
        ValueError: If they contradict each other.
    """
    name = type(handoff).__name__
    if sr_loss is not None and not handoff.needs_sr and sr_decoder is None:
        raise ValueError(
            f'sr_loss needs a frame, but {name} makes none: set sr_decoder or drop sr_loss'
        )
    if sr_decoder is not None and not trains_sr and not handoff.needs_sr:
        raise ValueError(
            f'nothing would train sr_decoder: {name} does not read its frame and sr_loss is '
            'None; set sr_loss or drop sr_decoder'
        )


def check_batch(
    feats: tuple[Tensor, ...],
    samples: OptSampleList,
    in_channels: int,
    scale: int,
    target: str,
    num_evidence: int,
    input_size: tuple[int, int] | None,
    norm: Mapping[str, tuple],
) -> None:
    """Compare the maps and the samples with what the head was built for.

    Args:
        feats: The LR target frame (N E, 3, h, w) first and the fused map (N E, C, h, w) last.
        samples: N samples; None: only the maps are looked at.
        in_channels: Channels C.
        scale: From the LR frame to the pose network's input.
        target: ``'centre'`` or ``'last'``.
        num_evidence: Frames E of each sample.
        input_size: (w, h) of the codec, where it has one.
        norm: ``mean`` and ``std`` of the data preprocessor.

    Raises:
        ValueError: If channels, target frame, sizes or normalisation disagree.
    """
    if feats[-1].shape[1] != in_channels:
        raise ValueError(
            f'the last map has shape {tuple(feats[-1].shape)}, but the head has '
            f'in_channels={in_channels}; make it the channels of the neck or backbone'
        )
    if not samples:
        return
    if len(feats[0]) != len(samples) * num_evidence:
        raise ValueError(
            f'{len(feats[0])} clips for {len(samples)} samples, but num_frames='
            f'{num_evidence} of evidence_fusion; clips of T frames need window=T - '
            f'{num_evidence - 1} in the data preprocessor'
        )
    check_target_frame(samples, target, num_evidence)
    check_sizes(samples, feats[0], scale, input_size)
    check_normalisation(samples, norm)
