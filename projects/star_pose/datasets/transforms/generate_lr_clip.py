"""Make the low-resolution clip that the model sees, and its high-resolution truth."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from ..frames.downsample import METHODS, downsample
from ..frames.geometry import (
    apply_matrix,
    compose,
    inside_mask,
    invert,
    matrix_scale,
    recover_matrix,
    resize_matrix,
)
from .degradations import ClipDegradation
from .random_source import fetch_rng

__all__ = ['GenerateLRClip']

_MARGIN = 8  # pixels at low resolution around the crop: reach of kernels and 8x8 coding blocks


@TRANSFORMS.register_module()
class GenerateLRClip(BaseTransform):
    """Turn a clip of high-resolution crops into one of low resolution.

    Three kinds of source, one pixel grid, x_lr = (x_hr + 0.5) / scale - 0.5:

    - *crop level*, the default: every crop, warped at high resolution, is made smaller.
    - *frame level* (``ClipAffine(defer=True)``): the frames are made smaller and degraded, then
      the crop is cut out of them, between their pixels; as a camera far away and its encoder do.
      They are made so small that the person gets the size of the crop.
    - a source of *low resolution* (``ClipAffine(lr_source=...)``): frames are sampled directly at
      low resolution, never enlarged and made smaller again; no degradation is added. There is no
      high-resolution truth: ``sr_weight`` is 0 and ``gt_img`` absent.

    Everything random is drawn once a clip and put into ``degradation``. Place it after the affine
    transform; ``input_size`` stays that of the high-resolution crop, which MMPose's decoding needs.

    Required Keys:

    - img: list of T (H, W, 3) uint8
    - input_size: (W, H), of ``ClipAffine`` or ``TopdownAffine``
    - target_idx
    - warp_deferred, lr_source, source_to_input, gt_mask (of ``ClipAffine``, optional)

    Modified Keys:

    - img: list of T (h, w, 3) uint8

    Added Keys:

    - gt_img: (H, W, 3) uint8, the target frame's crop before any degradation; absent where there
      is no truth, or with ``keep_hr=False``
    - gt_mask: (H, W) uint8, 1 inside the source frame; absent where the matrix is not known,
      which is a stock ``TopdownAffine`` without keypoints
    - sr_weight: 1.0, or 0.0 for a source of low resolution
    - degradation: dict with ``level``, ``scale``, ``downsample`` and ``steps``, a list of
      (name, parameters)

    Args:
        scale: Ratio of the sizes, a divisor of both sides of ``input_size``.
        downsample: One of ``'bicubic'`` (anti-aliased), ``'bilinear'`` (anti-aliased),
            ``'area'``, ``'nearest'``, or a list of them from which one is drawn a clip.
        before: Degradations (configs of :class:`ClipDegradation`) of the large images: of the
            crops, or at frame level of the frames in their own pixels.
        after: Degradations of the small images.
        keep_hr: Whether to keep the high-resolution target.
        seed: None draws anew in every fetch; a number makes the draw depend on it and the
            sample's ``id`` only, as a validation set needs.

    Raises:
        ValueError: An argument is unknown, or the crop's size is not what the affine made.
    """

    def __init__(
        self,
        scale: int = 4,
        downsample: str | list[str] = 'bicubic',
        before: list[dict] | tuple = (),
        after: list[dict] | tuple = (),
        keep_hr: bool = True,
        seed: int | None = None,
    ) -> None:
        if scale < 1:
            raise ValueError(f'scale must be a positive whole number, got {scale}')
        self.methods = [downsample] if isinstance(downsample, str) else list(downsample)
        unknown = set(self.methods) - set(METHODS)
        if unknown or not self.methods:
            raise ValueError(f'downsample must be of {METHODS}, got {downsample!r}')
        self.scale = scale
        self.before = [_build(cfg) for cfg in before]
        self.after = [_build(cfg) for cfg in after]
        self.keep_hr = keep_hr
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Make the low-resolution clip.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        width, height = results['input_size']
        if width % self.scale or height % self.scale:
            raise ValueError(f'input_size {(width, height)} is no multiple of scale {self.scale}')
        rng = fetch_rng(self.seed, _number(results.get('id', 0)))
        method = self.methods[rng.integers(len(self.methods))]
        steps: list[tuple[str, dict]] = []
        self._add_truth(results)
        if results.get('warp_deferred'):
            frames, level = self._from_frames(results, method, rng, steps)
        else:
            frames, level = self._from_crops(results, method, rng, steps), 'crop'
        results['img'] = frames
        results['degradation'] = dict(level=level, scale=self.scale, downsample=method, steps=steps)
        return results

    def _add_truth(self, results: dict) -> None:
        """Set ``gt_img``, ``gt_mask`` and ``sr_weight``."""
        low = bool(results.get('lr_source', False))
        results['sr_weight'] = 0.0 if low else 1.0
        if low or not self.keep_hr:
            results.pop('gt_mask', None)
            return
        size, target = results['input_size'], results['img'][results['target_idx']]
        if results.get('warp_deferred'):
            matrix = results['source_to_input']
            results['gt_img'] = cv2.warpAffine(target, matrix, size, flags=cv2.INTER_LINEAR)
            return
        if target.shape[:2] != (size[1], size[0]):
            raise ValueError(
                f'the frames are {target.shape[1]}x{target.shape[0]}, input_size is '
                f'{size[0]}x{size[1]}: put ClipAffine or TopdownAffine before GenerateLRClip'
            )
        if 'source_view' in results and 'source_to_input' not in results:
            raise ValueError(
                'frames of a person-clip cache were warped by TopdownAffine, which takes them for '
                'whole frames: use ClipAffine with a cache'
            )
        results['gt_img'] = target
        matrix = None if 'gt_mask' in results else recover_matrix(results)
        if matrix is not None:
            frame_height, frame_width = results['img_shape']
            inside = (0, 0, frame_width - 1, frame_height - 1)
            results['gt_mask'] = inside_mask(matrix, inside, size)

    def _from_crops(
        self, results: dict, method: str, rng: np.random.Generator, steps: list
    ) -> list[np.ndarray]:
        width, height = results['input_size']
        frames = _degrade(self.before, results['img'], rng, steps)
        frames = downsample(frames, (width // self.scale, height // self.scale), method)
        return _degrade(self.after, frames, rng, steps)

    def _from_frames(
        self, results: dict, method: str, rng: np.random.Generator, steps: list
    ) -> tuple[list[np.ndarray], str]:
        """Sample the low-resolution crop from frames that were not warped."""
        width, height = results['input_size']
        size = (width // self.scale, height // self.scale)
        to_lr = resize_matrix((1 / self.scale, 1 / self.scale))
        to_lr = compose(to_lr, results['source_to_input'])
        frames, to_cut = _cut(results['img'], to_lr, size)
        if not results['lr_source']:
            frames = _degrade(self.before, frames, rng, steps)
        factor = matrix_scale(to_lr)
        if factor < 1:
            old_height, old_width = frames[0].shape[:2]
            new = max(round(old_width * factor), 1), max(round(old_height * factor), 1)
            to_cut = compose(resize_matrix((new[0] / old_width, new[1] / old_height)), to_cut)
            frames = downsample(frames, new, method)
        if not results['lr_source']:
            frames = _degrade(self.after, frames, rng, steps)
        matrix = compose(to_lr, invert(to_cut))
        frames = [cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC) for frame in frames]
        return frames, 'source' if results['lr_source'] else 'frame'

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, downsample={self.methods}, '
            f'before={self.before}, after={self.after}, keep_hr={self.keep_hr}, seed={self.seed})'
        )


def _build(cfg: dict) -> ClipDegradation:
    step = TRANSFORMS.build(cfg)
    if not isinstance(step, ClipDegradation):
        raise TypeError(f'{type(step).__name__} is no ClipDegradation, such as ClipNoise')
    return step


def _degrade(
    chain: list[ClipDegradation], frames: list[np.ndarray], rng: np.random.Generator, steps: list
) -> list[np.ndarray]:
    for step in chain:
        frames, parameters = step.degrade(frames, rng)
        if parameters is not None:
            steps.append((type(step).__name__, parameters))
    return frames


def _cut(
    frames: list[np.ndarray], to_lr: np.ndarray, size: tuple[int, int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut the frames to what the low-resolution crop and its margin show, to save time.

    Returns:
        The cut frames and the matrix from frame to cut pixels.
    """
    width, height = size
    low, high = -_MARGIN, (width + _MARGIN, height + _MARGIN)
    corners = np.array([[low, low], [high[0], low], [low, high[1]], high], dtype=np.float64)
    mapped = apply_matrix(invert(to_lr), corners)
    frame_height, frame_width = frames[0].shape[:2]
    limit = np.array([frame_width, frame_height])
    # At least one pixel stays where the box lies outside the frame
    start = np.clip(np.floor(mapped.min(axis=0)), 0, limit - 1).astype(int)
    end = np.clip(np.ceil(mapped.max(axis=0)) + 1, start + 1, limit).astype(int)
    cuts = [frame[start[1] : end[1], start[0] : end[0]] for frame in frames]
    return cuts, resize_matrix((1.0, 1.0), (float(start[0]), float(start[1])))


def _number(sample_id) -> int:
    """A non-negative number for a sample's id, which some data sets give as text."""
    if isinstance(sample_id, (int, np.integer)):
        return abs(int(sample_id))
    return int.from_bytes(str(sample_id).encode(), 'little') % 2**63
