"""One synthetic video: casts figures, motions, a place and a camera, and renders its frames."""

import dataclasses
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from .backgrounds import random_backdrop
from .camera import film
from .casting import FPS, Cast
from .labels import annotate_person, detect_person, head_box, ignore_regions, visible_joints
from .mocap import MotionLibrary
from .props import Prop, random_prop, stool
from .render import (
    SUPERSAMPLE,
    Film,
    Light,
    Surface,
    SurfaceView,
    draw,
    draw_owners,
    draw_shadows,
    shade,
    view,
)

__all__ = ['Frame', 'Scene', 'SceneOptions']

_CHUNK = 16  # frames whose meshes are posed together
_INSTANTS = 5  # most instants that one exposure averages
_MIDDLE = _INSTANTS // 2
_STEP = 1.3  # pixels that may lie between two instants without a visible ghost


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
        detections: What a person detector finds: boxes (x, y, w, h) with scores, COCO results.
        ignore_x: Polygons of the ignore regions, x.
        ignore_y: The same, y.
    """

    image: np.ndarray
    quality: int
    annotations: list[dict]
    detections: list[dict]
    ignore_x: list[list[int]]
    ignore_y: list[list[int]]


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
        # persons from a seventh of the image's height to more than all of it
        self._person_pixels = h * float(np.exp(rng.uniform(np.log(0.14), np.log(0.8))))
        if rng.random() < 0.08:
            self._person_pixels = h * rng.uniform(0.9, 1.4)
        self._view_width = 1.7 * w / self._person_pixels
        cast = Cast(options.frames, self._person_pixels, self._view_width, options.motion, rng)
        self.light = Light.random(rng)
        self._shutter = rng.choice([rng.uniform(0.15, 0.4), rng.uniform(0.4, 0.9)])
        self.figures = cast.actors(people)
        if rng.random() < 0.4:
            self.figures += cast.crowd()
        self._times = self._sample_times()
        middle = self.options.frames // 2
        lead = self.figures[0].joints[:, 0]
        centre = np.mean([f.joints[middle, 0] for f in self.figures if f.labelled], axis=0)
        subject = 0.5 * (lead - lead[middle]) + centre
        subject = _at_times(subject[:, None], self._times)[:, 0]
        self.cameras = film(self._times, subject, options.size, self._person_pixels, rng)
        self.backdrop = random_backdrop(rng, options.photographs, self.cameras)
        self.props = self._props()
        self.film = Film(options.size, rng)

    def _props(self) -> list[Prop]:
        """Things between the people and in front of them."""
        rng, reach = self._rng, 0.45 * self._view_width
        count = int(rng.choice([0, 0, 1, 1, 2, 3]))
        spots = [(rng.uniform(-reach, reach), rng.uniform(-2.0, 2.2)) for _ in range(count)]
        props = [random_prop(np.array(spot), rng) for spot in spots]
        for figure in self.figures:
            if figure.motions == ('sit',):
                lowest = figure.joints[figure.joints[:, 0, 1].argmin(), 0]
                props.append(stool(lowest, figure.person.build.stature, rng))
        return props

    def _sample_times(self) -> np.ndarray:
        """Instants (F * _INSTANTS,) in seconds, spread evenly around each frame's time."""
        inside = (np.arange(_INSTANTS) - _MIDDLE) / _INSTANTS * self._shutter
        return ((np.arange(self.options.frames)[:, None] + inside) / FPS).ravel()

    def _exposure(self, frame: int) -> list[int]:
        """The instants that make up a frame: more of them the farther anything moves."""
        first, last = frame * _INSTANTS, (frame + 1) * _INSTANTS - 1
        farthest = 0.0
        for figure in self.figures:
            start, end = _at_times(figure.joints, self._times[[first, last]])
            before, depth = self.cameras[first].project(start)
            after, _ = self.cameras[last].project(end)
            farthest = max(farthest, np.abs(after - before)[depth > 1.0].max(initial=0))
        if farthest < _STEP:
            return [first + _MIDDLE]
        return list(range(first, last + 1, 2 if farthest < 3 * _STEP else 1))

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
                image = self._expose(exposure, views, pose)
                image = self.film.develop(image, noise)
                labels = ([], [], [], [])
                if frame in labelled:
                    scene = views[len(views) // 2]
                    labels = self._annotate(frame, scene, pose, image_ids[frame], noise)
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

    def _expose(
        self, exposure: list[int], views: list[SurfaceView], pose: list[np.ndarray]
    ) -> np.ndarray:
        """Average the instants of one exposure: (h, w, 3) uint8."""
        backdrop = self._render_backdrop(exposure)
        if self.backdrop.has_ground:
            pieces = [v[p] for f, v in zip(self.figures, pose, strict=True) for p in f.mesh.pieces]
            pieces += [p.vertices for p in self.props]
            draw_shadows(backdrop, pieces, self.cameras[exposure[len(exposure) // 2]], self.light)
        w, h = self.options.size
        large = cv2.resize(
            backdrop, (SUPERSAMPLE * w, SUPERSAMPLE * h), interpolation=cv2.INTER_NEAREST
        )
        images = []
        for i, scene in enumerate(views):
            canvas = large.copy() if i + 1 < len(views) else large
            draw(canvas, scene)
            images.append(cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA))
        return _mean(images)

    def _render_backdrop(self, exposure: list[int]) -> np.ndarray:
        """The backdrop at the middle of the exposure, or blurred when the camera moves."""
        cameras = [self.cameras[i] for i in exposure]
        middle = cameras[len(cameras) // 2]
        ahead = middle.position + 12 * middle.rotation[2]
        (before, _), (after, _) = cameras[0].project(ahead), cameras[-1].project(ahead)
        if np.abs(after - before).max() < 1:
            return self.backdrop.render(middle)
        return _mean([self.backdrop.render(camera) for camera in cameras])

    def _annotate(
        self,
        frame: int,
        scene: SurfaceView,
        pose: list[np.ndarray],
        image_id: int,
        rng: np.random.Generator,
    ) -> tuple[list[dict], list[dict], list[list[int]], list[list[int]]]:
        """Labels, detections and the ignore regions' x and y of one frame."""
        camera = self.cameras[frame * _INSTANTS + _MIDDLE]
        owners = draw_owners(scene, self.options.size)
        # pixels of the backdrop index the -1 that is put at the end
        shown = np.append(scene.owner, -1)[owners]
        seen = np.bincount(shown[shown >= 0], minlength=len(self.figures))
        annotations, detections, ignored, kept = [], [], [], []
        for number, (figure, vertices) in enumerate(zip(self.figures, pose, strict=True)):
            found = detect_person(vertices, camera, seen[number], image_id, rng)
            detections += [found] if found else []
            entry = None
            if figure.labelled:
                pixels, labelled = visible_joints(
                    figure.joints[frame],
                    number,
                    figure.mesh.region,
                    scene,
                    owners,
                    camera,
                    figure.person.build.stature,
                )
                box = head_box(vertices[figure.mesh.head], camera)
                entry = annotate_person(pixels, labelled, box, number, image_id, self.options.ears)
            if entry is not None:
                annotations.append(entry)
                kept.append(number)
            elif seen[number]:
                ignored.append(number)
        margin = max(1, round(0.03 * self._person_pixels))
        return annotations, detections, *ignore_regions(shown, ignored, kept, margin)


def _mean(images: list[np.ndarray]) -> np.ndarray:
    if len(images) == 1:
        return images[0]
    total = np.zeros(images[0].shape, np.float32)
    for image in images:
        cv2.accumulate(image, total)
    return cv2.convertScaleAbs(total, alpha=1 / len(images))


def _at_times(path: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolate a path (F, J, 3) sampled at `FPS` at times (T,) in seconds: (T, J, 3)."""
    position = np.clip(times * FPS, 0, len(path) - 1)
    low = np.minimum(position.astype(np.int64), max(len(path) - 2, 0))
    share = (position - low)[:, None, None].astype(path.dtype)
    high = np.minimum(low + 1, len(path) - 1)
    return path[low] * (1 - share) + path[high] * share
