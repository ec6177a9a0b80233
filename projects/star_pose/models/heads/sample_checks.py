"""Compare data samples with what a model was built for, before a silent mistake can follow."""

from __future__ import annotations

from mmengine.model import BaseDataPreprocessor
from mmpose.utils.typing import SampleList
from torch import Tensor

from ..backbones.target_frame import target_index

__all__ = ['check_normalisation', 'check_sizes', 'check_target_frame']


def check_target_frame(samples: SampleList, target: str) -> None:
    """Check that the clips' target is the frame that the model reconstructs.

    Args:
        samples: Samples with ``target_idx`` and ``frame_paths``; without them nothing is checked.
        target: ``'centre'`` or ``'last'``.

    Raises:
        ValueError: If it is another one.
    """
    meta = samples[0].metainfo
    if 'target_idx' not in meta or 'frame_paths' not in meta:
        return
    num_frames = len(meta['frame_paths'])
    expected = target_index(num_frames, target)
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


def check_normalisation(samples: SampleList, pose_preprocessor: BaseDataPreprocessor) -> None:
    """Check that the frames are normalised as the pose network was trained to see them.

    Args:
        samples: Samples with ``img_norm_cfg``; without it nothing is checked.
        pose_preprocessor: The nested estimator's own, which does not run; without ``mean`` and
            ``std``, as when its config has none, nothing is checked.

    Raises:
        ValueError: If the two differ.
    """
    norm = samples[0].metainfo.get('img_norm_cfg')
    if norm is None or not hasattr(pose_preprocessor, 'mean'):
        return
    for name in ('mean', 'std'):
        expected = getattr(pose_preprocessor, name).flatten().expand(3).tolist()
        expected, found = ([round(value, 3) for value in row] for row in (expected, norm[name]))
        if expected != found:
            raise ValueError(
                f"the pose network's data preprocessor has {name}={expected}, the model's {found}; "
                'only the latter runs: make it the same'
            )
