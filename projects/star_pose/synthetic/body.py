"""A figure's surface: a mesh of small quads that follows the joints without gaps.

Limbs and torso are tubes: rings of vertices around a smooth curve through the joints, so that an
elbow bends and nothing can come apart. Head, hair and face are rigid. Lengths are shares of the
stature.
"""

import dataclasses

import numpy as np

from .skeleton import joint_index
from .tubes import Loft, SkirtLoft, body_axes, face_details, head_pieces

__all__ = ['REGIONS', 'BodyMesh', 'Build']

#: What a quad belongs to; visibility rules and clothes go by it.
REGIONS = (
    'torso', 'head', 'hair', 'face', 'left_arm', 'right_arm', 'left_hand', 'right_hand', 'left_leg',
    'right_leg', 'left_foot', 'right_foot', 'skirt',
)  # fmt: skip

_COLLAR = 3.08  # station of the torso where every top ends
_BEND = 0.22  # share of a bone over which a limb bends at its joint

# Cross-sections: (station, half width, half depth, shift along the depth axis). A station counts
# joints along the part's chain: 0 the first joint, 1.5 halfway between the second and the third.
# fmt: off
_ARM = np.array([
    (-0.15, 0.005, 0.005, 0), (-0.115, 0.018, 0.018, 0), (-0.04, 0.027, 0.027, 0),
    (0.10, 0.0305, 0.0305, 0), (0.35, 0.0305, 0.0305, 0), (0.65, 0.028, 0.028, 0),
    (0.90, 0.024, 0.024, 0), (1.00, 0.0235, 0.0235, 0), (1.18, 0.026, 0.025, 0),
    (1.40, 0.0245, 0.023, 0), (1.70, 0.0185, 0.018, 0), (1.92, 0.0160, 0.0145, 0),
    (2.04, 0.0155, 0.0135, 0),
])
_LEG = np.array([
    (-0.16, 0.020, 0.030, 0), (-0.06, 0.046, 0.056, -0.006), (0.08, 0.052, 0.060, -0.006),
    (0.30, 0.050, 0.056, 0), (0.60, 0.042, 0.046, 0.002), (0.88, 0.034, 0.036, 0.002),
    (1.00, 0.032, 0.035, 0.003), (1.12, 0.031, 0.033, -0.002), (1.28, 0.033, 0.036, -0.009),
    (1.45, 0.031, 0.033, -0.008), (1.70, 0.023, 0.024, -0.003), (1.90, 0.0185, 0.0205, 0),
    (2.06, 0.018, 0.021, 0),
])
# controls: pelvis, spine, chest, neck, head_bottom; the depth axis of the torso points back
_TORSO = np.array([
    (-0.80, 0.012, 0.018, 0), (-0.68, 0.050, 0.040, 0), (-0.45, 0.080, 0.058, 0.004),
    (0.00, 0.091, 0.066, 0.006), (0.50, 0.085, 0.060, 0.000), (1.00, 0.077, 0.055, -0.003),
    (1.50, 0.084, 0.060, -0.002), (2.00, 0.095, 0.066, 0.000), (2.45, 0.101, 0.065, 0.002),
    (2.70, 0.101, 0.055, 0.004), (2.86, 0.090, 0.046, 0.006), (3.05, 0.058, 0.038, 0.006),
    (3.22, 0.034, 0.033, 0.004), (3.50, 0.0285, 0.030, 0.002), (4.00, 0.0280, 0.031, 0.0),
    (4.55, 0.020, 0.024, 0.0),
])
_HAND = np.array([
    (-0.08, 0.0125, 0.0115, 0), (0.10, 0.0165, 0.0115, 0), (0.35, 0.0225, 0.0105, 0),
    (0.60, 0.0220, 0.0095, 0), (0.85, 0.0175, 0.0080, 0), (0.98, 0.0090, 0.0060, 0),
    (1.02, 0.0010, 0.0010, 0),
])
# station from heel to toe; the depth is half the height of the shoe over its sole
_FOOT = np.array([
    (-0.14, 0.004, 0.010, 0), (-0.09, 0.017, 0.018, 0), (0.05, 0.0215, 0.0230, 0),
    (0.25, 0.0220, 0.0250, 0), (0.50, 0.0250, 0.0185, 0), (0.75, 0.0285, 0.0130, 0),
    (0.95, 0.0250, 0.0110, 0), (1.06, 0.0140, 0.0090, 0), (1.09, 0.0030, 0.0050, 0),
])
# fmt: on


def _sections(profile: np.ndarray, count: int, hems: tuple[float, ...] = ()) -> np.ndarray:
    """Resample a profile at `count` stations, plus a doubled one at every hem of a garment.

    Args:
        profile: (R, 4), one of the tables above.
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


@dataclasses.dataclass(frozen=True)
class Build:
    """Size and outline of one figure; lengths of clothes are stations of limbs and torso.

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


class BodyMesh:
    """The quads of one figure and how to pose them.

    Args:
        build: The figure's outline.
        detail: Fineness; 1 gives about 900 quads, good for a figure of 150 px.

    Attributes:
        quads: (M, 4) vertex indices, anticlockwise seen from outside.
        region: (M,) index into `REGIONS`.
        station: (M,) position along the part, as in `_ARM`; for `head` and `hair` the height over
            head_bottom, shares of the stature.
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
        self._add_torso(detail, around)
        if build.skirt:
            self._add_skirt(detail, around)
        for side in ('left', 'right'):
            self._add_arm(side, detail, around)
            self._add_leg(side, detail, around)
        self._add_head(detail, around)
        self.quads = np.concatenate(self._quads)
        info = np.concatenate(self._info)
        self.region = info[:, 0].astype(np.int64)
        self.station, self.angle = info[:, 1], info[:, 2]
        self.face_details = list(face_details())
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

    def _add_loft(self, region: str, loft: Loft) -> None:
        self._lofts.append(loft)
        self._grid(region, loft.table[:, 0], len(loft.cos))

    def _add_torso(self, detail: float, around: int) -> None:
        b = self.build
        table = _sections(_TORSO, round(18 * detail**0.7), (b.top_hem, _COLLAR))
        s = table[:, 0]
        wide = np.interp(s, [-0.4, 0.6, 1.6, 2.4, 3.0, 3.3], [b.hips, 1, 1, b.shoulders, 1, 1])
        girth = np.interp(s, [2.6, 3.3], [b.girth, b.girth**0.4])
        table[:, 1] *= wide * girth
        table[:, 2] *= girth
        belly = b.belly * np.exp(-(((s - 0.75) / 0.6) ** 2))
        table[:, 2] += belly / 2
        table[:, 3] -= belly / 2
        table[:, 1:3] += np.where(s <= _COLLAR, b.looseness, 0)[:, None]
        table[:, 1:3] -= np.where((s < b.top_hem) & (s > -0.7), 0.003, 0)[:, None]
        chain = ('pelvis', 'spine', 'chest', 'neck', 'head_bottom')
        self._add_loft('torso', Loft(chain, table, round(around * 1.6), 'torso', 0.45))

    def _add_arm(self, side: str, detail: float, around: int) -> None:
        b = self.build
        table = _sections(_ARM, round(13 * detail**0.7), (b.sleeve,))
        table[:, 1:3] *= b.girth**0.8
        # sleeves widen away from the shoulder seam
        air = np.interp(table[:, 0], [-0.1, 0.4, 1.9], [0.0, 1.0, 1.1]) * b.looseness
        table[:, 1:3] += np.where(table[:, 0] <= b.sleeve, air, 0)[:, None]
        chain = (f'{side}_shoulder', f'{side}_elbow', f'{side}_wrist')
        self._add_loft(f'{side}_arm', Loft(chain, table, around, f'{side}_arm', _BEND))
        hand = _sections(_HAND, round(6 * detail**0.7))
        chain, few = (f'{side}_wrist', f'{side}_hand'), max(6, around // 2 + 1)
        self._add_loft(f'{side}_hand', Loft(chain, hand, few, f'{side}_palm', _BEND))

    def _add_leg(self, side: str, detail: float, around: int) -> None:
        b = self.build
        table = _sections(_LEG, round(15 * detail**0.7), (b.leg_hem,))
        table[:, 1:3] *= b.girth**0.8
        flare = np.interp(table[:, 0], [-0.2, 0.1, 1.95], [0.0, 1.0, 1.6]) * b.looseness
        table[:, 1:3] += np.where(table[:, 0] <= b.leg_hem, flare, 0)[:, None]
        chain = (f'{side}_hip', f'{side}_knee', f'{side}_ankle')
        self._add_loft(f'{side}_leg', Loft(chain, table, around, 'hips', _BEND))
        foot = _sections(_FOOT, round(8 * detail**0.7))
        chain, few = (f'{side}_heel', f'{side}_toe'), max(6, around - 2)
        self._add_loft(f'{side}_foot', Loft(chain, foot, few, f'{side}_foot', _BEND))

    def _add_skirt(self, detail: float, around: int) -> None:
        b = self.build
        stations = np.linspace(-0.06, b.skirt, max(4, round(7 * detail**0.7)))
        leg = np.stack([np.interp(stations, _LEG[:, 0], c) for c in _LEG.T], 1)
        air = np.interp(stations, [-0.06, 0.2, 1.2], [0, 1, 2.2]) * (b.looseness + 0.010)
        leg[:, 1:3] = leg[:, 1:3] * b.girth + air[:, None]
        self._add_loft('skirt', SkirtLoft(leg, round(around * 1.6), _BEND))

    def _add_head(self, detail: float, around: int) -> None:
        for region, tube, keep in head_pieces(
            self.build.hair, self.build.hair_volume, detail, around
        ):
            self._rigid.append(tube.reshape(-1, 3))  # (n, m, 3) -> (n*m, 3)
            self._grid(region, tube[:, 0, 1], tube.shape[1], keep)
        for i, quad in enumerate(face_details().values()):
            self._rigid.append(quad)
            self._quads.append(np.arange(4)[None] + self._count)
            self._info.append(np.array([[REGIONS.index('face'), quad[:, 1].mean(), i]]))
            self._count += 4

    def vertices(self, joints: np.ndarray) -> np.ndarray:
        """Pose the mesh.

        Args:
            joints: (F, J, 3) joint positions, metres.

        Returns:
            (F, V, 3) float32 vertices, metres.
        """
        joints = joints.astype(np.float32)
        axes, size = body_axes(joints), self.build.stature
        posed = [loft.pose(joints, axes, size) for loft in self._lofts]
        local = np.concatenate(self._rigid).astype(np.float32) * np.float32(size)
        origin = joints[:, joint_index('head_bottom')]  # (F, 1, 3)
        posed.append(origin + local @ axes['head'])
        return np.concatenate(posed, axis=1)
