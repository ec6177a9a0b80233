"""Tubes of rings around chains of joints: how limbs, torso and skirts follow a pose."""

import numpy as np

from .skeleton import joint_index

__all__ = ['Loft', 'SkirtLoft', 'body_axes']


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _across(guide: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The part of `guide` at right angles to `along`, as a unit vector."""
    return _unit(guide - (guide * along).sum(-1, keepdims=True) * along)


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
        table: (n, 4) float32 sections as `body_parts` describes them.
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
        centre, along = _on_chain(self.weights, chain), _unit(_on_chain(self._ahead, chain))
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
        table: (n, 4) sections as `body_parts` describes them; stations of the leg.
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
        along = _unit(np.gradient(centre, axis=1))
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
    up = _unit(at('neck') - at('chest'))
    lateral = _across(shoulders, up)
    forward = np.cross(lateral, up)
    axes = {'hips': _unit(hips), 'shoulders': _unit(shoulders)}
    for side, sign in (('left', 1), ('right', -1)):
        # a direction an arm rarely takes, so that its rings do not spin
        axes[f'{side}_arm'] = _unit(-sign * lateral + 0.6 * up - forward)
        axes[f'{side}_palm'] = _unit(forward + 0.35 * up)
        sole = at(f'{side}_toe') - at(f'{side}_heel')
        shank = at(f'{side}_knee') - at(f'{side}_ankle')
        axes[f'{side}_foot'] = _unit(np.cross(shank, sole))
    head_up = _unit(at('head_top') - at('head_bottom'))
    across = _across(at('left_ear') - at('right_ear'), head_up)
    axes['head'] = np.stack([across, head_up, np.cross(across, head_up)], 1)
    return axes
