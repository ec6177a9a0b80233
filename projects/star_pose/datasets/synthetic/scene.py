"""One synthetic video: casts figures, motions, a place and a camera, and renders its frames."""

import dataclasses
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from .appearance import Person, paint, random_person
from .backgrounds import random_backdrop
from .body import REGIONS, BodyMesh
from .camera import film
from .labels import annotate_person, head_box, outline, visible_joints
from .mocap import MotionLibrary
from .motions import choreograph
from .props import Prop, random_prop
from .render import Film, Light, Surface, draw, draw_owners, draw_shadows, shade, view
from .skeleton import forward_kinematics

__all__ = ['Frame', 'Scene', 'SceneOptions']

_CHUNK = 16  # frames whose meshes are posed together
_INSTANTS = 5  # most instants that one exposure averages
_MIDDLE = _INSTANTS // 2
_STEP = 1.3  # pixels that may lie between two instants without a visible ghost
_FPS = 30.0


@dataclasses.dataclass(frozen=True)
class SceneOptions:
    """What the user decides about every video.

    Args:
        frames: Number of frames.
        size: Image size (w, h), pixels.
        people: Number of labelled people, or None for 1 to 5.
        motion: Library of real motion capture, or None for parametric motions.
        photographs: Background pictures; procedural backgrounds when empty.
        ears: Whether ears are labelled; PoseTrack never labels them.
    """

    frames: int
    size: tuple[int, int] = (640, 360)
    people: int | None = None
    motion: MotionLibrary | None = None
    photographs: tuple[pathlib.Path, ...] = ()
    ears: bool = False


@dataclasses.dataclass(frozen=True)
class Frame:
    """One rendered frame with its labels.

    Args:
        image: (h, w, 3) uint8 BGR.
        quality: JPEG quality to write it with.
        annotations: Entries of PoseTrack18's `annotations`.
        ignore_x: Polygons of the ignore regions, x.
        ignore_y: The same, y.
    """

    image: np.ndarray
    quality: int
    annotations: list[dict]
    ignore_x: list[list[int]]
    ignore_y: list[list[int]]


@dataclasses.dataclass(frozen=True)
class _Figure:
    """A person in the scene; `joints` (F, J, 3) are its positions frame by frame."""

    person: Person
    mesh: BodyMesh
    colour: np.ndarray
    lift: np.ndarray
    joints: np.ndarray
    labelled: bool


class Scene:
    """A video drawn from a random generator.

    Args:
        options: The user's choices.
        rng: Source of everything random; the same state gives the same video.
    """

    def __init__(self, options: SceneOptions, rng: np.random.Generator) -> None:
        self.options, self._rng = options, rng
        w, h = options.size
        people = options.people or int(rng.integers(1, 6))
        # persons from a fifth of the image's height to more than all of it
        self._person_pixels = h * float(np.exp(rng.uniform(np.log(0.2), np.log(0.8))))
        if rng.random() < 0.08:
            self._person_pixels = h * rng.uniform(0.9, 1.4)
        self._view_width = 1.7 * w / self._person_pixels
        self.light = Light.random(rng)
        self._shutter = rng.choice([rng.uniform(0.15, 0.4), rng.uniform(0.4, 0.9)])
        self.figures = [self._cast(place, True) for place in self._places(people)]
        if rng.random() < 0.4:
            self.figures += self._crowd()
        self._times = self._sample_times()
        middle = self.options.frames // 2
        lead = self.figures[0].joints[:, 0]
        centre = np.mean([f.joints[middle, 0] for f in self.figures if f.labelled], axis=0)
        subject = 0.5 * (lead - lead[middle]) + centre
        subject = _at_times(subject[:, None], self._times)[:, 0]
        self.cameras = film(self._times, subject, options.size, self._person_pixels, rng)
        nearest = min(c.position[2] for c in self.cameras)
        self.backdrop = random_backdrop(rng, list(options.photographs), max(nearest - 0.3, 0.5))
        self.props = self._props()
        self.film = Film(options.size, rng)

    def _places(self, count: int) -> np.ndarray:
        """Spots (count, 2) on the ground, x and z, apart from each other."""
        rng, spots = self._rng, []
        reach = 0.36 * self._view_width
        for _ in range(count):
            for _ in range(20):
                spot = np.array([rng.uniform(-reach, reach), rng.uniform(-2.5, 1.2)])
                apart = 0.75 if rng.random() < 0.8 else 0.35
                if all(np.linalg.norm((spot - s) * (1, 0.5)) > apart for s in spots):
                    break
            spots.append(spot)
        return np.array(spots)

    def _cast(self, place: np.ndarray, labelled: bool) -> _Figure:
        """Create a person who performs around `place` (x, z)."""
        rng, frames = self._rng, self.options.frames
        person = random_person(rng)
        detail = np.clip((self._person_pixels / 150) ** 0.7, 0.4, 2.2) * (1 if labelled else 0.6)
        mesh = BodyMesh(person.build, float(detail))
        if self.options.motion is not None and labelled:
            joints, _ = self.options.motion.window(frames, person.build.stature, rng)
        else:
            calm = ('stand', 'wave', 'turn') if not labelled else ()
            channels, _ = choreograph(frames, _FPS, rng, calm)
            joints = forward_kinematics(channels, person.build.stature, _FPS)
        yaw = rng.uniform(-np.pi, np.pi) if rng.random() < 0.6 else rng.uniform(-0.9, 0.9)
        c, s = np.cos(yaw), np.sin(yaw)
        joints = joints @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        joints[..., [0, 2]] += place - joints[frames // 2, 0, [0, 2]]
        lift = np.select([mesh.region == REGIONS.index(r) for r in ('face', 'hair')], [0.02, 0.004])
        return _Figure(person, mesh, paint(person, mesh), lift.astype(np.float32),
                       joints.astype(np.float32), labelled)  # fmt: skip

    def _crowd(self) -> list[_Figure]:
        """A group in the background that is not labelled but ignored."""
        rng = self._rng
        middle = np.array([rng.uniform(-0.5, 0.5) * self._view_width, rng.uniform(-6, -3.8)])
        count = int(rng.integers(2, 6))
        offsets = np.stack([np.arange(count) * 0.6 - 0.3 * count, rng.normal(0, 0.3, count)], 1)
        return [self._cast(middle + offset, False) for offset in offsets]

    def _props(self) -> list[Prop]:
        """Things between the people and in front of them."""
        rng, reach = self._rng, 0.45 * self._view_width
        count = int(rng.choice([0, 0, 1, 1, 2, 3]))
        spots = [(rng.uniform(-reach, reach), rng.uniform(-2.0, 2.2)) for _ in range(count)]
        return [random_prop(np.array(spot), rng) for spot in spots]

    def _sample_times(self) -> np.ndarray:
        """Instants (F * _INSTANTS,) in seconds, spread evenly around each frame's time."""
        inside = (np.arange(_INSTANTS) - _MIDDLE) / _INSTANTS * self._shutter
        return ((np.arange(self.options.frames)[:, None] + inside) / _FPS).ravel()

    def _exposure(self, frame: int) -> list[int]:
        """The instants that make up a frame: more of them the farther anything moves."""
        first = frame * _INSTANTS
        span = [first, first + _INSTANTS - 1]
        farthest = 0.0
        for figure in self.figures:
            start, end = _at_times(figure.joints, self._times[span])
            (a, depth), (b, _) = (
                self.cameras[span[0]].project(start),
                self.cameras[span[1]].project(end),
            )
            near = depth > 1.0
            farthest = max(farthest, np.abs(a - b)[near].max(initial=0))
        count = 1 if farthest < _STEP else 3 if farthest < 3 * _STEP else _INSTANTS
        return (
            [first + round(i) for i in np.linspace(0, _INSTANTS - 1, count)]
            if count > 1
            else [first + _MIDDLE]
        )

    def frames(self, labelled: set[int], image_ids: list[int]) -> Iterator[Frame]:
        """Render the video.

        Args:
            labelled: Indices of the frames to annotate.
            image_ids: Id of every frame.

        Yields:
            The frames in order.
        """
        noise = np.random.default_rng(self._rng.integers(2**63))
        for begin in range(0, self.options.frames, _CHUNK):
            chunk = range(begin, min(begin + _CHUNK, self.options.frames))
            exposures = [self._exposure(frame) for frame in chunk]
            times = self._times[[i for exposure in exposures for i in exposure]]
            posed = [f.mesh.vertices(_at_times(f.joints, times)) for f in self.figures]
            surfaces = self._shade(posed)
            first = 0
            for frame, exposure in zip(chunk, exposures, strict=True):
                pose = [vertices[first + len(exposure) // 2] for vertices in posed]
                views = [view(surfaces, first + i, self.cameras[k]) for i, k in enumerate(exposure)]
                image = self._expose(frame, views, pose)
                image = self.film.develop(image, noise)
                labels = ([], [], [])
                if frame in labelled:
                    labels = self._annotate(frame, views[len(views) // 2], pose, image_ids[frame])
                yield Frame(image, self.film.quality, *labels)
                first += len(exposure)

    def _shade(self, posed: list[np.ndarray]) -> list[Surface]:
        """Light all figures and props over a chunk; the props follow the figures in number."""
        surfaces = [
            shade(vertices, f.mesh.quads, f.colour, f.lift, number, self.light)
            for number, (f, vertices) in enumerate(zip(self.figures, posed, strict=True))
        ]
        for number, prop in enumerate(self.props, start=len(self.figures)):
            vertices = np.broadcast_to(prop.vertices, (len(posed[0]), *prop.vertices.shape))
            none = np.zeros(len(prop.quads), np.float32)
            surfaces.append(shade(vertices, prop.quads, prop.colour, none, number, self.light))
        return surfaces

    def _expose(self, frame, views, pose) -> np.ndarray:
        """Average the instants of one exposure: (h, w, 3) uint8."""
        camera = self.cameras[frame * _INSTANTS + _MIDDLE]
        backdrop = self.backdrop.render(camera)
        if not self.options.photographs:
            pieces = [v[p] for f, v in zip(self.figures, pose, strict=True) for p in f.mesh.pieces]
            pieces += [p.vertices for p in self.props]
            draw_shadows(backdrop, pieces, camera, self.light)
        large = cv2.resize(backdrop, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        total = np.zeros(backdrop.shape, np.float32)
        for i, scene in enumerate(views):
            canvas = large.copy() if i + 1 < len(views) else large
            draw(canvas, scene)
            cv2.accumulate(
                cv2.resize(canvas, self.options.size, interpolation=cv2.INTER_AREA), total
            )
        return cv2.convertScaleAbs(total, alpha=1 / len(views))

    def _annotate(self, frame, scene, pose, image_id):
        """Labels and ignore regions of one frame."""
        options = self.options
        camera = self.cameras[frame * _INSTANTS + _MIDDLE]
        owners = draw_owners(scene, options.size)
        seen = np.bincount(scene.owner[owners[owners >= 0]], minlength=len(self.figures))
        annotations, ignore_x, ignore_y = [], [], []
        for number, (figure, vertices) in enumerate(zip(self.figures, pose, strict=True)):
            entry = None
            if figure.labelled:
                pixels, labelled = visible_joints(
                    figure.joints[frame], number, figure.mesh.region, scene, owners, camera,
                    figure.person.build.stature,
                )  # fmt: skip
                box = head_box(vertices[figure.mesh.head], camera)
                entry = annotate_person(pixels, labelled, box, number, image_id, options.ears)
            if entry is not None:
                annotations.append(entry)
            elif seen[number] > 12:
                x, y = outline(vertices, camera, 0.04 * self._person_pixels)
                if x:
                    ignore_x.append(x)
                    ignore_y.append(y)
        return annotations, ignore_x, ignore_y


def _at_times(path: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolate a path (F, J, 3) sampled at `_FPS` at times (T,) in seconds: (T, J, 3)."""
    position = np.clip(times * _FPS, 0, len(path) - 1)
    low = np.minimum(position.astype(np.int64), max(len(path) - 2, 0))
    share = (position - low)[:, None, None].astype(path.dtype)
    high = np.minimum(low + 1, len(path) - 1)
    return path[low] * (1 - share) + path[high] * share
