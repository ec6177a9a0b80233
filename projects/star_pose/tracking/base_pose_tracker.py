"""What every tracker of poses shares: checking, memory of lost tracks, numbering of videos."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .pose_similarity import pose_boxes

__all__ = ['UNTRACKED', 'BasePoseTracker', 'People', 'Track', 'track_videos']

UNTRACKED = -1


@dataclass
class People:
    """The people of one frame.

    Attributes:
        poses: (N, K, 2) pixels.
        seen: (N, K) bool, joints above the joint threshold.
        boxes: (N, 4) as x1 y1 x2 y2.
        scores: (N,) of the persons.
        looks: (N, D) descriptions of how they look, of length 1; None where nobody has said.
    """

    poses: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    looks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.poses)

    def take(self, rows: np.ndarray) -> 'People':
        """The people of these rows."""
        looks = None if self.looks is None else self.looks[rows]
        return People(self.poses[rows], self.seen[rows], self.boxes[rows], self.scores[rows], looks)


@dataclass
class Track:
    """One person over time.

    Attributes:
        id: Number of the track, from 0, never given twice between two resets.
        pose: (K, 2) as last seen.
        seen: (K,) bool.
        box: (4,) as last seen.
        frame: Index of the frame in which it was last seen.
        velocity: (2,) of the body, in pixels a frame; None until it was seen twice.
        look: (D,) how the person looks, of length 1; None where nobody has said.
    """

    id: int
    pose: np.ndarray
    seen: np.ndarray
    box: np.ndarray
    frame: int
    velocity: np.ndarray | None = None
    look: np.ndarray | None = None


class BasePoseTracker(ABC):
    """Online tracker: frame by frame, in time order, it numbers the people.

    A person's score is its box score times the mean score of its joints above ``kpt_thr``. From
    ``start_thr`` on it starts a track where none fits; from ``keep_thr`` on it continues one. A
    track that nobody continues is remembered for ``max_lost`` frames.

    Args:
        start_thr: See above.
        keep_thr: See above; people below it stay untracked.
        kpt_thr: Joints below this score are not looked at.
        max_lost: Frames after which a lost track ends; 0 ends it in the first frame without it.

    Raises:
        ValueError: If a threshold is out of order or negative.
    """

    def __init__(
        self,
        start_thr: float = 0.3,
        keep_thr: float = 0.1,
        kpt_thr: float = 0.1,
        max_lost: int = 10,
    ):
        if not 0 <= keep_thr <= start_thr:
            raise ValueError(f'keep_thr={keep_thr} must lie between 0 and start_thr={start_thr}')
        if max_lost < 0:
            raise ValueError(f'max_lost={max_lost}: give a number of frames >= 0')
        self.start_thr = start_thr
        self.keep_thr = keep_thr
        self.kpt_thr = kpt_thr
        self.max_lost = max_lost
        self.reset()

    def reset(self) -> None:
        """Forget everything; call it between videos."""
        self.tracks: list[Track] = []
        self._next_id = 0
        self._frame: int | None = None

    def update(
        self,
        frame: int,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        boxes: np.ndarray | None = None,
        box_scores: np.ndarray | None = None,
        looks: np.ndarray | None = None,
    ) -> np.ndarray:
        """Number the people of the next frame.

        Args:
            frame: Index of the frame in the video; larger than at the last call, gaps allowed.
            keypoints: (N, K, 2) pixels; N may be 0.
            keypoint_scores: (N, K).
            boxes: (N, 4) as x1 y1 x2 y2; around the joints where None.
            box_scores: (N,); 1 where None.
            looks: (N, D), of :func:`~star_pose.tracking.person_looks`; who people are is told by
                place and motion alone where None.

        Returns:
            (N,) track ids, ``UNTRACKED`` (-1) for people that are not tracked. An id occurs once in
            a frame.

        Raises:
            ValueError: If the frame is not later than the last, shapes disagree, or a coordinate
                or score is not finite.
        """
        if self._frame is not None and frame <= self._frame:
            raise ValueError(
                f'frame {frame} comes after frame {self._frame}: give frames in time order, and '
                'call reset() between videos'
            )
        people = self._check(frame, keypoints, keypoint_scores, boxes, box_scores, looks)
        self._frame = frame
        oldest = frame - self.max_lost - 1
        self.tracks = [track for track in self.tracks if track.frame >= oldest]
        ids = np.full(len(people), UNTRACKED)
        for row, track in self._associate(frame, people):
            ids[row] = track.id
            self._continue(track, frame, people, row)
        for row in np.flatnonzero((ids == UNTRACKED) & (people.scores >= self.start_thr)):
            ids[row] = self._start(frame, people, row)
        return ids

    @abstractmethod
    def _associate(self, frame: int, people: People) -> list[tuple[int, Track]]:
        """Pair people with tracks: (row, track), each at most once."""

    def _continue(self, track: Track, frame: int, people: People, row: int) -> None:
        """Bring a track up to date."""
        track.pose, track.seen = people.poses[row], people.seen[row]
        track.box, track.frame = people.boxes[row], frame

    def _start(self, frame: int, people: People, row: int) -> int:
        track = Track(self._next_id, people.poses[row], people.seen[row], people.boxes[row], frame)
        track.look = None if people.looks is None else people.looks[row]
        self.tracks.append(track)
        self._next_id += 1
        return track.id

    def _check(
        self,
        frame: int,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        boxes: np.ndarray | None,
        box_scores: np.ndarray | None,
        looks: np.ndarray | None,
    ) -> People:
        poses = np.asarray(keypoints, np.float64)
        num = len(poses)
        if num == 0:
            return People(
                np.zeros((0, 1, 2)), np.zeros((0, 1), bool), np.zeros((0, 4)), np.zeros(0)
            )
        scores = np.asarray(keypoint_scores, np.float64)
        given_boxes = np.zeros((num, 4)) if boxes is None else np.asarray(boxes, np.float64)
        given_scores = np.ones(num) if box_scores is None else np.asarray(box_scores, np.float64)
        given_looks = np.ones((num, 1)) if looks is None else np.asarray(looks, np.float64)
        for name, value, shape in (
            ('keypoints', poses, (num, *scores.shape[1:2], 2)),
            ('keypoint_scores', scores, poses.shape[:2]),
            ('boxes', given_boxes, (num, 4)),
            ('box_scores', given_scores, (num,)),
            ('looks', given_looks, (num, *given_looks.shape[1:2])),
        ):
            if value.shape != shape:
                raise ValueError(f'frame {frame}: {name} has shape {value.shape}, not {shape}')
            finite = np.isfinite(value).reshape(num, -1).all(1)
            if not finite.all():
                person = int(np.flatnonzero(~finite)[0])
                raise ValueError(f'frame {frame}, person {person}: {name} holds NaN or infinity')
        seen = scores >= self.kpt_thr
        mean = (scores * seen).sum(1) / np.maximum(seen.sum(1), 1)
        if boxes is None:
            given_boxes = pose_boxes(poses, seen)
        given_looks = None if looks is None else given_looks
        return People(poses, seen, given_boxes, mean * given_scores, given_looks)


def track_videos(
    tracker: BasePoseTracker,
    videos: np.ndarray,
    frames: np.ndarray,
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    boxes: np.ndarray | None = None,
    box_scores: np.ndarray | None = None,
) -> np.ndarray:
    """Run an online tracker over the predictions of many videos, in any order.

    Args:
        tracker: Reset before every video.
        videos: (P,) which video each person is in; anything that can be sorted.
        frames: (P,) index of the person's frame in its video.
        keypoints: (P, K, 2) pixels.
        keypoint_scores: (P, K).
        boxes: (P, 4) as x1 y1 x2 y2; around the joints where None.
        box_scores: (P,); 1 where None.

    Returns:
        (P,) track ids, which begin at 0 in every video; ``UNTRACKED`` (-1) for people that are not
        tracked.

    Raises:
        ValueError: As :meth:`BasePoseTracker.update`, naming the video too.
    """
    videos, frames = np.asarray(videos), np.asarray(frames)
    ids = np.full(len(frames), UNTRACKED)
    for video in np.unique(videos):
        tracker.reset()
        in_video = np.flatnonzero(videos == video)
        for frame in np.unique(frames[in_video]):
            rows = in_video[frames[in_video] == frame]
            try:
                ids[rows] = tracker.update(
                    int(frame),
                    keypoints[rows],
                    keypoint_scores[rows],
                    None if boxes is None else boxes[rows],
                    None if box_scores is None else box_scores[rows],
                )
            except ValueError as error:
                raise ValueError(f'video {video}: {error}') from error
    return ids
