"""Where the action takes place: textured ground and walls, or the user's photographs."""

import pathlib

import cv2
import numpy as np

from .camera import Camera
from .textures import GROUND_PIXELS, WALL_PIXELS, ground_texture, tint, wall_texture

__all__ = ['PhotoBackdrop', 'StageBackdrop', 'list_photographs', 'random_backdrop']

_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp'}


def list_photographs(folder: str | pathlib.Path) -> list[pathlib.Path]:
    """Image files of a folder, sorted.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder holds no image.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'background folder {folder} does not exist')
    files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise ValueError(
            f'background folder {folder} holds no image ({", ".join(sorted(_SUFFIXES))})'
        )
    return files


class StageBackdrop:
    """A ground plane, a wall behind it and the sky over it, all procedural.

    Args:
        rng: Draws the textures.
        wall_distance: Distance of the wall behind the origin, metres.
        near: How far the ground reaches towards the camera, metres.
    """

    has_ground = True

    def __init__(self, rng: np.random.Generator, wall_distance: float, near: float) -> None:
        self.wall_distance, self.width = wall_distance, 44.0
        self.height = rng.uniform(4, 11)
        self.soft = float(rng.choice([0.0, 0.6, rng.uniform(0.6, 2.2)]))
        self.ground = ground_texture(rng, self.width, wall_distance + near)
        # the wall reaches below the ground, so that no gap shows where they meet
        self.foot = 0.5
        self.wall = wall_texture(rng, self.width, self.height + self.foot)
        high, low = tint(rng, 150, 245, 0.2), tint(rng, 130, 235, 0.2)
        ramp = np.linspace(0, 1, 64)[:, None, None]
        self.sky = np.clip(high + (low - high) * ramp, 0, 255).astype(np.uint8)

    def render(self, camera: Camera) -> np.ndarray:
        """The backdrop as `camera` sees it, uint8 (h, w, 3) BGR."""
        image = cv2.resize(self.sky, camera.size)
        wall = camera.plane_homography(
            (-self.width / 2, self.height, -self.wall_distance),
            (1 / WALL_PIXELS, 0, 0),
            (0, -1 / WALL_PIXELS, 0),
        )
        ground = camera.plane_homography(
            (-self.width / 2, 0, -self.wall_distance),
            (1 / GROUND_PIXELS, 0, 0),
            (0, 0, 1 / GROUND_PIXELS),
        )
        for texture, plane in ((self.wall, wall), (self.ground, ground)):
            cv2.warpPerspective(
                texture, plane, camera.size, image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
            )
        return cv2.GaussianBlur(image, (0, 0), self.soft) if self.soft else image


class PhotoBackdrop:
    """A photograph on a far board that fills the view of every camera.

    Args:
        rng: Draws whether it is mirrored.
        photograph: (h, w, 3) uint8 BGR.
        wall_distance: Distance of the board behind the origin, metres.
        cameras: Every camera that will look at it.
    """

    has_ground = False

    def __init__(
        self,
        rng: np.random.Generator,
        photograph: np.ndarray,
        wall_distance: float,
        cameras: list[Camera],
    ) -> None:
        self.photograph = photograph[:, ::-1].copy() if rng.random() < 0.5 else photograph
        corners = np.concatenate([_board_corners(c, wall_distance) for c in cameras])
        low, high = corners.min(axis=0), corners.max(axis=0)
        h, w = photograph.shape[:2]
        # metres a pixel: the smallest board of the picture's shape that no view leaves
        self.unit = float(max((high[0] - low[0]) / (w - 1), (high[1] - low[1]) / (h - 1)))
        middle = (low + high) / 2
        self.origin = (
            middle[0] - self.unit * (w - 1) / 2,
            middle[1] + self.unit * (h - 1) / 2,
            -wall_distance,
        )

    def render(self, camera: Camera) -> np.ndarray:
        """The backdrop as `camera` sees it, uint8 (h, w, 3) BGR."""
        plane = camera.plane_homography(self.origin, (self.unit, 0, 0), (0, -self.unit, 0))
        return cv2.warpPerspective(
            self.photograph,
            plane,
            camera.size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def _board_corners(camera: Camera, wall_distance: float) -> np.ndarray:
    """Where the rays of the image's corners meet the board z = -wall_distance: (4, 2)."""
    w, h = camera.size
    x, y = np.array([-w, w, w, -w]) / 2, np.array([-h, -h, h, h]) / 2
    rays = np.stack([x, y, np.full(4, camera.focal)], 1) @ camera.rotation
    # a ray that runs along the board would meet it far away: tilt it back
    reach = (camera.position[2] + wall_distance) / np.maximum(-rays[:, 2], 0.3 * camera.focal)
    return (camera.position + rays * reach[:, None])[:, :2]


def random_backdrop(
    rng: np.random.Generator, photographs: tuple[pathlib.Path, ...], cameras: list[Camera]
) -> StageBackdrop | PhotoBackdrop:
    """A procedural backdrop, or one of the photographs when there are any.

    Raises:
        ValueError: The photograph cannot be read.
    """
    distance = rng.uniform(5, 14)
    if not photographs:
        nearest = min(camera.position[2] for camera in cameras)
        return StageBackdrop(rng, distance, max(nearest - 0.3, 0.5))
    path = photographs[int(rng.integers(len(photographs)))]
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f'background {path} is not a readable image; remove it from the folder')
    return PhotoBackdrop(rng, picture, distance, cameras)
