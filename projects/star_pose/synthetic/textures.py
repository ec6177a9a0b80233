"""Procedural textures of the places where the action happens."""

import cv2
import numpy as np

__all__ = ['GROUND_PIXELS', 'WALL_PIXELS', 'ground_texture', 'tint', 'wall_texture']

GROUND_PIXELS = 36.0  # texture pixels a metre
WALL_PIXELS = 40.0


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


def tint(rng: np.random.Generator, low: float, high: float, colour: float = 0.25) -> np.ndarray:
    """A random muted BGR colour."""
    return rng.uniform(low, high) * (1 + colour * rng.uniform(-1, 1, 3))


def ground_texture(rng: np.random.Generator, width: float, depth: float) -> np.ndarray:
    """Texture of the ground plane, uint8 (h, w, 3)."""
    w, h = int(width * GROUND_PIXELS), int(depth * GROUND_PIXELS)
    kind = rng.choice(['grass', 'asphalt', 'court', 'sand', 'tiles', 'planks'])
    base = {'grass': np.array([50.0, 110, 75]), 'sand': np.array([130.0, 175, 205]),
            'asphalt': np.full(3, rng.uniform(60, 130)), 'court': tint(rng, 70, 150, 0.5),
            'tiles': tint(rng, 90, 190), 'planks': np.array([80.0, 125, 175])}[kind]  # fmt: skip
    base = base * rng.uniform(0.7, 1.25)
    coarse = _cloudy((w // 4, h // 4), 14, rng)
    texture = 1 + 0.22 * cv2.resize(coarse, (w, h)) * (0.4 if kind in ('court', 'tiles') else 1)
    grain = rng.normal(0, 1, (h, w)).astype(np.float32)
    texture += {'grass': 0.13, 'sand': 0.06, 'asphalt': 0.07}.get(kind, 0.02) * grain
    if kind == 'tiles':
        cell = int(rng.uniform(0.4, 1.2) * GROUND_PIXELS)
        tone = rng.uniform(0.85, 1.1, (h // cell + 1, w // cell + 1)).astype(np.float32)
        texture *= np.kron(tone, np.ones((cell, cell), np.float32))[:h, :w]
        texture[::cell], texture[:, ::cell] = texture[::cell] * 0.6, texture[:, ::cell] * 0.6
    if kind == 'planks':
        cell = int(0.2 * GROUND_PIXELS) + 1
        tone = rng.uniform(0.85, 1.12, (h // cell + 1, 1)).astype(np.float32)
        texture *= np.kron(tone, np.ones((cell, w), np.float32))[:h]
    image = np.clip(texture[..., None] * base, 0, 255).astype(np.uint8)
    if kind in ('court', 'grass', 'asphalt') and rng.random() < 0.7:
        paint = (235, 238, 240) if rng.random() < 0.7 else tuple(tint(rng, 90, 220, 0.6))
        for _ in range(int(rng.integers(2, 6))):
            a, b = rng.uniform(0, (w, h)), rng.uniform(0, (w, h))
            if rng.random() < 0.6:
                b[rng.integers(2)] = a[0 if rng.random() < 0.5 else 1]
            cv2.line(image, tuple(map(int, a)), tuple(map(int, b)), paint, 4, cv2.LINE_AA)
        centre = tuple(int(v) for v in rng.uniform((0, 0), (w, h)))
        cv2.circle(image, centre, int(rng.uniform(40, 140)), paint, 4, cv2.LINE_AA)
    return image


def wall_texture(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """Texture of the far wall, uint8 (h, w, 3): buildings, stands, trees or a hall."""
    w, h = int(width * WALL_PIXELS), int(height * WALL_PIXELS)
    kind = rng.choice(['building', 'stands', 'trees', 'hall', 'clutter'])
    tone = 1 + 0.2 * cv2.resize(_cloudy((w // 4, h // 4), 10, rng, 5), (w, h))
    image = tone[..., None] * tint(rng, 60, 180, 0.35).astype(np.float32)
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
        glass = tint(rng, 40, 140, 0.3)
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
            shade = tint(rng, 30, 220, rng.choice([0.15, 0.4])).tolist()
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
                            tint(rng, 30, 210, 0.6).tolist(), -1, cv2.LINE_AA)  # fmt: skip
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
        image[h - height : h, x : x + length] = tint(rng, 40, 230, rng.choice([0.2, 0.55]))
        ink = tint(rng, 20, 250, 0.5)
        for left in np.arange(x + 10, x + length - 20, rng.uniform(12, 22)):
            top = h - height + int(rng.uniform(6, 10))
            image[top : h - 7, int(left) : int(left + rng.uniform(3, 10))] = ink
        x += length
