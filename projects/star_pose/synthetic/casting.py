"""Who performs in a video, where, and what."""

import dataclasses

import numpy as np

from .appearance import Person, paint, random_person
from .body import REGIONS, BodyMesh
from .mocap import MotionLibrary
from .motions import MOTIONS
from .signals import ease, smooth_noise
from .skeleton import CHANNELS, forward_kinematics

__all__ = ['FPS', 'Cast', 'Figure', 'choreograph']

FPS = 30.0
_CALM = ('stand', 'wave', 'turn')  # what people in the background do
# metres by which painted details and loose cloth count as nearer than they are
_LIFTS = {'face': 0.02, 'hair': 0.004, 'skirt': 0.03}
# Joint angles of a figure that stands at ease, radians.
_AT_EASE = {
    'left_arm_abduct': 0.16, 'right_arm_abduct': 0.16, 'left_elbow': 0.22, 'right_elbow': 0.22,
    'left_arm_flex': 0.02, 'right_arm_flex': 0.02, 'left_hip_abduct': 0.05,
    'right_hip_abduct': 0.05, 'left_hip_twist': 0.08, 'right_hip_twist': 0.08,
    'left_knee': 0.06, 'right_knee': 0.06, 'left_hip_flex': 0.03, 'right_hip_flex': 0.03,
    'left_ankle': 0.03, 'right_ankle': 0.03,
}  # fmt: skip
# These turn the whole body over and are not mixed with others.
_ALONE = ('cartwheel', 'pushup')


@dataclasses.dataclass(frozen=True)
class Figure:
    """A person in the scene.

    Args:
        person: Build and colours.
        mesh: The surface.
        colour: (M, 3) BGR of the mesh's quads.
        lift: (M,) metres, see `Surface`.
        joints: (F, J, 3) positions frame by frame, metres.
        motions: What the person does; the trial's name for motion capture.
        labelled: Whether the person is annotated; else an ignore region covers it.
    """

    person: Person
    mesh: BodyMesh
    colour: np.ndarray
    lift: np.ndarray
    joints: np.ndarray
    motions: tuple[str, ...]
    labelled: bool


class Cast:
    """Draws the figures of one video.

    Args:
        frames: Number of frames F.
        person_pixels: Height of a 1.7 m person in the image; sets the fineness of meshes.
        view_width: Width that the camera sees at the figures, metres.
        motion: Library of motion capture, or None for parametric motions.
        rng: Source of everything random.
    """

    def __init__(
        self,
        frames: int,
        person_pixels: float,
        view_width: float,
        motion: MotionLibrary | None,
        rng: np.random.Generator,
    ) -> None:
        self.frames, self.view_width, self.motion, self._rng = frames, view_width, motion, rng
        self._detail = float(np.clip(0.78 * (person_pixels / 150) ** 0.7, 0.35, 2.0))

    def actors(self, count: int) -> list[Figure]:
        """Labelled people at spots apart from each other, some close to each other."""
        rng, spots = self._rng, []
        reach = 0.36 * self.view_width
        for _ in range(count):
            for _ in range(20):
                spot = np.array([rng.uniform(-reach, reach), rng.uniform(-2.5, 1.2)])
                apart = 0.75 if rng.random() < 0.8 else 0.35
                if all(np.linalg.norm((spot - s) * (1, 0.5)) > apart for s in spots):
                    break
            spots.append(spot)
        return [self._figure(spot, True) for spot in spots]

    def crowd(self) -> list[Figure]:
        """A group in the background that is not labelled but ignored."""
        rng = self._rng
        middle = np.array([rng.uniform(-0.5, 0.5) * self.view_width, rng.uniform(-6, -3.8)])
        count = int(rng.integers(2, 6))
        offsets = np.stack([np.arange(count) * 0.6 - 0.3 * count, rng.normal(0, 0.3, count)], 1)
        return [self._figure(middle + offset, False) for offset in offsets]

    def _figure(self, place: np.ndarray, labelled: bool) -> Figure:
        """A person who performs around `place` (x, z) and faces anywhere."""
        rng, person = self._rng, random_person(self._rng)
        mesh = BodyMesh(person.build, self._detail * (1 if labelled else 0.6))
        stature = person.build.stature
        if self.motion is not None and labelled:
            joints, trial = self.motion.window(self.frames, stature, rng)
            motions = [trial]
        else:
            channels, motions = choreograph(self.frames, FPS, rng, () if labelled else _CALM)
            joints = forward_kinematics(channels, stature, FPS)
        yaw = rng.uniform(-np.pi, np.pi) if rng.random() < 0.6 else rng.uniform(-0.9, 0.9)
        c, s = np.cos(yaw), np.sin(yaw)
        joints = joints @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        joints[..., [0, 2]] += place - joints[self.frames // 2, 0, [0, 2]]
        return Figure(
            person,
            mesh,
            paint(person, mesh),
            np.array([_LIFTS.get(REGIONS[i], 0.0) for i in mesh.region], np.float32),
            joints.astype(np.float32),
            tuple(motions),
            labelled,
        )


def choreograph(
    frames: int, fps: float, rng: np.random.Generator, names: tuple[str, ...] = ()
) -> tuple[np.ndarray, list[str]]:
    """Let one figure perform one or two motions, cross-faded over half a second.

    Args:
        frames: Number of frames F.
        fps: Frames a second.
        rng: Draws the motions and their parameters.
        names: Motions to choose from; all when empty.

    Returns:
        The channels (F, C) and the names of the motions in order.
    """
    pool = list(names or MOTIONS)
    chosen = [str(rng.choice(pool)) for _ in range(int(rng.integers(1, 3)))]
    if set(chosen) & set(_ALONE):
        chosen = chosen[:1]
    t = np.arange(frames) / fps
    switch = rng.uniform(0.35, 0.65) * frames / fps
    values = np.zeros((frames, len(CHANNELS)))
    for i, name in enumerate(chosen):
        motion = {**{k: np.full(frames, v) for k, v in _AT_EASE.items()}, **MOTIONS[name](t, rng)}
        share = 1.0
        if len(chosen) == 2:
            share = ease((t - switch) / 0.5 + 0.5)
            share = share if i else 1 - share
        values += np.stack([motion.get(k, np.zeros(frames)) for k in CHANNELS], 1) * (
            share[:, None] if len(chosen) == 2 else 1.0
        )
    sway = [smooth_noise(t, rng, 2.8) for _ in CHANNELS]
    gain = np.array([0.0 if k in ('lift', 'turn') else 0.035 for k in CHANNELS])
    values += gain * np.stack(sway, 1)
    for name in ('left_elbow', 'right_elbow', 'left_knee', 'right_knee'):
        column = CHANNELS.index(name)
        values[:, column] = np.clip(values[:, column], 0.02, 2.5)  # hinges do not bend backwards
    return values, chosen
