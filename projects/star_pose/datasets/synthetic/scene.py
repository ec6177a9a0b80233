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
_INSTANTS = 3  # instants of one exposure
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
        detail = np.clip(self._person_pixels / 150, 0.35, 2.2) * (1 if labelled else 0.5)
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
        inside = (np.arange(_INSTANTS) - (_INSTANTS - 1) / 2) / _INSTANTS * self._shutter
        return ((np.arange(self.options.frames)[:, None] + inside) / _FPS).ravel()

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
            end = min(begin + _CHUNK, self.options.frames)
            times = self._times[begin * _INSTANTS : end * _INSTANTS]
            posed = [f.mesh.vertices(_at_times(f.joints, times)) for f in self.figures]
            surfaces = self._shade(posed)
            for frame in range(begin, end):
                first = (frame - begin) * _INSTANTS
                image = self._expose(frame, first, posed, surfaces)
                image = self.film.develop(image, noise)
                annotations, ignore_x, ignore_y = [], [], []
                if frame in labelled:
                    annotations, ignore_x, ignore_y = self._annotate(
                        frame, first + _INSTANTS // 2, posed, surfaces, image_ids[frame]
                    )
                yield Frame(image, self.film.quality, annotations, ignore_x, ignore_y)

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

    def _expose(self, frame, first, posed, surfaces) -> np.ndarray:
        """Average the instants of one exposure: (h, w, 3) uint8."""
        size = self.options.size
        middle = first + _INSTANTS // 2
        camera = self.cameras[frame * _INSTANTS + _INSTANTS // 2]
        backdrop = self.backdrop.render(camera)
        if not self.options.photographs:
            pieces = [self._shadow_pieces(f, v[middle]) for f, v in zip(self.figures, posed,
                                                                        strict=True)]  # fmt: skip
            pieces = [p for group in pieces for p in group] + [p.vertices for p in self.props]
            draw_shadows(backdrop, pieces, camera, self.light)
        large = cv2.resize(backdrop, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        total = np.zeros((size[1], size[0], 3), np.float32)
        for i in range(_INSTANTS):
            canvas = large.copy()
            camera = self.cameras[frame * _INSTANTS + i]
            draw(canvas, view(surfaces, first + i, camera))
            cv2.accumulate(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), total)
        return cv2.convertScaleAbs(total, alpha=1 / _INSTANTS)

    @staticmethod
    def _shadow_pieces(figure: _Figure, vertices: np.ndarray) -> list[np.ndarray]:
        """Nearly convex pieces of a figure: its regions, limbs cut at the middle joint."""
        mesh, pieces = figure.mesh, []
        for number in np.unique(mesh.region):
            quads = mesh.region == number
            cuts = [quads]
            if REGIONS[number].endswith(('_arm', '_leg')):
                cuts = [quads & (mesh.station < 1.02), quads & (mesh.station > 0.95)]
            if REGIONS[number] not in ('face', 'hair'):
                pieces += [vertices[np.unique(mesh.quads[c])] for c in cuts if c.any()]
        return pieces

    def _annotate(self, frame, instant, posed, surfaces, image_id):
        """Labels and ignore regions of one frame."""
        options = self.options
        camera = self.cameras[frame * _INSTANTS + _INSTANTS // 2]
        scene = view(surfaces, instant, camera)
        owners = draw_owners(scene, options.size)
        seen = np.bincount(scene.owner[owners[owners >= 0]], minlength=len(surfaces))
        annotations, ignore_x, ignore_y = [], [], []
        for number, (figure, vertices) in enumerate(zip(self.figures, posed, strict=True)):
            entry = None
            if figure.labelled:
                pixels, labelled = visible_joints(
                    figure.joints[frame], number, figure.mesh.region, scene, owners, camera,
                    figure.person.build.stature,
                )  # fmt: skip
                head = np.unique(figure.mesh.quads[figure.mesh.region == REGIONS.index('head')])
                box = head_box(vertices[instant, head], camera)
                entry = annotate_person(pixels, labelled, box, number, image_id, options.ears)
            if entry is not None:
                annotations.append(entry)
            elif seen[number] > 12:
                x, y = outline(vertices[instant], camera, 0.04 * self._person_pixels)
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
