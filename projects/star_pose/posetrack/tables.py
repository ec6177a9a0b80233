"""Frames and persons of PoseTrack as columns: what all parts of the evaluation exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .joints import JOINTS, KEYPOINTS

__all__ = ['NO_TRACK', 'FrameTable', 'PoseTable', 'PoseTrackError', 'Problem', 'joint_columns']

NO_TRACK = -1


@dataclass(frozen=True)
class Problem:
    """One fault of a file, with the place where it stands.

    Attributes:
        video: Name of the sequence.
        what: What is wrong, with the value, and what to do.
        frame: Name of the frame, '' when the whole video is meant.
        person: Name of the person, '' when the whole frame is meant.
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


@dataclass
class FrameTable:
    """The frames of the ground truth, in time order within each video.

    Attributes:
        videos: Names of the V videos, in the order of evaluation.
        video: Row in ``videos`` of each frame, ascending, (F,).
        ids: Image id of each frame, F of them.
        names: Path of each frame as the annotations give it, F of them.
        labelled: The annotations' ``is_labeled`` flag, (F,).
        annotated: Whether the frame's list of persons is not empty, (F,).
        regions: Ignore regions of each frame: F lists of polygons (n, 2).
        sizes: Width and height of each frame, 0 where the file does not say, (F, 2).
        persons_without_head: Persons left out because they have no head box.
        frames_without_head: Frames left out because no person with a head box remains.
    """

    videos: list[str]
    video: np.ndarray
    ids: list
    names: list[str]
    labelled: np.ndarray
    annotated: np.ndarray
    regions: list[list[np.ndarray]]
    sizes: np.ndarray
    persons_without_head: int = 0
    frames_without_head: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def problem(self, frame: int, what: str, person: str = '') -> Problem:
        """Describe a fault in the frame of the given row."""
        return Problem(self.videos[self.video[frame]], what, self.names[frame], person)


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
    """

    frame: np.ndarray
    points: np.ndarray
    flags: np.ndarray
    scores: np.ndarray
    track_ids: np.ndarray
    head_sizes: np.ndarray
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> 'PoseTable':
        """Return the persons of these rows (indices or a mask)."""
        return replace(self, **{name: column[rows] for name, column in vars(self).items()})

    @classmethod
    def from_columns(
        cls,
        frame: Sequence[int],
        points: np.ndarray,
        *,
        flags: np.ndarray | None = None,
        scores: np.ndarray | None = None,
        track_ids: Sequence[int] | None = None,
        head_sizes: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
    ) -> 'PoseTable':
        """Build a table, with neutral values for what is not given, and sort it by frame.

        Args:
            frame: Row of each person's frame, (P,).
            points: Joint positions in pixels, (P, 15, 2).
            flags: Third value of each keypoint, (P, 15); 1 when not given.
            scores: Joint scores, (P, 15); none when not given.
            track_ids: Track of each person, (P,).
            head_sizes: Reference length of each person in pixels, (P,).
            names: What an error message calls each person.

        Returns:
            The table, stably sorted by frame.
        """
        number = len(frame)
        table = cls(
            frame=np.asarray(frame, dtype=np.int64).reshape(number),
            points=np.asarray(points, dtype=np.float64).reshape(number, 15, 2),
            flags=np.ones((number, 15)) if flags is None else np.asarray(flags, dtype=np.float64),
            scores=(
                np.full((number, 15), np.nan)
                if scores is None
                else np.asarray(scores, dtype=np.float64)
            ),
            track_ids=(
                np.full(number, NO_TRACK)
                if track_ids is None
                else np.asarray(track_ids, dtype=np.int64)
            ),
            head_sizes=(
                np.full(number, np.nan)
                if head_sizes is None
                else np.asarray(head_sizes, dtype=np.float64)
            ),
            names=np.array([str(i) for i in range(number)] if names is None else names, object),
        )
        return table.take(np.argsort(table.frame, kind='stable'))


def joint_columns(names: Sequence[str]) -> np.ndarray:
    """Find the evaluated joints among the keypoints of a file or a model.

    Args:
        names: The K keypoint names, in order.

    Returns:
        The index in ``names`` of each of the 15 joints of ``JOINTS``, (15,).

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
