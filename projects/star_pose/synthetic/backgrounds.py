"""Where the action takes place: textured ground and walls, or the user's photographs."""

import pathlib

import cv2
import numpy as np

from .camera import Camera

__all__ = ['PhotoBackdrop', 'StageBackdrop', 'list_photographs', 'random_backdrop']

_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp'}
_GROUND_PIXELS = 36.0  # texture pixels a metre
_WALL_PIXELS = 40.0


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
        self.ground = _ground_texture(rng, self.width, wall_distance + near)
        # the wall reaches below the ground, so that no gap shows where they meet
        self.foot = 0.5
        self.wall = _wall_texture(rng, self.width, self.height + self.foot)
        high, low = _tint(rng, 150, 245, 0.2), _tint(rng, 130, 235, 0.2)
        ramp = np.linspace(0, 1, 64)[:, None, None]
        self.sky = np.clip(high + (low - high) * ramp, 0, 255).astype(np.uint8)

    def render(self, camera: Camera) -> np.ndarray:
        """The backdrop as `camera` sees it, uint8 (h, w, 3) BGR."""
        image = cv2.resize(self.sky, camera.size)
        wall = camera.plane_homography(
            (-self.width / 2, self.height, -self.wall_distance),
            (1 / _WALL_PIXELS, 0, 0),
            (0, -1 / _WALL_PIXELS, 0),
        )
        ground = camera.plane_homography(
            (-self.width / 2, 0, -self.wall_distance),
            (1 / _GROUND_PIXELS, 0, 0),
            (0, 0, 1 / _GROUND_PIXELS),
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


def _cloudy(size, cells: int, rng: np.random.Generator, octaves: int = 4) -> np.ndarray:
    """Fractal noise (h, w) in about [-1, 1]; `cells` of its coarsest octave span the width."""
    w, h = size
    total = np.zeros((h, w), np.float32)
    gain = 0.5
    for i in range(octaves):
        n = cells * 2**i
        grid = rng.uniform(-1, 1, (max(2, n * h // w + 2), n + 2)).astype(np.float32)
        total += gain * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
        gain *= 0.62
    return total


def _tint(rng: np.random.Generator, low: float, high: float, colour: float = 0.25) -> np.ndarray:
    """A random muted BGR colour."""
    return rng.uniform(low, high) * (1 + colour * rng.uniform(-1, 1, 3))


def _ground_texture(rng: np.random.Generator, width: float, depth: float) -> np.ndarray:
    """Texture of the ground plane, uint8 (h, w, 3)."""
    w, h = int(width * _GROUND_PIXELS), int(depth * _GROUND_PIXELS)
    kind = rng.choice(['grass', 'asphalt', 'court', 'sand', 'tiles', 'planks'])
    base = {'grass': np.array([50.0, 110, 75]), 'sand': np.array([130.0, 175, 205]),
            'asphalt': np.full(3, rng.uniform(60, 130)), 'court': _tint(rng, 70, 150, 0.5),
            'tiles': _tint(rng, 90, 190), 'planks': np.array([80.0, 125, 175])}[kind]  # fmt: skip
    base = base * rng.uniform(0.7, 1.25)
    coarse = _cloudy((w // 4, h // 4), 14, rng)
    texture = 1 + 0.22 * cv2.resize(coarse, (w, h)) * (0.4 if kind in ('court', 'tiles') else 1)
    grain = rng.normal(0, 1, (h, w)).astype(np.float32)
    texture += {'grass': 0.13, 'sand': 0.06, 'asphalt': 0.07}.get(kind, 0.02) * grain
    if kind == 'tiles':
        cell = int(rng.uniform(0.4, 1.2) * _GROUND_PIXELS)
        tone = rng.uniform(0.85, 1.1, (h // cell + 1, w // cell + 1)).astype(np.float32)
        texture *= np.kron(tone, np.ones((cell, cell), np.float32))[:h, :w]
        texture[::cell], texture[:, ::cell] = texture[::cell] * 0.6, texture[:, ::cell] * 0.6
    if kind == 'planks':
        cell = int(0.2 * _GROUND_PIXELS) + 1
        tone = rng.uniform(0.85, 1.12, (h // cell + 1, 1)).astype(np.float32)
        texture *= np.kron(tone, np.ones((cell, w), np.float32))[:h]
    image = np.clip(texture[..., None] * base, 0, 255).astype(np.uint8)
    if kind in ('court', 'grass', 'asphalt') and rng.random() < 0.7:
        paint = (235, 238, 240) if rng.random() < 0.7 else tuple(_tint(rng, 90, 220, 0.6))
        for _ in range(int(rng.integers(2, 6))):
            a, b = rng.uniform(0, (w, h)), rng.uniform(0, (w, h))
            if rng.random() < 0.6:
                b[rng.integers(2)] = a[0 if rng.random() < 0.5 else 1]
            cv2.line(image, tuple(map(int, a)), tuple(map(int, b)), paint, 4, cv2.LINE_AA)
        centre = tuple(int(v) for v in rng.uniform((0, 0), (w, h)))
        cv2.circle(image, centre, int(rng.uniform(40, 140)), paint, 4, cv2.LINE_AA)
    return image


def _wall_texture(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """Texture of the far wall, uint8 (h, w, 3): buildings, stands, trees or a hall."""
    w, h = int(width * _WALL_PIXELS), int(height * _WALL_PIXELS)
    kind = rng.choice(['building', 'stands', 'trees', 'hall', 'clutter'])
    tone = 1 + 0.2 * cv2.resize(_cloudy((w // 4, h // 4), 10, rng, 5), (w, h))
    image = tone[..., None] * _tint(rng, 60, 180, 0.35).astype(np.float32)
    if kind == 'trees':
        leaf = _cloudy((w, h), 40, rng, 6)[..., None]
        image = np.array([45.0, 95, 70], np.float32) * (1 + 0.75 * leaf) * rng.uniform(0.6, 1.2)
        for _ in range(int(rng.integers(5, 14))):
            x = int(rng.uniform(0, w))
            cv2.line(image, (x, h), (x + int(rng.normal(0, 20)), int(0.3 * h)), (35, 50, 62),
                     int(rng.integers(6, 18)), cv2.LINE_AA)  # fmt: skip
    elif kind == 'stands':
        _spectators(image, rng)
    elif kind == 'building':
        cell_w, cell_h = int(rng.uniform(50, 120)), int(rng.uniform(60, 130))
        glass = _tint(rng, 40, 140, 0.3)
        for y in range(int(rng.integers(0, 40)), h - 20, cell_h):
            for x in range(0, w, cell_w):
                shade = glass * rng.uniform(0.7, 1.3)
                cv2.rectangle(image, (x + 12, y + 12), (x + cell_w - 12, y + cell_h - 16),
                              shade.tolist(), -1)  # fmt: skip
                cv2.line(image, (x + cell_w // 2, y + 12), (x + cell_w // 2, y + cell_h - 16),
                         (shade * 1.5).tolist(), 2)  # fmt: skip
    else:
        for _ in range(int(rng.integers(12, 45))):
            x, y = rng.uniform((0, 0), (w, h))
            a, b = rng.uniform(15, 220, 2) * (1, 0.8)
            shade = _tint(rng, 30, 220, rng.choice([0.15, 0.4])).tolist()
            if kind == 'hall' or rng.random() < 0.6:
                cv2.rectangle(image, (int(x), int(y)), (int(x + a), int(y + b)), shade, -1)
            else:
                cv2.ellipse(image, (int(x), int(y)), (int(a / 2), int(b / 2)),
                            rng.uniform(0, 180), 0, 360, shade, -1, cv2.LINE_AA)  # fmt: skip
    _banners(image, rng)
    return np.clip(image, 0, 255).astype(np.uint8)


def _spectators(image: np.ndarray, rng: np.random.Generator) -> None:
    """Rows of seats with blurred spectators: confusing, but no labelled person."""
    h, w = image.shape[:2]
    row = int(rng.uniform(26, 40))
    for y in range(-10, h, row):
        image[max(y, 0) : y + row // 3] *= 0.6
        for x in np.arange(rng.uniform(0, 20), w, rng.uniform(17, 26)):
            if rng.random() < 0.72:
                px, py = int(x + rng.normal(0, 2)), int(y + rng.normal(0, 2))
                cv2.ellipse(image, (px, py + 16), (8, 13), 0, 0, 360,
                            _tint(rng, 30, 210, 0.6).tolist(), -1, cv2.LINE_AA)  # fmt: skip
                cv2.circle(image, (px, py), 5, (rng.uniform(0.3, 1) * np.array([140, 175, 215])
                                                ).tolist(), -1, cv2.LINE_AA)  # fmt: skip


def _banners(image: np.ndarray, rng: np.random.Generator) -> None:
    """A strip of boards with letter-like marks along the foot of the wall, on some walls."""
    if rng.random() < 0.5:
        return
    h, w = image.shape[:2]
    height, x = int(rng.uniform(26, 46)), 0
    while x < w:
        length = int(rng.uniform(90, 260))
        image[h - height : h, x : x + length] = _tint(rng, 40, 230, rng.choice([0.2, 0.55]))
        ink = _tint(rng, 20, 250, 0.5)
        for left in np.arange(x + 10, x + length - 20, rng.uniform(12, 22)):
            top = h - height + int(rng.uniform(6, 10))
            image[top : h - 7, int(left) : int(left + rng.uniform(3, 10))] = ink
        x += length
