"""A figure's surface: a mesh of small quads that follows the joints without gaps.

Limbs and torso are lofted: rings of vertices around a smooth curve through the joints, so that an
elbow bends like a tube and nothing can come apart. Head, hair and face are rigid.
"""

import dataclasses

import numpy as np

from . import body_parts as parts
from .skeleton import joint_index

__all__ = ['REGIONS', 'BodyMesh', 'Build']

#: What a quad belongs to; visibility rules and clothes go by it.
REGIONS = (
    'torso', 'head', 'hair', 'face', 'left_arm', 'right_arm', 'left_hand', 'right_hand', 'left_leg',
    'right_leg', 'left_foot', 'right_foot', 'skirt',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Build:
    """Size and outline of one figure; lengths of clothes are stations of `body_parts`.

    Args:
        stature: Height, metres.
        girth: Factor on all widths, 1 is average.
        shoulders: Factor on the width of the chest.
        hips: Factor on the width of the pelvis.
        belly: How far the belly protrudes, share of the stature.
        sleeve: Where sleeves end on the arm (0 none, 0.5 T-shirt, 1.95 wrist).
        leg_hem: Where trousers end on the leg (0.3 shorts, 1.95 ankle).
        top_hem: Where the top ends on the torso (0.2 tucked in, -0.4 over the hips).
        looseness: Air between skin and clothes, share of the stature.
        skirt: Length of a skirt as a leg station, 0 for none.
        hair: 'bald', 'short', 'long', 'bun', 'tail' or 'cap'.
        hair_volume: Thickness of the hair, share of the stature.
    """

    stature: float = 1.75
    girth: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    belly: float = 0.0
    sleeve: float = 0.5
    leg_hem: float = 1.95
    top_hem: float = 0.1
    looseness: float = 0.005
    skirt: float = 0.0
    hair: str = 'short'
    hair_volume: float = 0.006


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _chain_weights(stations: np.ndarray, controls: int, bend: float) -> np.ndarray:
    """Weights (n, controls) that place stations on a chain of joints, rounded at each joint.

    Within `bend` of a joint the point runs on the quadratic Bezier curve between the straight
    parts, elsewhere on the chain itself; before the first and after the last joint it goes on.
    """
    weights = np.zeros((len(stations), controls))
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


class BodyMesh:
    """The quads of one figure and how to pose them.

    Args:
        build: The figure's outline.
        detail: Fineness; 1 gives about 900 quads, good for a figure of 150 px.

    Attributes:
        quads: (M, 4) vertex indices, anticlockwise seen from outside.
        region: (M,) index into `REGIONS`.
        station: (M,) position along the part (see `body_parts`); the height over head_bottom in
            shares of the stature for `head` and `hair`.
        angle: (M,) position around the part, radians; for `face` the index of the detail.
        face_details: Names of the details of the face.
        pieces: Vertex indices of nearly convex pieces of the body.
        head: Vertex indices of the head.
    """

    def __init__(self, build: Build, detail: float = 1.0) -> None:
        self.build = build
        self._quads, self._info, self._count = [], [], 0
        self._lofts, self._rigid = [], []
        around = max(6, round(10 * detail**0.8))
        self._add_lofts(detail, around)
        self._add_head(detail, around)
        self.quads = np.concatenate(self._quads)
        info = np.concatenate(self._info)
        self.region = info[:, 0].astype(np.int64)
        self.station, self.angle = info[:, 1], info[:, 2]
        self.face_details = list(parts.face_details())
        self.pieces = self._cut()
        self.head = np.unique(self.quads[self.region == REGIONS.index('head')])

    def _cut(self) -> list[np.ndarray]:
        """Vertex indices of nearly convex pieces: the regions, limbs cut at their middle joint."""
        pieces = []
        for number, name in enumerate(REGIONS):
            quads = self.region == number
            cuts = [quads]
            if name.endswith(('_arm', '_leg')):
                cuts = [quads & (self.station < 1.02), quads & (self.station > 0.95)]
            if name not in ('face', 'hair'):
                pieces += [np.unique(self.quads[cut]) for cut in cuts if cut.any()]
        return pieces

    def _grid(self, region: str, stations: np.ndarray, segments: int, keep=None) -> None:
        """Register the quads of a tube of rings, closed around."""
        n = len(stations)
        i, j = np.meshgrid(np.arange(n - 1), np.arange(segments), indexing='ij')
        k = (j + 1) % segments
        quads = np.stack([i * segments + j, i * segments + k, (i + 1) * segments + k,
                          (i + 1) * segments + j], -1).reshape(-1, 4)  # fmt: skip
        middle = (stations[:-1] + stations[1:]) / 2
        info = np.stack([
            np.full(i.size, REGIONS.index(region)), np.repeat(middle, segments),
            (j.ravel() + 0.5) * 2 * np.pi / segments,
        ], -1)  # fmt: skip
        if keep is not None:
            quads, info = quads[keep], info[keep]
        self._quads.append(quads + self._count)
        self._info.append(info)
        self._count += n * segments

    def _loft(self, region, controls, table, segments, bend, reference) -> None:
        weights = _chain_weights(table[:, 0], len(controls), bend)
        ahead = _chain_weights(table[:, 0] + 0.02, len(controls), bend)
        behind = _chain_weights(table[:, 0] - 0.02, len(controls), bend)
        index = joint_index(*controls)
        self._lofts.append((index, weights, ahead - behind, table, segments, reference))
        self._grid(region, table[:, 0], segments)

    def _add_lofts(self, detail: float, around: int) -> None:
        b = self.build
        torso = parts.sections(parts.TORSO, round(18 * detail**0.7), (b.top_hem, 3.08))
        s = torso[:, 0]
        wide = np.interp(s, [-0.4, 0.6, 1.6, 2.4, 3.0, 3.3], [b.hips, 1, 1, b.shoulders, 1, 1])
        girth = np.interp(s, [2.6, 3.3], [b.girth, b.girth**0.4])
        torso[:, 1] *= wide * girth
        torso[:, 2] *= girth
        belly = b.belly * np.exp(-(((s - 0.75) / 0.6) ** 2))
        torso[:, 2] += belly / 2
        torso[:, 3] -= belly / 2
        torso[:, 1:3] += np.where(s <= 3.08, b.looseness, 0)[:, None]
        torso[:, 1:3] += np.where((s < b.top_hem) & (s > -0.7), -0.003, 0)[:, None]
        self._loft('torso', ('pelvis', 'spine', 'chest', 'neck', 'head_bottom'), torso,
                   round(around * 1.6), 0.45, 'torso')  # fmt: skip
        if b.skirt:
            self._add_skirt(detail, round(around * 1.6))
        for side in ('left', 'right'):
            arm = parts.sections(parts.ARM, round(13 * detail**0.7), (b.sleeve,))
            arm[:, 1:3] *= b.girth**0.8
            # sleeves widen away from the shoulder seam
            air = np.interp(arm[:, 0], [-0.1, 0.4, 1.9], [0.0, 1.0, 1.1]) * b.looseness
            arm[:, 1:3] += np.where(arm[:, 0] <= b.sleeve, air, 0)[:, None]
            self._loft(f'{side}_arm', (f'{side}_shoulder', f'{side}_elbow', f'{side}_wrist'), arm,
                       around, 0.22, side)  # fmt: skip
            self._loft(f'{side}_hand', (f'{side}_wrist', f'{side}_hand'),
                       parts.sections(parts.HAND, round(6 * detail**0.7)), max(6, around // 2 + 1),
                       0.1, f'{side}_palm')  # fmt: skip
            leg = parts.sections(parts.LEG, round(15 * detail**0.7), (b.leg_hem,))
            leg[:, 1:3] *= b.girth**0.8
            flare = np.interp(leg[:, 0], [-0.2, 0.1, 1.95], [0.0, 1.0, 1.6]) * b.looseness
            leg[:, 1:3] += np.where(leg[:, 0] <= b.leg_hem, flare, 0)[:, None]
            self._loft(f'{side}_leg', (f'{side}_hip', f'{side}_knee', f'{side}_ankle'), leg,
                       around, 0.22, 'legs')  # fmt: skip
            self._loft(f'{side}_foot', (f'{side}_heel', f'{side}_toe'),
                       parts.sections(parts.FOOT, round(8 * detail**0.7)), max(6, around - 2), 0.1,
                       f'{side}_foot')  # fmt: skip

    def _add_skirt(self, detail: float, segments: int) -> None:
        """A tube around both legs; `_pose_skirt` makes it as wide as their stride."""
        b = self.build
        stations = np.linspace(-0.06, b.skirt, max(4, round(7 * detail**0.7)))
        widen = np.interp(stations, [-0.06, 0.2, 1.2], [0, 1, 2.2]) * (b.looseness + 0.006)
        leg = np.stack([np.interp(stations, parts.LEG[:, 0], c) for c in parts.LEG.T], 1)
        leg[:, 1:3] *= b.girth
        table = np.stack([stations, leg[:, 1] + widen, leg[:, 2] + widen, 0 * stations], 1)
        weights = _chain_weights(stations, 3, 0.22)
        index = joint_index('left_hip', 'left_knee', 'left_ankle', 'right_hip', 'right_knee',
                            'right_ankle')  # fmt: skip
        self._lofts.append((index, weights, None, table, segments, 'skirt'))
        self._grid('skirt', stations, segments)

    def _rigid_grid(self, region: str, vertices: np.ndarray, keep=None) -> None:
        """Register a rigid tube (rings, segments, 3) in head axes."""
        self._rigid.append(vertices.reshape(-1, 3))
        self._grid(region, vertices[:, 0, 1], vertices.shape[1], keep)

    def _add_head(self, detail: float, around: int) -> None:
        b = self.build
        segments = round(around * 1.5)
        skull = parts.head_rings(max(9, round(12 * detail**0.7)), segments)
        self._rigid_grid('head', skull)
        if b.hair != 'bald':
            self._add_hair(skull, b)
        rings, few = max(5, round(6 * detail**0.5)), max(6, around - 3)
        for sign in (1, -1):
            self._rigid_grid('head', parts.ball((sign * 0.0455, 0.0520, -0.008),
                                                (0.0050, 0.0165, 0.0100), 5, 6))  # fmt: skip
        extras = {
            'long': [((0, 0.028, -0.040), (0.047, 0.085, 0.030))],
            'tail': [((0, 0.045, -0.088), (0.013, 0.052, 0.016)),
                     ((0, 0.088, -0.070), (0.014, 0.014, 0.016))],
            'bun': [((0, 0.108, -0.062), (0.024, 0.022, 0.024))],
            'cap': [((0, 0.090, 0.066), (0.034, 0.0045, 0.034))],
        }  # fmt: skip
        for centre, radii in extras.get(b.hair, []):
            self._rigid_grid('hair', parts.ball(centre, radii, rings, few))
        for i, quad in enumerate(parts.face_details().values()):
            self._rigid.append(quad)
            self._quads.append(np.arange(4)[None] + self._count)
            self._info.append(np.array([[REGIONS.index('face'), quad[:, 1].mean(), i]]))
            self._count += 4

    def _add_hair(self, skull: np.ndarray, b: Build) -> None:
        """A shell over the part of the skull where hair grows."""
        x, y, z = skull[..., 0], skull[..., 1], skull[..., 2]
        front = np.clip((z + 0.01) / 0.05, 0, 1)
        line = 0.018 + 0.074 * front**0.8  # the hairline: low at the nape, high over the brow
        if b.hair == 'cap':
            line = np.full_like(z, 0.078)
        cover = np.clip((y - line) / 0.02, -0.2, 1)
        centre = np.array([0, 0.06, -0.004])
        out = _unit(skull - centre)
        shell = skull + out * ((b.hair_volume + 0.002) * cover)[..., None]
        corners = np.stack([cover[:-1], np.roll(cover, -1, 1)[:-1], np.roll(cover, -1, 1)[1:],
                            cover[1:]], -1)  # fmt: skip
        ear = (np.abs(x) > 0.036) & (y < 0.062) & (z > -0.03)
        keep = (corners.mean(-1) > 0.15).ravel() & ~ear[:-1].ravel()
        self._rigid_grid('hair', shell, keep)

    def vertices(self, joints: np.ndarray) -> np.ndarray:
        """Pose the mesh.

        Args:
            joints: (F, J, 3) joint positions, metres.

        Returns:
            (F, V, 3) float32 vertices, metres.
        """
        joints = joints.astype(np.float32)
        axes = _body_axes(joints)
        posed = [self._pose_loft(joints, axes, *loft) for loft in self._lofts]
        origin, frame = axes['head']
        local = np.concatenate(self._rigid).astype(np.float32) * self.build.stature
        posed.append(origin[:, None] + local @ frame)  # rows of `frame` are the axes
        return np.concatenate(posed, axis=1)

    def _pose_loft(self, joints, axes, index, weights, tangent, table, segments, reference):
        size = np.float32(self.build.stature)
        control = joints[:, index]  # (F, K, 3)
        if reference == 'skirt':
            return self._pose_skirt(control, axes['legs'], weights, table, segments)
        centre = np.einsum('nk,fkc->fnc', weights.astype(np.float32), control)
        along = _unit(np.einsum('nk,fkc->fnc', tangent.astype(np.float32), control))
        guide = axes[reference]
        if reference == 'torso':  # twists from the hips to the shoulders
            share = np.interp(table[:, 0], [0.0, 2.2], [0, 1]).astype(np.float32)[None, :, None]
            guide = guide[0][:, None] * (1 - share) + guide[1][:, None] * share
        else:
            guide = guide[:, None]
        side = _unit(guide - (guide * along).sum(-1, keepdims=True) * along)
        deep = np.cross(along, side)
        angle = 2 * np.pi * np.arange(segments) / segments
        width, depth, shift = (table[:, i, None].astype(np.float32) * size for i in (1, 2, 3))
        if reference.endswith('_foot'):  # the sole is flat: sections stand on it
            centre = centre + deep * (depth - 0.005 * size)
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        # a slightly boxy torso: superellipse of exponent 2.5
        if reference == 'torso':
            cos = np.sign(cos) * np.abs(cos) ** 0.8
            sin = np.sign(sin) * np.abs(sin) ** 0.8
        ring = centre[:, :, None] + side[:, :, None] * (width * cos)[None, :, :, None]
        ring += deep[:, :, None] * (depth * sin + shift)[None, :, :, None]
        return ring.reshape(len(joints), -1, 3)  # (F, n, segments, 3) -> (F, n*segments, 3)

    def _pose_skirt(self, control, lateral, weights, table, segments):
        size, weights = np.float32(self.build.stature), weights.astype(np.float32)
        left = np.einsum('nk,fkc->fnc', weights, control[:, :3])
        right = np.einsum('nk,fkc->fnc', weights, control[:, 3:])
        centre, spread = (left + right) / 2, (left - right) / 2
        along = _unit(np.gradient(centre, axis=1))
        side = lateral[:, None]
        side = _unit(side - (side * along).sum(-1, keepdims=True) * along)
        deep = np.cross(along, side)
        width = np.abs((spread * side).sum(-1)) + table[:, 1].astype(np.float32) * size  # (F, n)
        depth = np.abs((spread * deep).sum(-1)) + table[:, 2].astype(np.float32) * size
        angle = (2 * np.pi * np.arange(segments) / segments).astype(np.float32)
        ring = centre[:, :, None] + side[:, :, None] * (width[..., None] * np.cos(angle))[..., None]
        ring += deep[:, :, None] * (depth[..., None] * np.sin(angle))[..., None]
        return ring.reshape(len(control), -1, 3)  # (F, n, segments, 3) -> (F, n*segments, 3)


def _body_axes(joints: np.ndarray) -> dict:
    """Directions that orient the cross-sections, each (F, 3), and the head's frame."""

    def at(name):
        return joints[:, joint_index(name)[0]]

    hips, shoulders = at('left_hip') - at('right_hip'), at('left_shoulder') - at('right_shoulder')
    up = _unit(at('neck') - at('chest'))
    lateral = _unit(shoulders - (shoulders * up).sum(-1, keepdims=True) * up)
    forward = np.cross(lateral, up)
    axes = {'torso': (_unit(hips), _unit(shoulders)), 'legs': _unit(hips)}
    for side, sign in (('left', 1), ('right', -1)):
        # a direction an arm rarely takes, so that its sections do not spin
        axes[side] = _unit(-sign * lateral + 0.6 * up - forward)
        axes[f'{side}_palm'] = _unit(forward + 0.35 * up)
        sole = _unit(at(f'{side}_toe') - at(f'{side}_heel'))
        shank = at(f'{side}_knee') - at(f'{side}_ankle')
        axes[f'{side}_foot'] = _unit(np.cross(shank, sole))
    head_up = _unit(at('head_top') - at('head_bottom'))
    across = at('left_ear') - at('right_ear')
    across = _unit(across - (across * head_up).sum(-1, keepdims=True) * head_up)
    frame = np.stack([across, head_up, np.cross(across, head_up)], 1)  # (F, 3 axes, 3)
    axes['head'] = (at('head_bottom'), frame)
    return axes
