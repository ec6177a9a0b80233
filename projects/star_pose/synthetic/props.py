"""Things that stand around and hide parts of people: boxes, posts, barriers."""

import dataclasses

import numpy as np

__all__ = ['Prop', 'random_prop', 'stool']


@dataclasses.dataclass(frozen=True)
class Prop:
    """A rigid thing made of quads.

    Args:
        vertices: (V, 3) metres.
        quads: (M, 4) vertex indices, anticlockwise seen from outside.
        colour: (M, 3) BGR.
    """

    vertices: np.ndarray
    quads: np.ndarray
    colour: np.ndarray


def _box(centre, size, colour, yaw, pieces, rng) -> Prop:
    """A box whose sides are split into `pieces` quads, so that they sort among limbs."""
    half = np.array(size) / 2
    vertices, quads, colours = [], [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1, 1):
            nu, nv = (max(1, round(2 * half[i] / pieces)) for i in (u, v))
            grid_u, grid_v = np.meshgrid(np.linspace(-1, 1, nu + 1), np.linspace(-1, 1, nv + 1),
                                         indexing='ij')  # fmt: skip
            points = np.zeros((grid_u.size, 3))
            points[:, axis] = sign * half[axis]
            points[:, u], points[:, v] = grid_u.ravel() * half[u], grid_v.ravel() * half[v]
            i, j = np.meshgrid(np.arange(nu), np.arange(nv), indexing='ij')
            a, b = i * (nv + 1) + j, (i + 1) * (nv + 1) + j
            face = np.stack([a, b, b + 1, a + 1], -1).reshape(-1, 4)
            quads.append((face if sign > 0 else face[:, ::-1]) + sum(map(len, vertices)))
            vertices.append(points)
            colours.append(colour * rng.uniform(0.93, 1.05, (len(face), 1)))
    points = np.concatenate(vertices)
    c, s = np.cos(yaw), np.sin(yaw)
    points = points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + np.array(centre)
    return Prop(points.astype(np.float32), np.concatenate(quads),
                np.concatenate(colours).astype(np.float32))  # fmt: skip


def _join(parts: list[Prop]) -> Prop:
    offsets = np.cumsum([0, *(len(p.vertices) for p in parts[:-1])])
    return Prop(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.quads + o for p, o in zip(parts, offsets, strict=True)]),
        np.concatenate([p.colour for p in parts]),
    )


def random_prop(place: np.ndarray, rng: np.random.Generator) -> Prop:
    """Draw a box, a post, a barrier or a hurdle that stands at `place` (x, z), metres."""
    colour = rng.uniform(30, 220) * (1 + 0.5 * rng.uniform(-1, 1, 3))
    colour = np.clip(colour, 10, 245)
    yaw, (x, z) = rng.uniform(-0.7, 0.7), place
    kind = rng.choice(['box', 'post', 'barrier', 'hurdle'])
    if kind == 'box':
        w, h, d = rng.uniform((0.4, 0.3, 0.3), (1.2, 0.9, 0.6))
        return _box((x, h / 2, z), (w, h, d), colour, yaw, 0.16, rng)
    if kind == 'post':
        width, height = rng.uniform(0.08, 0.3), rng.uniform(1.2, 3.5)
        return _box((x, height / 2, z), (width, height, width), colour, yaw, 0.16, rng)
    if kind == 'barrier':
        w, h = rng.uniform(1.0, 2.0), rng.uniform(0.7, 1.1)
        return _box((x, h / 2, z), (w, h, 0.06), colour, yaw, 0.16, rng)
    w, h = rng.uniform(1.0, 1.5), rng.uniform(0.6, 1.0)
    c, s = np.cos(yaw), np.sin(yaw)
    legs = [_box((x + q * w / 2 * c, h / 2, z - q * w / 2 * s), (0.05, h, 0.05), colour, yaw, 0.16,
                 rng) for q in (-1, 1)]  # fmt: skip
    bar = _box((x, h, z), (w, 0.12, 0.04), np.clip(255 - colour, 10, 245), yaw, 0.16, rng)
    return _join([*legs, bar])


def stool(pelvis: np.ndarray, stature: float, rng: np.random.Generator) -> Prop:
    """A seat under a pelvis (3,) of a figure of that stature, metres."""
    height = max(float(pelvis[1]) - 0.1 * stature, 0.05)
    colour = np.clip(rng.uniform(30, 200) * (1 + 0.4 * rng.uniform(-1, 1, 3)), 10, 245)
    size = (0.36, height, 0.36)
    return _box((pelvis[0], height / 2, pelvis[2]), size, colour, rng.uniform(0, 1.5), 0.16, rng)
