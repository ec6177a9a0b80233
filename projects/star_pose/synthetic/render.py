"""Draws quads: shading, hidden surfaces, shadows, the camera's own faults.

Every surface is a set of quads of a few pixels. They are shaded in one array operation a chunk of
frames and drawn from far to near (painter's algorithm) on a canvas of twice the size, which the
area-averaging reduction turns into anti-aliased edges.
"""

import dataclasses

import cv2
import numpy as np

from .camera import Camera

__all__ = [
    'SUPERSAMPLE',
    'Film',
    'Light',
    'Surface',
    'SurfaceView',
    'draw',
    'draw_owners',
    'draw_shadows',
    'shade',
    'view',
]

SUPERSAMPLE = 2  # the canvas is drawn on at this multiple of the image's size
_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates
_NEAR = 0.2  # metres; what is closer than this to the camera is not drawn


@dataclasses.dataclass(frozen=True)
class Light:
    """A sun and a sky.

    Args:
        direction: (3,) unit vector towards the sun.
        sun: (3,) BGR strength of the direct light.
        sky: (3,) BGR strength of the light from above.
        earth: (3,) BGR strength of the light reflected from below.
        shadow: Darkness of cast shadows, 0-1.
    """

    direction: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    earth: np.ndarray
    shadow: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> 'Light':
        """Draw a clear or overcast sky, or a hall's lamps."""
        azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.3)
        direction = np.array([np.cos(azimuth) * np.cos(height), np.sin(height),
                              np.sin(azimuth) * np.cos(height)])  # fmt: skip
        hard = rng.uniform(0.15, 0.65)
        warm = rng.uniform(-0.08, 0.10)
        ambient = rng.uniform(0.78, 0.95) - 0.55 * hard
        return cls(
            direction=direction.astype(np.float32),
            sun=(hard * np.array([1 - warm, 1, 1 + warm])).astype(np.float32),
            sky=(ambient * np.array([1.04, 1, 0.97])).astype(np.float32),
            earth=(0.6 * ambient * np.array([0.94, 1, 1.03])).astype(np.float32),
            shadow=float(0.25 + 0.5 * hard),
        )


@dataclasses.dataclass(frozen=True)
class Surface:
    """Quads over one chunk of instants.

    Args:
        vertices: (T, V, 3) metres.
        quads: (M, 4) vertex indices, anticlockwise seen from outside.
        normal: (T, M, 3) outward unit vectors.
        colour: (T, M, 3) BGR with the light applied.
        lift: (M,) metres by which a quad counts as nearer than it is: details painted on skin.
        owner: Number of the figure or prop it belongs to.
    """

    vertices: np.ndarray
    quads: np.ndarray
    normal: np.ndarray
    colour: np.ndarray
    lift: np.ndarray
    owner: int


@dataclasses.dataclass(frozen=True)
class SurfaceView:
    """Quads of all surfaces as one camera sees them, far to near.

    Args:
        points: (Q, 4, 2) pixels.
        colour: (Q, 3) BGR.
        owner: (Q,) numbers of figures or props.
        quad: (Q,) index of the quad in its surface.
        depth: (Q,) metres.
    """

    points: np.ndarray
    colour: np.ndarray
    owner: np.ndarray
    quad: np.ndarray
    depth: np.ndarray


def shade(vertices, quads, colour, lift, owner, light: Light) -> Surface:
    """Apply the light to a mesh.

    Args:
        vertices: (T, V, 3) float32 metres.
        quads: (M, 4) vertex indices.
        colour: (M, 3) BGR.
        lift: (M,) metres, see `Surface`.
        owner: Number of the figure or prop.
        light: Sun and sky.
    """
    a = vertices[:, quads[:, 2]] - vertices[:, quads[:, 0]]  # (T, M, 3) diagonals
    b = vertices[:, quads[:, 3]] - vertices[:, quads[:, 1]]
    normal = a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]
    normal /= np.maximum(np.sqrt((normal * normal).sum(-1, keepdims=True)), 1e-12)
    # light wraps a little around the form, as it does on skin and cloth
    direct = np.clip((normal @ light.direction + 0.15) / 1.15, 0, 1)[..., None]
    up = 0.5 + 0.5 * normal[..., 1:2]
    strength = direct * light.sun + up * light.sky + (1 - up) * light.earth
    return Surface(vertices, quads, normal, colour * strength, lift, owner)


def view(surfaces: list[Surface], instant: int, camera: Camera) -> SurfaceView:
    """Cull what faces away or is out of view, and sort the rest from far to near."""
    kept, (w, h) = [], camera.size
    for s in surfaces:
        vertices = s.vertices[instant]
        pixels, depth = camera.project(vertices)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        if depth.max() < _NEAR or (high < 0).any() or (low > (w, h)).any():
            continue
        points = pixels[s.quads]  # (M, 4, 2)
        a, b = points[:, 2] - points[:, 0], points[:, 3] - points[:, 1]
        seen = a[:, 0] * b[:, 1] < a[:, 1] * b[:, 0]  # anticlockwise on the screen: the outside
        if (low < 0).any() or (high > (w, h)).any() or depth.min() < _NEAR:
            seen &= (points.max(axis=1) > -1).all(-1) & (points.min(axis=1) < (w, h)).all(-1)
            seen &= depth[s.quads].min(axis=1) > _NEAR
        index = np.flatnonzero(seen)
        quads = s.quads[index]
        # surfaces seen edge-on are darker: folds and the body's roundness read better
        toward = camera.position.astype(np.float32) - vertices[quads[:, 0]]
        edge = (toward * s.normal[instant, index]).sum(-1) / np.sqrt((toward * toward).sum(-1))
        edge = 0.74 + 0.26 * np.sqrt(np.clip(edge, 0, 1))
        kept.append((points[index], s.colour[instant, index] * edge[:, None],
                     np.full(len(index), s.owner), index,
                     depth[quads].mean(axis=1) - s.lift[index]))  # fmt: skip
    if not kept:
        none = np.zeros(0, np.int64)
        return SurfaceView(np.zeros((0, 4, 2)), np.zeros((0, 3)), none, none, np.zeros(0))
    columns = zip(*kept, strict=True)
    points, colour, owner, quad, depth = (np.concatenate(column) for column in columns)
    order = np.argsort(-depth, kind='stable')
    return SurfaceView(points[order], colour[order], owner[order], quad[order], depth[order])


def draw(canvas: np.ndarray, scene: SurfaceView) -> None:
    """Draw onto a canvas of `SUPERSAMPLE` times the image's size."""
    scale = SUPERSAMPLE
    # pixel centres: x of the small image lies at scale * (x + 0.5) - 0.5 of the large one
    points = scale * (scene.points + 0.5) - 0.5
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    fill, shift = cv2.fillConvexPoly, _SHIFT
    for polygon, colour in zip(fixed, np.minimum(scene.colour, 255).tolist(), strict=True):
        fill(canvas, polygon, colour, 8, shift)


def draw_owners(scene: SurfaceView, size: tuple[int, int]) -> np.ndarray:
    """Which quad each pixel shows: (h, w) int32 index into the view, -1 for the backdrop."""
    canvas = np.full((size[1], size[0]), -1, np.int32)
    fixed = np.rint(scene.points * (1 << _SHIFT)).astype(np.int32)
    fill, shift = cv2.fillConvexPoly, _SHIFT
    for i, polygon in enumerate(fixed):
        fill(canvas, polygon, i, 8, shift)
    return canvas


def draw_shadows(image: np.ndarray, pieces: list[np.ndarray], camera: Camera, light: Light) -> None:
    """Darken the ground where bodies stand in the sun, in place.

    Args:
        image: (h, w, 3) uint8 backdrop.
        pieces: Vertices (n, 3) of convex pieces of the bodies, metres.
        camera: The camera.
        light: Its direction throws the shadow, its `shadow` is the darkness.
    """
    h, w = image.shape[:2]
    mask = np.zeros((h // 2, w // 2), np.uint8)
    for piece in pieces:
        flat = piece - piece[:, 1:2] / light.direction[1] * light.direction
        points, depth = camera.project(flat.astype(np.float32))
        if depth.min() > _NEAR:
            hull = cv2.convexHull(np.rint(points / 2 * 16).astype(np.int32))
            cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_AA, 4)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.8, h / 300))
    dark = 255 - cv2.resize(mask, (w, h)) * np.float32(light.shadow)
    cv2.multiply(image, cv2.merge([dark.astype(np.uint8)] * 3), image, 1 / 255)


class Film:
    """Exposure, vignette, sensor noise and compression of one video.

    Args:
        size: Image size (w, h).
        rng: Draws the camera's properties.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        w, h = size
        self.quality = int(rng.integers(82, 96))
        contrast, bright = rng.uniform(0.8, 1.12), rng.uniform(-14, 16)
        balance = rng.uniform(0.93, 1.07, 3)
        gamma = rng.uniform(0.85, 1.2)
        levels = np.arange(256) / 255
        table = 255 * levels[:, None] ** gamma * balance
        table = (table - 128) * contrast + 128 + bright
        self._table = np.clip(table, 0, 255).astype(np.uint8)[:, None]
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        fall = 1 - rng.choice([0.0, rng.uniform(0.05, 0.3)]) * (x**2 + y**2) / 2
        self._vignette = cv2.merge([(fall * 255).astype(np.uint8)] * 3)
        sigma = rng.choice([rng.uniform(1.0, 3.0), rng.uniform(3.0, 9.0)])
        noise = rng.normal(0, sigma, (h + 64, w + 64, 3)).astype(np.float32)
        if rng.random() < 0.5:  # noise of a compressed source has a grain of several pixels
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 1.8
        self._noise = np.clip(np.rint(noise), -127, 127).astype(np.int16)

    def develop(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Turn a rendered frame (h, w, 3) uint8 into what the camera records."""
        h, w = image.shape[:2]
        image = cv2.multiply(image, self._vignette, scale=1 / 255)
        image = cv2.LUT(image, self._table)
        y, x = rng.integers(0, 65, 2)
        grain = self._noise[y : y + h, x : x + w]
        if rng.random() < 0.5:
            grain = grain[:, ::-1]
        return cv2.add(image, np.ascontiguousarray(grain), dtype=cv2.CV_8U)
