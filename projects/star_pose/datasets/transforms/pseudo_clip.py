"""Turn a still into a clip by moving a virtual camera."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from ..frames.geometry import compose, invert
from .random_source import fetch_rng

__all__ = ['PseudoClip']


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
            if value < 0:
                raise ValueError(f'{name} must not be negative, got {value}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        # In the order x, y, zoom, rotation, exposure
        self.speeds = np.array([translation, translation, zoom, rotation, exposure])
        self.acceleration = acceleration
        self.videos = videos
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Replace all frames but the target.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
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
