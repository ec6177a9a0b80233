"""Augmentations of a clip, drawn once for all its frames: camera motion, colours, frame borders."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_random_params
from mmpose.datasets.transforms import PhotometricDistortion
from mmpose.registry import TRANSFORMS

from ..frames.geometry import compose, inside_mask, invert
from .degradations import fetch_rng

__all__ = ['ClipPhotometricDistortion', 'PseudoClip', 'RandomFrameBorder']


@TRANSFORMS.register_module()
class PseudoClip(BaseTransform):
    """Move a smooth virtual camera over a still; the target frame stays untouched, bit for bit.

    Translation, zoom, rotation and exposure follow v dt + a dt^2 / 2, with dt the distance to the
    target in frames, and velocity v and acceleration a drawn once a clip, so that the motion is
    smooth, sub-pixel and zero at the target: boxes and keypoints remain true. Rotation and zoom
    are about the centre of the person's box. There is no motion of the person in such a clip, only
    of the camera.

    Frames are sampled with a cubic kernel: a linear one would blur all frames but the target, and
    a model could learn to tell them by that. What comes in over the border is mirrored.

    Required Keys:

    - img: list of T (H, W, 3) uint8
    - target_idx
    - bbox: (1, 4) float32, xyxy

    Modified Keys:

    - img

    Added Keys:

    - camera_motion: (T, 2, 3) float32, pixels of the target frame to pixels of each frame; before
      any flip
    - camera_gain: (T,) float32, factor on the grey values

    Args:
        translation: Largest speed in x and y, as a share of the box's longer side per frame.
        zoom: Largest speed of the zoom per frame (0.01: one per cent).
        rotation: Largest speed of the rotation, degrees per frame.
        exposure: Largest speed of the exposure, share of the grey value per frame.
        acceleration: Largest acceleration, as a share of the respective speed per frame.
        videos: Whether to move the camera over samples that have ``video_frames``, too.
        prob: Probability of moving the camera; else the clip repeats the still.

    Raises:
        ValueError: An argument is negative or out of range.
    """

    def __init__(
        self,
        translation: float = 0.02,
        zoom: float = 0.01,
        rotation: float = 1.0,
        exposure: float = 0.02,
        acceleration: float = 0.5,
        videos: bool = False,
        prob: float = 1.0,
    ) -> None:
        speeds = dict(translation=translation, zoom=zoom, rotation=rotation, exposure=exposure)
        for name, value in {**speeds, 'acceleration': acceleration}.items():
            if not value >= 0:  # NaN is neither
                raise ValueError(f'{name} must not be negative, got {value}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        # In the order x, y, zoom, rotation, exposure
        self.speeds = np.array([translation, translation, zoom, rotation, exposure])
        self.acceleration = acceleration
        self.videos = videos
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if 'video_frames' in results and not self.videos:
            return results
        rng = fetch_rng()
        if rng.random() >= self.prob:
            return results
        frames, target = results['img'], results['target_idx']
        x1, y1, x2, y2 = results['bbox'][0]
        size, centre = max(x2 - x1, y2 - y1), np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        path = self._draw_path(rng, np.arange(len(frames)) - target)  # T 5
        matrices = [_camera_matrix(state, centre, size) for state in path]
        gains = np.exp(path[:, 4])
        results['camera_motion'] = np.stack(matrices).astype(np.float32)
        results['camera_gain'] = gains.astype(np.float32)
        view = results.get('source_view')
        if view is not None:  # the images are cuts: the camera moves in pixels of the frame
            matrices = [compose(invert(view.to_frame), compose(m, view.to_frame)) for m in matrices]
        results['img'] = [
            frame if t == target else _move(frame, matrices[t], gains[t])
            for t, frame in enumerate(frames)
        ]
        return results

    def _draw_path(self, rng: np.random.Generator, dt: np.ndarray) -> np.ndarray:
        """Draw the camera's state (x, y, log zoom, degrees, log exposure) at times ``dt`` (T,)."""
        velocity = rng.uniform(-1, 1, 5) * self.speeds
        acceleration = rng.uniform(-1, 1, 5) * self.speeds * self.acceleration
        return dt[:, None] * velocity + dt[:, None] ** 2 / 2 * acceleration  # T 5

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(speeds={self.speeds.tolist()}, '
            f'acceleration={self.acceleration}, videos={self.videos}, prob={self.prob})'
        )


def _camera_matrix(state: np.ndarray, centre: np.ndarray, size: float) -> np.ndarray:
    """Matrix from the target frame to the frame at a state of the camera."""
    x, y, log_zoom, degrees, _ = state
    zoom, angle = np.exp(log_zoom), np.deg2rad(degrees)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = centre - turn @ centre + size * np.array([x, y])
    return np.column_stack([turn, shift])


def _move(frame: np.ndarray, matrix: np.ndarray, gain: float) -> np.ndarray:
    height, width = frame.shape[:2]
    moved = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return cv2.convertScaleAbs(moved, alpha=gain)


@TRANSFORMS.register_module()
class ClipPhotometricDistortion(PhotometricDistortion):
    """MMPose's ``PhotometricDistortion``, drawn once a clip and applied to all its frames.

    Place it after ``ClipAffine``, where crops are small, and before ``GenerateLRClip``, so that
    the high-resolution target gets the same colours.

    Required Keys:

    - img: list of T (H, W, 3) uint8

    Modified Keys:

    - img

    Args:
        prob: Probability of changing a clip, in [0, 1].
        **kwargs: Arguments of MMPose's ``PhotometricDistortion``.

    Raises:
        ValueError: ``prob`` is out of range.
    """

    def __init__(self, prob: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if fetch_rng().random() < self.prob:
            with cache_random_params(self):  # super() draws in the first frame, then repeats
                parent = super().transform
                results['img'] = [parent(dict(img=frame))['img'] for frame in results['img']]
        return results


# (x1, y1, x2, y2) of a frame without end.
_OPEN = np.array([-np.inf, -np.inf, np.inf, np.inf])


@TRANSFORMS.register_module()
class RandomFrameBorder(BaseTransform):
    """Show a person as one at the border of the picture: black beyond a line beside the joints.

    Video has people at its borders, and sets of photographs with the person in the middle have few:
    a network that has never seen a black margin takes it for part of the scene. Each side of the
    frame is moved in with a probability of its own, for all frames of the clip alike. The sides
    are those of the frame, so that they turn with a turned box. No labelled joint is cut off.

    Place it after ``ClipAffine`` and before ``GenerateLRClip``.

    Required Keys:

    - img: list of T (H, W, 3) uint8 crops
    - warp_mat, gt_mask: of ``ClipAffine``
    - keypoints: (1, K, 2) in the frame's pixels
    - keypoints_visible: (1, K), 0 where not labelled

    Modified Keys:

    - img: 0 beyond the border
    - gt_mask: 0 beyond the border

    Args:
        prob: Probability of moving a side, in [0, 1], for each of the four.
        gap: (least, most) distance of the border from the outermost labelled joint, as a share of
            the longer side of the box of the labelled joints.

    Raises:
        ValueError: An argument is out of range.
        KeyError: It stands before ``ClipAffine``.
    """

    def __init__(self, prob: float = 0.25, gap: tuple[float, float] = (0.05, 0.4)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        if not 0 <= gap[0] <= gap[1]:
            raise ValueError(f'gap must be (least, most) with 0 <= least <= most, got {gap}')
        self.prob = prob
        self.gap = tuple(gap)

    def transform(self, results: dict) -> dict:
        if 'warp_mat' not in results:
            raise KeyError(
                'RandomFrameBorder needs warp_mat and gt_mask: place it after ClipAffine'
            )
        rng = fetch_rng()
        moved, gaps = rng.random(4) < self.prob, rng.uniform(*self.gap, 4)
        joints = results['keypoints'][results['keypoints_visible'] > 0]
        if not moved.any() or not len(joints):
            return results
        low, high = joints.min(axis=0), joints.max(axis=0)
        gaps *= (high - low).max()
        box = np.where(moved, np.concatenate([low - gaps[:2], high + gaps[2:]]), _OPEN)
        height, width = results['img'][0].shape[:2]
        inside = inside_mask(results['warp_mat'], tuple(box), (width, height))
        results['img'] = [frame * inside[..., None] for frame in results['img']]
        results['gt_mask'] = results['gt_mask'] * inside
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, gap={self.gap})'
