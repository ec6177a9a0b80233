"""Proportions of the body's surface: cross-sections along limbs and torso, and the head.

All lengths are shares of the stature. A profile is a table of rows ``(station, half width, half
depth, shift)``; a station counts joints along the part's chain (0 the first joint, 1.5 halfway
between the second and the third) and the shift moves the section's centre along its depth axis.
"""

import numpy as np

__all__ = ['ARM', 'FOOT', 'HAND', 'LEG', 'TORSO', 'ball', 'face_details', 'head_rings', 'sections']

# fmt: off
ARM = np.array([
    (-0.15, 0.005, 0.005, 0), (-0.115, 0.018, 0.018, 0), (-0.04, 0.027, 0.027, 0),
    (0.10, 0.032, 0.032, 0), (0.35, 0.031, 0.031, 0), (0.65, 0.028, 0.028, 0),
    (0.90, 0.024, 0.024, 0), (1.00, 0.0235, 0.0235, 0), (1.18, 0.026, 0.025, 0),
    (1.40, 0.0245, 0.023, 0), (1.70, 0.0185, 0.018, 0), (1.92, 0.0160, 0.0145, 0),
    (2.04, 0.0155, 0.0135, 0),
])
LEG = np.array([
    (-0.16, 0.020, 0.030, 0), (-0.06, 0.046, 0.056, -0.006), (0.08, 0.052, 0.060, -0.006),
    (0.30, 0.050, 0.056, 0), (0.60, 0.042, 0.046, 0.002), (0.88, 0.034, 0.036, 0.002),
    (1.00, 0.032, 0.035, 0.003), (1.12, 0.031, 0.033, -0.002), (1.28, 0.033, 0.036, -0.009),
    (1.45, 0.031, 0.033, -0.008), (1.70, 0.023, 0.024, -0.003), (1.90, 0.0185, 0.0205, 0),
    (2.06, 0.018, 0.021, 0),
])
# controls: pelvis, spine, chest, neck, head_bottom; the depth axis of the torso points back
TORSO = np.array([
    (-0.80, 0.012, 0.018, 0), (-0.68, 0.050, 0.040, 0), (-0.45, 0.080, 0.058, 0.004),
    (0.00, 0.091, 0.066, 0.006), (0.50, 0.085, 0.060, 0.000), (1.00, 0.077, 0.055, -0.003),
    (1.50, 0.084, 0.060, -0.002), (2.00, 0.095, 0.066, 0.000), (2.45, 0.101, 0.065, 0.002),
    (2.70, 0.101, 0.055, 0.004), (2.86, 0.090, 0.046, 0.006), (3.05, 0.058, 0.038, 0.006),
    (3.22, 0.034, 0.033, 0.004), (3.50, 0.0285, 0.030, 0.002), (4.00, 0.0280, 0.031, 0.0),
    (4.55, 0.020, 0.024, 0.0),
])
HAND = np.array([
    (-0.08, 0.0125, 0.0115, 0), (0.10, 0.0165, 0.0115, 0), (0.35, 0.0225, 0.0105, 0),
    (0.60, 0.0220, 0.0095, 0), (0.85, 0.0175, 0.0080, 0), (0.98, 0.0090, 0.0060, 0),
    (1.02, 0.0010, 0.0010, 0),
])
# station from heel to toe; the depth is half the height of the shoe over its sole
FOOT = np.array([
    (-0.14, 0.004, 0.010, 0), (-0.09, 0.017, 0.018, 0), (0.05, 0.0215, 0.0230, 0),
    (0.25, 0.0220, 0.0250, 0), (0.50, 0.0250, 0.0185, 0), (0.75, 0.0285, 0.0130, 0),
    (0.95, 0.0250, 0.0110, 0), (1.06, 0.0140, 0.0090, 0), (1.09, 0.0030, 0.0050, 0),
])
# height over head_bottom, half width, front, back
_HEAD = np.array([
    (-0.0160, 0.008, 0.036, 0.016), (-0.0130, 0.018, 0.047, 0.000), (-0.0040, 0.027, 0.055, -0.022),
    (0.0120, 0.035, 0.0590, -0.042), (0.0300, 0.0400, 0.0600, -0.053),
    (0.0500, 0.0430, 0.0600, -0.060), (0.0720, 0.0448, 0.0600, -0.0640),
    (0.0930, 0.0435, 0.0540, -0.0620), (0.1100, 0.0375, 0.0420, -0.0520),
    (0.1220, 0.0270, 0.0270, -0.0380), (0.1285, 0.0150, 0.0130, -0.0230),
    (0.1300, 0.0010, -0.0040, -0.0060),
])
# fmt: on


def sections(profile: np.ndarray, count: int, hems: tuple[float, ...] = ()) -> np.ndarray:
    """Resample a profile at `count` stations, plus a doubled one at every hem of a garment.

    Args:
        profile: (R, 4) rows as the module says.
        count: Number of evenly spread stations.
        hems: Stations where a garment ends: two sections a hair's breadth apart stand there.

    Returns:
        (n, 4) rows, the stations ascending.
    """
    first, last = profile[0, 0], profile[-1, 0]
    # the ends are caps: always keep their rows, spread the rest over the middle
    ends = [profile[0, 0], profile[1, 0], profile[-2, 0], profile[-1, 0]]
    spread = np.linspace(profile[1, 0], profile[-2, 0], max(count - 2, 3))[1:-1]
    cuts = [h + d for h in hems if first < h < last for d in (0.0, 1e-3)]
    stations = np.unique(np.concatenate([ends, spread, cuts]))
    return np.stack([stations, *(np.interp(stations, profile[:, 0], c) for c in profile.T[1:])], 1)


def head_rings(count: int, segments: int) -> np.ndarray:
    """Vertices (count, segments, 3) of the head in head axes: x left, y up, z forward."""
    y = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(_HEAD)), _HEAD[:, 0])
    width, front, back = (np.interp(y, _HEAD[:, 0], c) for c in _HEAD.T[1:])
    angle = 2 * np.pi * np.arange(segments) / segments
    x = width[:, None] * np.cos(angle)
    z = ((front + back) / 2)[:, None] - ((front - back) / 2)[:, None] * np.sin(angle)
    return np.stack([x, np.broadcast_to(y[:, None], x.shape), z], -1)


def ball(centre, radii, rings: int, segments: int) -> np.ndarray:
    """Vertices (rings, segments, 3) of an ellipsoid in head axes, from its lower to upper pole."""
    polar = np.linspace(-np.pi / 2, np.pi / 2, rings)
    angle = 2 * np.pi * np.arange(segments) / segments
    x = np.cos(polar)[:, None] * np.cos(angle)
    y = np.broadcast_to(np.sin(polar)[:, None], x.shape)
    z = -np.cos(polar)[:, None] * np.sin(angle)
    return np.stack([x, y, z], -1) * np.array(radii) + np.array(centre)


def _on_face(x: float, y: float, out: float) -> tuple[float, float, float]:
    """The point of the face at (x, y), lifted `out` off the skin."""
    width, front, back = (np.interp(y, _HEAD[:, 0], c) for c in _HEAD.T[1:])
    depth = (front + back) / 2 + (front - back) / 2 * np.sqrt(max(0.0, 1 - (x / width) ** 2))
    return (x, y, depth + out)


def face_details() -> dict[str, np.ndarray]:
    """Small quads (4, 3) in head axes that draw the face: eyes, brows, nose, mouth."""

    def patch(x, y, w, h, out):
        corners = ((-w, -h), (w, -h), (w, h), (-w, h))
        return np.array([_on_face(x + dx, y + dy, out) for dx, dy in corners])

    quads = {'mouth': patch(0, 0.0165, 0.0125, 0.0028, 0.001)}
    for side, x in (('left', 0.0170), ('right', -0.0170)):
        quads[f'{side}_eye'] = patch(x, 0.0600, 0.0078, 0.0034, 0.0012)
        quads[f'{side}_iris'] = patch(x, 0.0600, 0.0034, 0.0034, 0.0016)
        quads[f'{side}_brow'] = patch(x, 0.0715, 0.0105, 0.0019, 0.0016)
    bridge, tip = np.array(_on_face(0, 0.064, 0.001)), np.array((0, 0.0400, 0.0735))
    base = np.array(_on_face(0, 0.0335, 0.0))
    left, right = np.array(_on_face(0.0115, 0.0370, 0)), np.array(_on_face(-0.0115, 0.0370, 0))
    quads['nose_left'] = np.array([tip, left, left * 0.4 + bridge * 0.6, bridge])
    quads['nose_right'] = np.array([right, tip, bridge, right * 0.4 + bridge * 0.6])
    quads['nose_under'] = np.array([right, base, left, tip])
    return quads
