"""The head, which is rigid: skull, hair, ears and the details of the face.

Lengths are shares of the stature in head axes: x left, y up, z forward, the origin at the joint
`head_bottom`.
"""

import numpy as np

__all__ = ['face_details', 'head_pieces']

# fmt: off
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
# Hair beyond the shell on the skull: centres and radii of ellipsoids.
_STYLES = {
    'long': [((0, 0.028, -0.040), (0.047, 0.085, 0.030))],
    'tail': [
        ((0, 0.045, -0.088), (0.013, 0.052, 0.016)),
        ((0, 0.088, -0.070), (0.014, 0.014, 0.016)),
    ],
    'bun': [((0, 0.108, -0.062), (0.024, 0.022, 0.024))],
    'cap': [((0, 0.090, 0.066), (0.034, 0.0045, 0.034))],
}  # fmt: skip


def _rings(count: int, segments: int) -> np.ndarray:
    """Vertices (count, segments, 3) of the head in head axes: x left, y up, z forward."""
    y = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(_HEAD)), _HEAD[:, 0])
    width, front, back = (np.interp(y, _HEAD[:, 0], c) for c in _HEAD.T[1:])
    angle = 2 * np.pi * np.arange(segments) / segments
    x = width[:, None] * np.cos(angle)
    z = ((front + back) / 2)[:, None] - ((front - back) / 2)[:, None] * np.sin(angle)
    return np.stack([x, np.broadcast_to(y[:, None], x.shape), z], -1)


def _ball(centre, radii, rings: int, segments: int) -> np.ndarray:
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
        quads[f'{side}_brow'] = patch(x, 0.0738, 0.0100, 0.0015, 0.0016)
    bridge, tip = np.array(_on_face(0, 0.064, 0.001)), np.array((0, 0.0400, 0.0735))
    base = np.array(_on_face(0, 0.0335, 0.0))
    left, right = np.array(_on_face(0.0115, 0.0370, 0)), np.array(_on_face(-0.0115, 0.0370, 0))
    quads['nose_left'] = np.array([tip, left, left * 0.4 + bridge * 0.6, bridge])
    quads['nose_right'] = np.array([right, tip, bridge, right * 0.4 + bridge * 0.6])
    quads['nose_under'] = np.array([right, base, left, tip])
    return quads


def _hair_shell(skull: np.ndarray, hair: str, volume: float) -> tuple[np.ndarray, np.ndarray]:
    """Where hair or a cap covers the skull.

    Args:
        skull: Vertices (n, m, 3) of the skull.
        hair: Style; 'cap' has a level edge.
        volume: Thickness.

    Returns:
        Vertices (n, m, 3), and which of the (n - 1) * m quads to keep.
    """
    x, y, z = skull[..., 0], skull[..., 1], skull[..., 2]
    front = np.clip((z + 0.01) / 0.05, 0, 1)
    line = 0.018 + 0.074 * front**0.8  # the hairline: low at the nape, high over the brow
    if hair == 'cap':
        line = np.full_like(z, 0.078)
    cover = np.clip((y - line) / 0.02, -0.2, 1)
    out = skull - np.array([0, 0.06, -0.004])
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    shell = skull + out * ((volume + 0.002) * cover)[..., None]
    beside = np.roll(cover, -1, axis=1)
    corners = np.stack([cover[:-1], beside[:-1], beside[1:], cover[1:]], -1)
    ear = (np.abs(x) > 0.036) & (y < 0.062) & (z > -0.03)
    return shell, (corners.mean(-1) > 0.15).ravel() & ~ear[:-1].ravel()


def head_pieces(
    hair: str, volume: float, detail: float, around: int
) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """Tubes of vertices that make up the head.

    Args:
        hair: 'bald', 'short', 'long', 'bun', 'tail' or 'cap'.
        volume: Thickness of the hair.
        detail: Fineness, 1 for a figure of 150 px.
        around: Vertices around a limb.

    Returns:
        Region, vertices (n, m, 3) and the quads to keep (all when None) of every tube.
    """
    skull = _rings(max(9, round(12 * detail**0.7)), round(around * 1.5))
    pieces = [('head', skull, None)]
    if hair != 'bald':
        pieces.append(('hair', *_hair_shell(skull, hair, volume)))
    for side in (1, -1):
        ear = _ball((side * 0.0455, 0.0520, -0.008), (0.0050, 0.0165, 0.0100), 5, 6)
        pieces.append(('head', ear, None))
    for centre, radii in _STYLES.get(hair, []):
        ball = _ball(centre, radii, max(5, round(6 * detail**0.5)), max(6, around - 3))
        pieces.append(('hair', ball, None))
    return pieces
