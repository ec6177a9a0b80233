"""Batch clips of any length, normalise them, and normalise the high-resolution target alike."""

from __future__ import annotations

import torch
from mmengine.utils import is_seq_of
from mmpose.models import PoseDataPreprocessor
from mmpose.registry import MODELS
from mmpose.utils.typing import SampleList
from torch import Tensor

__all__ = ['PoseClipDataPreprocessor']


@MODELS.register_module()
class PoseClipDataPreprocessor(PoseDataPreprocessor):
    """Pose data preprocessor for stills and clips.

    MMEngine's preprocessor takes the first axis of a sample for its channels: on a clip it would
    swap *frames* instead of colours, and pad the channels. Here the frames of all clips are laid
    in a row, go through the stock preprocessor as images, and are folded back. Stills (3, H, W) go
    through the stock preprocessor unchanged, bit for bit.

    The HR frame of a sample, ``gt_sr.img``, is normalised by the same code, so that a
    super-resolved frame and its target live in the same space. Samples without it are left alone.

    Args:
        window: Frames that the front end sees at once: a clip of T frames becomes T - window + 1
            overlapping clips, one for each frame whose evidence the head fuses. None: T.
        **kwargs: As :class:`mmpose.models.PoseDataPreprocessor`: ``mean`` and ``std`` in RGB order
            and in [0, 255], ``bgr_to_rgb``, ``pad_size_divisor``, ``batch_augments`` and so on.
    """

    def __init__(self, window: int | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if window is not None and window < 1:
            raise ValueError(f'window is {window}; it must be at least 1')
        self.window = window

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make the model's inputs of a collated batch.

        Args:
            data: ``inputs``: a list of N clips (T, 3, h, w) or N images (3, H, W), or one stacked
                tensor; ``data_samples``: the N samples.
            training: Whether to apply the batch augmentations.

        Returns:
            dict: ``inputs``, float and normalised: (N, T, 3, h, w), (N E, window, 3, h, w) or
            (N, 3, H, W); and ``data_samples`` on the same device. Each sample has
            ``img_norm_cfg`` in its metainfo, by which the head turns a normalised frame back into
            an image. A ``gt_sr.img`` (3, H, W) is normalised.

        Raises:
            ValueError: If ranks or clip lengths differ within the batch, a clip is empty or does
                not hold three colours, or ``gt_sr`` meets a ``pad_size_divisor``.
        """
        if self._rank(data['inputs']) == 3:
            data = super().forward(data, training)
        else:
            data = self._forward_clips(self.cast_data(data), training)
        self._finish_samples(data['data_samples'])
        return data

    def _rank(self, inputs: list[Tensor] | Tensor) -> int:
        """Return the rank of one sample, 3 (an image) or 4 (a clip), after checking the batch."""
        shapes = sorted({tuple(sample.shape) for sample in inputs})
        ranks = {len(shape) for shape in shapes}
        if len(ranks) != 1 or not ranks <= {3, 4}:
            raise ValueError(
                f'inputs of shapes {shapes}: the samples of a batch must all be images (3, H, W) '
                'or all be clips (T, 3, h, w)'
            )
        rank = ranks.pop()
        if rank == 4:
            lengths = {shape[0] for shape in shapes}
            if len(lengths) != 1 or 0 in lengths:
                raise ValueError(
                    f'inputs of shapes {shapes}: the clips of a batch must have one length T >= 1; '
                    'set the same `num_frames` in SampleClipFrames for all of them'
                )
        if any(shape[-3] != 3 for shape in shapes):
            raise ValueError(
                f'inputs of shapes {shapes}: the third axis from the end must hold 3 colours'
            )
        return rank

    def _forward_clips(self, data: dict, training: bool) -> dict:
        clips, samples = data['inputs'], data.get('data_samples')
        num_clips, num_frames = len(clips), clips[0].shape[0]
        if is_seq_of(clips, Tensor) and len({clip.shape for clip in clips}) > 1:
            frames = [frame for clip in clips for frame in clip]  # N T of (3, h, w), to be padded
        else:
            stacked = clips if isinstance(clips, Tensor) else torch.stack(tuple(clips))
            frames = stacked.flatten(0, 1)  # (N, T, 3, h, w) -> (N T, 3, h, w)
        # No samples and no augmentation yet: both belong to clips, not to frames.
        frames = super().forward({'inputs': frames, 'data_samples': []}, training=False)['inputs']
        inputs = frames.unflatten(0, (num_clips, num_frames))  # (N T, 3, h, w) -> (N, T, 3, h, w)
        size = tuple(inputs.shape[-2:])
        for sample in samples or []:
            sample.set_metainfo({'batch_input_shape': size, 'pad_shape': size})
        if training and self.batch_augments is not None:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {'inputs': self._windows(inputs), 'data_samples': samples}

    def _windows(self, clips: Tensor) -> Tensor:
        """Cut clips into windows: (N, T, 3, h, w) -> (N E, window, 3, h, w)."""
        if self.window is None:
            return clips
        if clips.shape[1] < self.window:
            raise ValueError(
                f'clips of {clips.shape[1]} frames are shorter than window={self.window}: set '
                '`num_frames` in SampleClipFrames to window and as many more as are fused, less one'
            )
        windows = clips.unfold(1, self.window, 1)  # (N, E, 3, h, w, window)
        return windows.movedim(-1, 2).flatten(0, 1).contiguous()

    def _finish_samples(self, samples: SampleList | None) -> None:
        """Record the normalisation in every sample and normalise the HR targets."""
        samples = samples or []
        norm = {'mean': (0.0,) * 3, 'std': (1.0,) * 3}
        if self._enable_normalize:
            norm = {name: tuple(getattr(self, name).flatten().expand(3).tolist()) for name in norm}
        for sample in samples:
            sample.set_metainfo({'img_norm_cfg': norm})
        targets = [sample.gt_sr for sample in samples if 'gt_sr' in sample]
        if not targets:
            return
        if self.pad_size_divisor != 1:
            raise ValueError(
                f'pad_size_divisor={self.pad_size_divisor}: padded inputs no longer match their '
                'gt_sr; set it to 1, or keep_hr=False in GenerateLRClip'
            )
        images = [target.img for target in targets]
        images = super().forward({'inputs': images, 'data_samples': []}, training=False)['inputs']
        for target, image in zip(targets, images, strict=True):
            target.img = image[..., : target.shape[0], : target.shape[1]]
