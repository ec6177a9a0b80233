"""Warp a person's box out of every frame of a clip, and remember how."""

import cv2
import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS

from ..frames.geometry import box_matrix, compose, inside_mask, matrix_scale
from ..frames.source_view import SourceView

__all__ = ['ClipAffine']


@TRANSFORMS.register_module()
class ClipAffine(TopdownAffine):
    """MMPose's ``TopdownAffine`` for clips, with its matrix and the crop's inside put on record.

    With an ordinary source it warps as ``TopdownAffine`` does, bit for bit (flipped frames to
    within the rounding of the interpolation). It can leave the frames unwarped, for
    :class:`GenerateLRClip` to sample them directly at low resolution, and it takes the cut-out
    frames of a person-clip cache, whose coordinates stay those of the frame.

    Required Keys:

    - those of ``TopdownAffine``; ``img`` is a list of T frames
    - img_shape: (h, w) of the frames
    - lr_source (optional): whether the source itself is of low resolution
    - source_view (optional): set by a cache, see :class:`SourceView`

    Modified Keys:

    - those of ``TopdownAffine``; ``img`` stays as it is where the warp is deferred

    Added Keys:

    - those of ``TopdownAffine``
    - warp_mat: (2, 3) float64, frame to crop pixels
    - source_to_input: (2, 3) float64, pixels of ``img`` before the warp to crop pixels
    - gt_mask: (H, W) uint8, 1 where the crop lies inside the frame
    - warp_deferred, lr_source: bool

    Args:
        input_size: (w, h) of the crop at high resolution.
        use_udp: As in MMPose.
        defer: Leave the frames unwarped: for degradation at the level of frames.
        lr_source: Whether the source is itself of low resolution, so that there is no
            high-resolution truth. A bool holds for all samples; a number makes a sample count as
            such where its box is magnified more than that many times; None takes the sample's own
            ``lr_source`` (default False).
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        use_udp: bool = False,
        defer: bool = False,
        lr_source: bool | float | None = None,
    ) -> None:
        super().__init__(tuple(int(side) for side in input_size), use_udp)
        self.defer = defer
        self.lr_source = lr_source

    def transform(self, results: dict) -> dict:
        """Warp the clip, or put off doing so.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        frames = results['img']
        if not isinstance(frames, list):
            raise TypeError(
                f'ClipAffine needs the list of frames of LoadClip, got {type(frames).__name__}'
            )
        results['img'] = []  # super() warps the images listed here: none
        super().transform(results)
        matrix = box_matrix(results, self.input_size, self.use_udp)
        view = results.get('source_view') or SourceView.of_frame(results['img_shape'])
        view = view.flipped(results['flip_direction']) if results.get('flip') else view
        source_to_input = compose(matrix, view.to_frame)
        low = self._is_low_resolution(results, matrix)
        results['warp_mat'] = matrix
        results['source_to_input'] = source_to_input
        results['lr_source'] = low
        results['warp_deferred'] = low or self.defer
        results['gt_mask'] = inside_mask(source_to_input, view.inside, self.input_size)
        # A cache may hold the very crops: then there is nothing to warp
        is_crop = view.image_size == self.input_size and np.allclose(
            source_to_input, np.eye(2, 3), rtol=0, atol=1e-3
        )
        if results['warp_deferred'] or is_crop:
            results['img'] = frames
        else:
            results['img'] = [_warp(frame, source_to_input, self.input_size) for frame in frames]
        return results

    def _is_low_resolution(self, results: dict, matrix) -> bool:
        if self.lr_source is None:
            return bool(results.get('lr_source', False))
        if isinstance(self.lr_source, bool):
            return self.lr_source
        return matrix_scale(matrix) > self.lr_source


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
