"""Tubes of rings: limbs, torso and skirts around chains of joints, and the rigid head.

The head's lengths are shares of the stature in head axes: x left, y up, z forward, the origin at
the joint `head_bottom`.
"""

import numpy as np

from .skeleton import joint_index, unit

__all__ = ['Loft', 'SkirtLoft', 'body_axes', 'face_details', 'head_pieces']

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


def _across(guide: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The part of `guide` at right angles to `along`, as a unit vector."""
    return unit(guide - (guide * along).sum(-1, keepdims=True) * along)


def _chain_weights(stations: np.ndarray, controls: int, bend: float) -> np.ndarray:
    """Weights (n, controls) that place stations on a chain of joints, rounded at each joint.

    Within `bend` of a joint the point runs on the quadratic Bezier curve between the straight
    parts, elsewhere on the chain itself; before the first and after the last joint it goes on.
    """
    weights = np.zeros((len(stations), controls), np.float32)
    for row, s in zip(weights, stations, strict=True):
        joint = int(np.clip(np.rint(s), 0, controls - 1))
        u = (s - joint + bend) / (2 * bend)
        if 0 < joint < controls - 1 and 0 < u < 1:
            row[joint - 1] = bend * (1 - u) ** 2
            row[joint + 1] = bend * u**2
            row[joint] = 1 - row[joint - 1] - row[joint + 1]
        else:
            i = int(np.clip(np.floor(s), 0, controls - 2))
            row[i], row[i + 1] = 1 - (s - i), s - i
    return weights


def _on_chain(weights: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Points (F, n, 3) from weights (n, K) and joints (F, K, 3)."""
    return np.einsum('nk,fkc->fnc', weights, chain)


class Loft:
    """A tube around a chain of joints.

    Args:
        joints: Names of the chain's joints.
        table: (n, 4) float32 sections as `body` describes them.
        segments: Vertices m of a ring.
        guide: Name of the direction in `body_axes` that the rings' width lies along.
        bend: How far from a joint the tube begins to bend, share of the bone.
    """

    def __init__(
        self, joints: tuple[str, ...], table: np.ndarray, segments: int, guide: str, bend: float
    ) -> None:
        self.index = joint_index(*joints)
        self.table, self.guide = table.astype(np.float32), guide
        self.weights = _chain_weights(table[:, 0], len(joints), bend)
        ahead = _chain_weights(table[:, 0] + 0.02, len(joints), bend)
        self._ahead = ahead - _chain_weights(table[:, 0] - 0.02, len(joints), bend)
        angle = 2 * np.pi * np.arange(segments) / segments
        # the torso is slightly boxy: a superellipse of exponent 2.5
        power = 0.8 if guide == 'torso' else 1.0
        cos, sin = np.cos(angle), np.sin(angle)
        self.cos = (np.sign(cos) * np.abs(cos) ** power).astype(np.float32)
        self.sin = (np.sign(sin) * np.abs(sin) ** power).astype(np.float32)

    def pose(self, positions: np.ndarray, axes: dict, size: float) -> np.ndarray:
        """Vertices (F, n * m, 3) for joint positions (F, J, 3) of a figure `size` metres tall."""
        chain = positions[:, self.index]
        centre, along = _on_chain(self.weights, chain), unit(_on_chain(self._ahead, chain))
        side = _across(self._guides(axes), along)
        deep = np.cross(along, side)
        width, depth, shift = (self.table[:, i] * np.float32(size) for i in (1, 2, 3))
        if self.guide.endswith('_foot'):  # the sole is flat: sections stand on it
            centre = centre + deep * (depth - np.float32(0.005 * size))[:, None]
        centre = centre + deep * shift[:, None]
        return self._rings(centre, side * width[:, None], deep * depth[:, None])

    def _guides(self, axes: dict) -> np.ndarray:
        """Direction of the width: (F, 1, 3), or (F, n, 3) where the tube twists."""
        if self.guide != 'torso':
            return axes[self.guide][:, None]
        share = np.interp(self.table[:, 0], [0.0, 2.2], [0, 1]).astype(np.float32)[:, None]
        return axes['hips'][:, None] * (1 - share) + axes['shoulders'][:, None] * share

    def _rings(self, centre: np.ndarray, side: np.ndarray, deep: np.ndarray) -> np.ndarray:
        """Ellipses with half axes `side` and `deep` (F, n, 3) around `centre`."""
        ring = centre[:, :, None] + side[:, :, None] * self.cos[:, None]
        ring += deep[:, :, None] * self.sin[:, None]
        return ring.reshape(len(centre), -1, 3)  # (F, n, m, 3) -> (F, n*m, 3)


class SkirtLoft(Loft):
    """A tube around both legs, as wide and as deep as their stride.

    Args:
        table: (n, 4) sections as `body` describes them; stations of the leg.
        segments: Vertices of a ring.
        bend: How far from the knee the tube begins to bend.
    """

    def __init__(self, table: np.ndarray, segments: int, bend: float) -> None:
        super().__init__(('left_hip', 'left_knee', 'left_ankle'), table, segments, 'hips', bend)
        self.other = joint_index('right_hip', 'right_knee', 'right_ankle')

    def pose(self, positions: np.ndarray, axes: dict, size: float) -> np.ndarray:
        """Vertices (F, n * m, 3) for joint positions (F, J, 3) of a figure `size` metres tall."""
        left = _on_chain(self.weights, positions[:, self.index])
        right = _on_chain(self.weights, positions[:, self.other])
        centre, spread = (left + right) / 2, (left - right) / 2
        along = unit(np.gradient(centre, axis=1))
        side = _across(axes['hips'][:, None], along)
        deep = np.cross(along, side)
        width = np.abs((spread * side).sum(-1)) + self.table[:, 1] * np.float32(size)  # (F, n)
        depth = np.abs((spread * deep).sum(-1)) + self.table[:, 2] * np.float32(size)
        return self._rings(centre, side * width[..., None], deep * depth[..., None])


def body_axes(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Directions that orient the rings, unit vectors (F, 3), from joint positions (F, J, 3).

    Besides: `head`, the rows x, y, z of the head's frame (F, 3, 3).
    """

    def at(name):
        return positions[:, joint_index(name)[0]]

    hips, shoulders = at('left_hip') - at('right_hip'), at('left_shoulder') - at('right_shoulder')
    up = unit(at('neck') - at('chest'))
    lateral = _across(shoulders, up)
    forward = np.cross(lateral, up)
    axes = {'hips': unit(hips), 'shoulders': unit(shoulders)}
    for side, sign in (('left', 1), ('right', -1)):
        # a direction an arm rarely takes, so that its rings do not spin
        axes[f'{side}_arm'] = unit(-sign * lateral + 0.6 * up - forward)
        axes[f'{side}_palm'] = unit(forward + 0.35 * up)
        sole = at(f'{side}_toe') - at(f'{side}_heel')
        shank = at(f'{side}_knee') - at(f'{side}_ankle')
        axes[f'{side}_foot'] = unit(np.cross(shank, sole))
    head_up = unit(at('head_top') - at('head_bottom'))
    across = _across(at('left_ear') - at('right_ear'), head_up)
    axes['head'] = np.stack([across, head_up, np.cross(across, head_up)], 1)
    return axes


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
