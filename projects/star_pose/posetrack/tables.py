"""Frames and persons of PoseTrack as columns: what all parts of the evaluation exchange."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .joints import JOINTS, KEYPOINTS

__all__ = [
    'NO_TRACK',
    'FrameFinder',
    'FrameTable',
    'PoseTable',
    'PoseTrackError',
    'Problem',
    'frame_place',
    'is_id',
    'joint_columns',
    'repeated_tracks',
    'track_number',
]

NO_TRACK = -1

UNKNOWN_FRAME = 'predictions for a frame that the ground truth does not have'

VIDEO_FRAME = re.compile(r'(.+\.\w+)#(\d+)')
NUMBERED = re.compile(r'(.*?)(\d+)')


@dataclass(frozen=True)
class Problem:
    """One fault of a file: what is wrong, with the value and the remedy, and where.

    ``frame`` is '' when the whole video is meant, ``person`` when the whole frame is.
    """

    video: str
    what: str
    frame: str = ''
    person: str = ''

    def __str__(self) -> str:
        places = [f'video {self.video}']
        places += [f'frame {self.frame}'] if self.frame else []
        places += [f'person {self.person}'] if self.person else []
        return f'{", ".join(places)}: {self.what}'


class PoseTrackError(ValueError):
    """PoseTrack files or results that cannot be evaluated.

    Args:
        problems: Everything that was found; the message shows the first 20.
    """

    def __init__(self, problems: Sequence[Problem]):
        self.problems = list(problems)
        lines = [str(problem) for problem in self.problems[:20]]
        if len(self.problems) > len(lines):
            lines.append(f'... and {len(self.problems) - len(lines)} more')
        super().__init__('\n'.join(lines))


def frame_place(name: str) -> tuple[str, int | None]:
    r"""Tell a frame's video and its place in time by its name, as the data sets do.

    Args:
        name: Path of an image, whose folder and name before the number are the video, or
            ``'match.mp4#12'`` for a frame of a video file; with either slash.

    Returns:
        What names the video, and the frame's number; None where the name has none.

    Example:
        >>> frame_place('a/b/cam1_0012.jpg'), frame_place('a\\\\match.mp4#10')
        (('a/b/cam1_', 12), ('a/match.mp4', 10))
    """
    name = name.replace('\\', '/')
    if match := VIDEO_FRAME.fullmatch(name):
        return match[1], int(match[2])
    folder, file = posixpath.split(name)
    match = NUMBERED.fullmatch(posixpath.splitext(file)[0])
    return f'{folder}/{match[1] if match else ""}', int(match[2]) if match else None


@dataclass
class FrameTable:
    """The frames of the ground truth, in the order of their numbers within each video.

    Attributes:
        videos: Names of the V videos, in the order of evaluation.
        video: Row in ``videos`` of each frame, ascending, (F,).
        times: Position of each frame in its video by its number, ascending in a video, (F,).
        ids: Image id of each frame, F of them.
        names: Path of each frame as the annotations give it, F of them.
        labelled: The annotations' ``is_labeled`` flag, (F,).
        annotated: Whether the frame's list of persons is not empty, (F,).
        regions: Ignore regions of each frame: F lists of polygons (n, 2).
        files: Name of the label file of each video, without its ending, V of them.
        persons_without_head: Persons left out because they have no head box.
        frames_without_head: Frames left out because no person with a head box remains.
        unplaced: Rows of the frames whose names hold no number, in videos of several frames.
    """

    videos: list[str]
    video: np.ndarray
    times: np.ndarray
    ids: list
    names: list[str]
    labelled: np.ndarray
    annotated: np.ndarray
    regions: list[list[np.ndarray]]
    files: list[str]
    persons_without_head: int = 0
    frames_without_head: int = 0
    unplaced: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def problem(self, frame: int, what: str, person: str = '') -> Problem:
        """Describe a fault in the frame of the given row."""
        return Problem(self.videos[self.video[frame]], what, self.names[frame], person)

    def require_order(self) -> None:
        """Refuse frames whose place in time is unknown, which tracks cannot do without.

        Raises:
            PoseTrackError: With all of them.
        """
        what = 'its name ends in no number, so its place in time is unknown: rename the frames'
        if len(self.unplaced):
            raise PoseTrackError([self.problem(row, what) for row in self.unplaced])


@dataclass
class PoseTable:
    """Persons, one row each, ordered by frame and within a frame as the file has them.

    Attributes:
        frame: Row of the person's frame in the ``FrameTable``, ascending, (P,).
        points: Joint positions in pixels, in the order of ``JOINTS``, (P, 15, 2).
        flags: The third value of a keypoint in the files, (P, 15).
        scores: Joint scores of predictions, NaN where there is none, (P, 15).
        track_ids: Track of the person, ``NO_TRACK`` where there is none, (P,).
        head_sizes: Reference length of ground truth in pixels, NaN for predictions, (P,).
        names: What an error message calls each person, P of them.
        boxes: Boxes x1 y1 x2 y2 of a model's predictions, NaN where unknown, (P, 4).
        box_scores: Scores of these boxes, (P,).
    """

    frame: np.ndarray
    points: np.ndarray
    flags: np.ndarray
    scores: np.ndarray
    track_ids: np.ndarray
    head_sizes: np.ndarray
    names: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> 'PoseTable':
        """Return the persons of these rows (indices or a mask)."""
        return replace(self, **{name: column[rows] for name, column in vars(self).items()})

    @property
    def given(self) -> np.ndarray:
        """Which joints are there, (P, 15): all but those whose three values are 0."""
        return (self.points != 0).any(axis=2) | (self.flags != 0)

    @classmethod
    def from_columns(cls, frame: Sequence[int], points: np.ndarray, **columns) -> 'PoseTable':
        """Build a table, stably sorted by frame; columns that are not given get neutral values."""
        num = len(frame)
        neutral = {
            'flags': np.ones((num, 15)),
            'scores': np.full((num, 15), np.nan),
            'track_ids': np.full(num, NO_TRACK),
            'head_sizes': np.full(num, np.nan),
            'names': np.array([str(i) for i in range(num)], dtype=object),
            'boxes': np.full((num, 4), np.nan),
            'box_scores': np.ones(num),
        }
        rest = {
            name: np.asarray(columns.get(name, value), dtype=value.dtype).reshape(value.shape)
            for name, value in neutral.items()
        }
        place = np.asarray(frame, dtype=np.int64).reshape(num)
        points = np.asarray(points, dtype=np.float64).reshape(num, 15, 2)
        return cls(place, points, **rest).take(np.argsort(place, kind='stable'))


class FrameFinder:
    """Finds frames of the ground truth by the name that a prediction gives, or by its id alone.

    Args:
        frames: Frames of the ground truth.
    """

    def __init__(self, frames: FrameTable):
        self.frames = frames
        self.paths = [name.replace('\\', '/').split('/') for name in frames.names]
        self.by_name: dict[str, list[int]] = {}
        self.by_id: dict[int | str, list[int]] = {}
        for row, path in enumerate(self.paths):
            self.by_name.setdefault(path[-1], []).append(row)
            self.by_id.setdefault(frames.ids[row], []).append(row)

    def videos_of(self, name: str) -> set[int]:
        """Return the videos that are called so, or whose label file is."""
        pairs = zip(self.frames.videos, self.frames.files, strict=True)
        return {row for row, names in enumerate(pairs) if name in names}

    def find(
        self, videos: set[int] | None, image_id: int | str | None, name: str = ''
    ) -> tuple[int | None, str]:
        """Find one frame.

        Args:
            videos: Videos to look in; None for all.
            image_id: Id of the image in the predictions; None where there is none.
            name: Path of the image; it decides, and of its folders as many must agree as both have.

        Returns:
            The row, None where there is not one; and what is wrong, '' where nothing is.
        """

        def inside(rows: list[int]) -> list[int]:
            return [row for row in rows if videos is None or self.frames.video[row] in videos]

        same_id = inside(self.by_id.get(image_id, []))
        if not name:
            if len(same_id) == 1:
                return same_id[0], ''
            what = f'image id {image_id} stands for {len(same_id)} frames: give file_name'
            return None, what if same_id else UNKNOWN_FRAME
        path = name.replace('\\', '/').split('/')
        common = {row: common_end(self.paths[row], path) for row in self.by_name.get(path[-1], [])}
        rows = inside(
            [row for row in common if common[row] >= min(2, len(path), len(self.paths[row]))]
        )
        rows = [row for row in rows if common[row] == max(common[other] for other in rows)]
        if len(rows) > 1 and len(set(rows) & set(same_id)) == 1:
            rows = list(set(rows) & set(same_id))
        if len(rows) != 1:
            what = f'the name {name!r} stands for {len(rows)} frames: give more of its path'
            return None, what if rows else UNKNOWN_FRAME
        if same_id and rows[0] not in same_id:
            other = self.frames.names[same_id[0]]
            what = f'image id {image_id} contradicts the name {name!r}: it is that of {other}'
            return rows[0], what
        return rows[0], ''


def common_end(path: list[str], other: list[str]) -> int:
    """Count the parts that two paths have in common at their end."""
    number = 0
    for part, twin in zip(reversed(path), reversed(other), strict=False):
        if part != twin:
            break
        number += 1
    return number


def joint_columns(names: Sequence[str]) -> np.ndarray:
    """Return the index of each of ``JOINTS`` among the K keypoint names of a file or model, (15,).

    Raises:
        ValueError: When a joint is missing.
    """
    places = {'neck' if name == 'head_bottom' else name: i for i, name in enumerate(names)}
    missing = [joint for joint in JOINTS if joint not in places]
    if missing:
        raise ValueError(
            f'keypoint names {list(names)} lack {missing}: PoseTrack is evaluated on 15 joints '
            f'({", ".join(KEYPOINTS)} without the ears)'
        )
    return np.array([places[joint] for joint in JOINTS])


def is_id(value) -> bool:
    """Tell whether a file's value can be an id: text or a whole number, 7.0 too."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def track_number(value) -> int:
    """Return a file's ``track_id`` as a number, ``NO_TRACK`` for None.

    Raises:
        ValueError: When it is text, a fraction or out of range.
    """
    if value is None:
        return NO_TRACK
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    whole = value.is_integer() if isinstance(value, float) else whole
    if not whole or abs(value) >= 2**63:
        raise ValueError(f'track_id {value!r:.50} is no whole number')
    return int(value)


def repeated_tracks(frames: FrameTable, persons: PoseTable) -> list[Problem]:
    """Find persons whose track is already in their frame."""
    rows = np.flatnonzero(persons.track_ids != NO_TRACK)
    rows = rows[np.lexsort((persons.track_ids[rows], persons.frame[rows]))]
    same = np.diff(persons.frame[rows]) == 0
    same &= np.diff(persons.track_ids[rows]) == 0
    return [
        frames.problem(
            persons.frame[row],
            f'track_id {persons.track_ids[row]} is already in this frame',
            persons.names[row],
        )
        for row in rows[1:][same]
    ]
