"""Cut a person out of every frame of a clip, then make the low-resolution clip of the crops."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS

from ..frames.geometry import (
    DOWNSAMPLING,
    SourceView,
    box_matrix,
    compose,
    downsample,
    inside_mask,
    recover_matrix,
)
from .degradations import ClipDegradation, fetch_rng

__all__ = ['ClipAffine', 'GenerateLRClip']


@TRANSFORMS.register_module()
class ClipAffine(TopdownAffine):
    """MMPose's ``TopdownAffine`` for clips; it also records its matrix and where the frame ends.

    It warps as ``TopdownAffine`` does, bit for bit (flipped frames to within the rounding of the
    interpolation). It takes the cut-out frames of a person-clip cache, too, whose coordinates stay
    those of the frame.

    Required Keys:

    - those of ``TopdownAffine``; ``img`` is a list of T frames
    - img_shape: (h, w) of the frames
    - source_view (optional): set by a cache, see :class:`SourceView`

    Modified Keys:

    - those of ``TopdownAffine``

    Added Keys:

    - those of ``TopdownAffine``
    - warp_mat: (2, 3) float64, frame to crop pixels
    - gt_mask: (H, W) uint8, 1 where the crop lies inside the frame

    Args:
        input_size: (w, h) of the crop at high resolution.
        use_udp: As in MMPose.

    Raises:
        ValueError: The size is none, or the frames come from a cache that was made for crops of
            another size.
        TypeError: ``img`` is no list of frames.
    """

    def __init__(self, input_size: tuple[int, int], use_udp: bool = False) -> None:
        if len(input_size) != 2 or min(input_size) < 1:
            raise ValueError(f'input_size must be (w, h) of at least a pixel, got {input_size}')
        super().__init__(tuple(int(side) for side in input_size), use_udp)

    def transform(self, results: dict) -> dict:
        frames = results['img']
        if not isinstance(frames, list):
            raise TypeError(
                f'ClipAffine needs the list of frames of LoadClip, got {type(frames).__name__}'
            )
        results['img'] = []  # super() warps the images listed here: none
        super().transform(results)
        matrix = box_matrix(results, self.input_size, self.use_udp)
        view = results.get('source_view') or SourceView.of_frame(results['img_shape'])
        if view.made_for not in (None, self.input_size):
            raise ValueError(
                f'the person-clip cache was made for crops of {view.made_for} (w, h), ClipAffine '
                f'has input_size={self.input_size}: make a cache for this config with '
                'tools/cache_clips.py'
            )
        view = view.flipped(results['flip_direction']) if results.get('flip') else view
        to_crop = compose(matrix, view.to_frame)
        results['warp_mat'] = matrix
        results['gt_mask'] = inside_mask(to_crop, view.inside, self.input_size)
        results['img'] = [_warp(frame, to_crop, self.input_size) for frame in frames]
        return results


def _warp(frame: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Warp a frame; a flipped one as it lies in memory.

    mmcv flips by a view with negative steps, which cv2 would copy whole, at several times the cost
    of the warp: undo the view and put the flip into the matrix.
    """
    for axis, mirrored in ((0, frame.strides[1] < 0), (1, frame.strides[0] < 0)):
        if mirrored:
            flip = np.eye(2, 3)
            flip[axis, axis], flip[axis, 2] = -1, frame.shape[1 - axis] - 1
            frame, matrix = np.flip(frame, axis=1 - axis), compose(matrix, flip)
    return cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR)


@TRANSFORMS.register_module()
class GenerateLRClip(BaseTransform):
    """Turn a clip of high-resolution crops into one of low resolution.

    The pixel grid is x_lr = (x_hr + 0.5) / scale - 0.5. Everything random is drawn once a clip and
    put into ``degradation``. Place it after the affine transform; ``input_size`` stays that of the
    high-resolution crop, which MMPose's decoding needs.

    Required Keys:

    - img: list of T (H, W, 3) uint8
    - input_size: (W, H), of ``ClipAffine`` or ``TopdownAffine``
    - target_idx
    - gt_mask (of ``ClipAffine``, optional)

    Modified Keys:

    - img: list of T (h, w, 3) uint8

    Added Keys:

    - gt_img: (H, W, 3) uint8, the target frame's crop before any degradation; absent with
      ``keep_hr=False``
    - gt_mask: (H, W) uint8, 1 inside the source frame; absent where the matrix is not known,
      which is a stock ``TopdownAffine`` without keypoints
    - degradation: dict with ``scale``, ``downsample`` and ``steps``, a list of (name, parameters)

    Args:
        scale: Ratio of the sizes, a divisor of both sides of ``input_size``.
        downsample: One of ``'bicubic'`` (anti-aliased), ``'bilinear'`` (anti-aliased),
            ``'area'``, ``'nearest'``, or a list of them from which one is drawn a clip.
        before: Degradations (configs of :class:`ClipDegradation`) of the crops.
        after: Degradations of the small images.
        prob: Probability with which a clip is degraded by them at all; the others are clean.
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
        prob: float = 1.0,
        keep_hr: bool = True,
        seed: int | None = None,
    ) -> None:
        if scale < 1:
            raise ValueError(f'scale must be a positive whole number, got {scale}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        self.methods = [downsample] if isinstance(downsample, str) else list(downsample)
        unknown = set(self.methods) - set(DOWNSAMPLING)
        if unknown or not self.methods:
            raise ValueError(f'downsample must be of {DOWNSAMPLING}, got {downsample!r}')
        self.scale = scale
        self.before = [_build(cfg) for cfg in before]
        self.after = [_build(cfg) for cfg in after]
        self.prob = prob
        self.keep_hr = keep_hr
        self.seed = seed

    def transform(self, results: dict) -> dict:
        width, height = results['input_size']
        if width % self.scale or height % self.scale:
            raise ValueError(f'input_size {(width, height)} is no multiple of scale {self.scale}')
        self._check_crops(results)
        rng = fetch_rng(self.seed, _number(results.get('id', 0)))
        method = self.methods[rng.integers(len(self.methods))]
        steps: list[tuple[str, dict]] = []
        if self.keep_hr:
            self._add_truth(results)
        else:
            results.pop('gt_mask', None)
        before, after = self.before, self.after
        if self.prob < 1 and rng.random() >= self.prob:
            before, after = [], []
        frames = _degrade(before, results['img'], rng, steps)
        frames = downsample(frames, (width // self.scale, height // self.scale), method)
        results['img'] = _degrade(after, frames, rng, steps)
        results['degradation'] = dict(scale=self.scale, downsample=method, steps=steps)
        return results

    def _check_crops(self, results: dict) -> None:
        size, target = results['input_size'], results['img'][results['target_idx']]
        if target.shape[:2] != (size[1], size[0]):
            raise ValueError(
                f'the frames are {target.shape[1]}x{target.shape[0]}, input_size is '
                f'{size[0]}x{size[1]}: put ClipAffine or TopdownAffine before GenerateLRClip'
            )
        if 'source_view' in results and 'warp_mat' not in results:
            raise ValueError(
                'frames of a person-clip cache were warped by TopdownAffine, which takes them for '
                'whole frames: use ClipAffine with a cache'
            )

    def _add_truth(self, results: dict) -> None:
        results['gt_img'] = results['img'][results['target_idx']]
        matrix = None if 'gt_mask' in results else recover_matrix(results)
        if matrix is not None:
            inside = SourceView.of_frame(results['img_shape']).inside
            results['gt_mask'] = inside_mask(matrix, inside, results['input_size'])

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, downsample={self.methods}, '
            f'before={self.before}, after={self.after}, prob={self.prob}, '
            f'keep_hr={self.keep_hr}, seed={self.seed})'
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


def _number(sample_id) -> int:
    """A non-negative number for a sample's id, which some data sets give as text."""
    if isinstance(sample_id, (int, np.integer)):
        return abs(int(sample_id))
    return int.from_bytes(str(sample_id).encode(), 'little') % 2**63
