"""A moving pinhole camera."""

import dataclasses

import numpy as np

from .signals import smooth_noise

__all__ = ['Camera', 'film']


@dataclasses.dataclass(frozen=True)
class Camera:
    """One instant of a camera.

    Args:
        position: (3,) metres.
        rotation: (3, 3) world to camera; the rows are right, down and forward.
        focal: Focal length, pixels.
        size: Image size (w, h), pixels.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float
    size: tuple[int, int]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project world points (..., 3) to pixels (..., 2) and depths (...), metres.

        The centre of the upper left pixel is (0, 0). Depths below 0.05 m are clamped for the
        division; callers discard them.
        """
        local = (points - self.position.astype(points.dtype)) @ self.rotation.T.astype(points.dtype)
        depth = local[..., 2]
        centre = np.array([(self.size[0] - 1) / 2, (self.size[1] - 1) / 2], points.dtype)
        scale = points.dtype.type(self.focal) / np.maximum(depth, 0.05)
        return local[..., :2] * scale[..., None] + centre, depth

    def plane_homography(self, origin, u_axis, v_axis) -> np.ndarray:
        """Homography (3, 3) from coordinates (u, v) on a world plane to pixels."""
        basis = np.stack([u_axis, v_axis, np.asarray(origin) - self.position], axis=1)
        intrinsics = np.array([
            [self.focal, 0, (self.size[0] - 1) / 2], [0, self.focal, (self.size[1] - 1) / 2],
            [0, 0, 1],
        ])  # fmt: skip
        return intrinsics @ self.rotation @ basis


def _look_at(position: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, (0, 1, 0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward])


def film(
    times: np.ndarray,
    subject: np.ndarray,
    size: tuple[int, int],
    person_pixels: float,
    rng: np.random.Generator,
) -> list[Camera]:
    """Draw a camera movement: resting, hand-held, panning after the subject, travelling, zooming.

    Args:
        times: (T,) seconds, ascending.
        subject: (T, 3) where the action is, metres.
        size: Image size (w, h), pixels.
        person_pixels: Height of a 1.7 m person at the subject, pixels.
        rng: Draws the movement.

    Returns:
        One camera an instant.
    """
    distance = rng.uniform(6.0, 16.0)
    azimuth = rng.uniform(-0.35, 0.35)
    elevation = np.deg2rad(rng.choice([rng.uniform(2, 9), rng.uniform(2, 9), rng.uniform(10, 30)]))
    focal = person_pixels / 1.7 * distance
    middle = subject.mean(axis=0)
    follow = rng.choice([0.0, rng.uniform(0.4, 0.9)])
    shake = rng.choice([0.0, rng.uniform(0.002, 0.012)])
    zoom = 1 + rng.choice([0.0, 0.0, rng.uniform(-0.2, 0.25)]) * smooth_noise(times, rng, 6)
    travel = rng.choice([0.0, 0.0, rng.uniform(-0.5, 0.5)])
    orbit = rng.choice([0.0, 0.0, rng.uniform(-0.1, 0.1)])
    quiver = [smooth_noise(times, rng, rng.uniform(0.6, 2.0)) for _ in range(3)]
    drift = [smooth_noise(times, rng, 6) for _ in range(3)]
    # the operator keeps the subject about the middle: sharp moves are smoothed away
    aim = middle + follow * (_running_mean(subject, 21) - middle)
    aim = aim + np.stack(drift, 1) * 0.12 * (shake > 0)
    cameras = []
    for i, t in enumerate(times - times.mean()):
        angle = azimuth + orbit * t
        away = np.array([np.sin(angle) * np.cos(elevation), np.sin(elevation),
                         np.cos(angle) * np.cos(elevation)])  # fmt: skip
        side = np.array([np.cos(angle), 0, -np.sin(angle)])
        position = middle + away * distance + side * travel * t
        position[1] = max(position[1], 0.4)
        jolt = shake * distance * np.array([quiver[0][i], quiver[1][i], 0])
        rotation = _look_at(position, aim[i] + jolt, 0.6 * shake * quiver[2][i])
        cameras.append(Camera(position, rotation, float(focal * zoom[i]), size))
    return cameras


def _running_mean(path: np.ndarray, width: int) -> np.ndarray:
    """Centred mean of a path (T, 3) over `width` samples, the ends repeated."""
    padded = np.pad(path, ((width // 2, width // 2), (0, 0)), mode='edge')
    kernel = np.ones(width) / width
    return np.stack([np.convolve(column, kernel, 'valid') for column in padded.T], 1)
