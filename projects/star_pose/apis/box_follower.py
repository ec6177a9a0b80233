"""Boxes of people in every frame, where a detector or a file speaks of some frames only."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..tracking.pose_similarity import box_iou, oks

__all__ = ['BoxFollower']

_MOMENTUM = 0.5  # share of the old velocity that is kept
_BELIEVED = 0.5  # share of the first score below which a pose that nobody confirms is none
_SAME_POSE = 0.6  # OKS from which two poses are the same one
_SIGMA = 0.08  # of any joint, relative to the person's size
_WEAK_MATCH = 0.3  # IoU from which a weak box confirms somebody
_RISE = 0.25  # share of the way that the lower side of a box rises at a look
_LEGS = 0.25  # of a box's height, the most that can be missing of it below
_SAME_PERSON = 0.6  # share of overlap from which an old box is a new one's person seen twice


@dataclass
class _Person:
    """Someone who is followed.

    Attributes:
        box: (4,) as last given.
        score: Of that box.
        frame: When it was given.
        missed: How often in a row a frame that spoke did not mention the person.
        first, last: (K, 2) poses: the first since the box was given, and the latest.
        seen: (K,) bool, the joints that speak for the body.
        velocity: (2,) of the body, pixels a frame.
        trust: Mean score of those joints in the first pose, and in the latest.
    """

    box: np.ndarray
    score: float
    frame: int
    missed: int = 0
    first: np.ndarray | None = None
    last: np.ndarray | None = None
    seen: np.ndarray | None = None
    velocity: np.ndarray | None = None
    trust: tuple[float, float] = (0.0, 0.0)

    def expected(self) -> np.ndarray:
        """The box moved as the joints have moved since, and as they moved last."""
        if self.first is None:
            return self.box
        shift = np.median((self.last - self.first)[self.seen], axis=0) + self.velocity
        # Nobody gets further than the own height within a few frames: that is a pose gone wrong
        reach = (self.box[2:] - self.box[:2]).max()
        return self.box + np.tile(np.clip(shift, -reach, reach), 2)

    def surprise(self, pose: np.ndarray, scores: np.ndarray) -> float:
        """Pixels between a pose and what was expected; 0 where the box was given for the frame."""
        if self.first is None:
            return 0.0
        seen = scores >= np.median(scores)
        return 1e-9 + float(
            np.linalg.norm(np.median((pose - self.last)[seen], axis=0) - self.velocity)
        )

    def keep_feet(self, expected: np.ndarray) -> None:
        """Let the lower side of the box rise slowly, and sink at once.

        Where legs are hard to see, a detector's box ends above them now and then.

        Args:
            expected: (4,) the box that was expected here.
        """
        x1, y1, x2, y2 = self.box
        kept = y2 + (1 - _RISE) * (expected[3] - y2)
        self.box = np.array([x1, y1, x2, np.clip(kept, y2, y2 + _LEGS * (y2 - y1))])

    def learn(self, pose: np.ndarray, scores: np.ndarray) -> None:
        """Take the pose of the next frame."""
        self.seen = scores >= np.median(scores)  # the surer half
        score = float(scores[self.seen].mean())
        self.trust = (score if self.first is None else self.trust[0], score)
        if self.last is None:
            self.velocity = np.zeros(2)
        else:
            moved = np.median((pose - self.last)[self.seen], axis=0)
            before = moved if self.velocity is None else self.velocity
            self.velocity = _MOMENTUM * before + (1 - _MOMENTUM) * moved
        self.first = pose if self.first is None else self.first
        self.last = pose


class BoxFollower:
    """Carries people from one frame that has boxes to the next.

    Between two such frames a box moves by what the median of its joints has moved since the box
    was given, so that errors do not add up, and its size stays.

    Args:
        patience: Frames with boxes that may leave a person out before he is given up: 0 for boxes
            that are the truth, 1 or more for those of a detector, which misses people.
        horizon: Frames without any boxes after which everybody is given up.
        match_thr: Lowest IoU of an expected box and a new one of the same person.
        start_thr: Score below which a box confirms people, and begins nobody.
    """

    def __init__(
        self,
        patience: int = 1,
        horizon: int = 30,
        match_thr: float = 0.1,
        start_thr: float = 0.0,
    ):
        self.patience, self.horizon, self.match_thr = patience, horizon, match_thr
        self.start_thr = start_thr
        self._people: list[_Person] = []

    def locate(
        self, frame: int, size: tuple[int, int], found: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of a frame.

        Args:
            frame: Its number, larger than at the last call.
            size: (w, h) of the frame; who has left it is not followed.
            found: Boxes (N, 4) and scores (N,) that were given for it; None where nobody looked.

        Returns:
            Boxes (P, 4) and scores (P,). :meth:`learn` wants the poses in this order.
        """
        before = [
            person
            for person in self._people
            if frame - person.frame <= self.horizon and _inside(person.expected(), size)
        ]
        if found is None:
            self._people = before
            boxes = [person.expected() for person in before]
        else:
            new = [_Person(box, float(score), frame) for box, score in zip(*found, strict=True)]
            new, missed = self._compare(before, new)
            self._people = new + missed
            boxes = [p.box for p in new] + [p.expected() for p in missed]
        scores = np.array([person.score for person in self._people])
        return np.array(boxes, np.float64).reshape(-1, 4), scores

    def learn(self, keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Take the poses that were found in the boxes of :meth:`locate`.

        Where two people meet, the network may find one of them in both boxes. Whoever was only
        followed, and has jumped further to get there, is hidden now and given up: the next frame
        with boxes finds him again.

        Args:
            keypoints: (P, K, 2) pixels.
            scores: (P, K).

        Returns:
            Rows of the people that are kept, (Q,), in order.
        """
        surprise = [
            person.surprise(pose, score)
            for person, pose, score in zip(self._people, keypoints, scores, strict=True)
        ]
        kept = np.ones(len(surprise), bool)
        if len(surprise) > 1:
            seen = scores >= np.median(scores, axis=1, keepdims=True)
            areas = np.array([(p.box[2:] - p.box[:2]).prod() for p in self._people])
            alike = oks(keypoints, seen, keypoints, seen, areas, np.full(scores.shape[1], _SIGMA))
            for row in np.argsort(surprise)[::-1]:
                others = kept & (np.arange(len(kept)) != row)
                kept[row] = surprise[row] == 0 or not (alike[row] >= _SAME_POSE)[others].any()
        rows = np.flatnonzero(kept)
        self._people = [self._people[row] for row in rows]
        for person, row in zip(self._people, rows, strict=True):
            person.learn(keypoints[row], scores[row])
        return rows

    def _compare(
        self, before: list[_Person], new: list[_Person]
    ) -> tuple[list[_Person], list[_Person]]:
        """Pass on how people move; the new who count, and the old who may still be there."""
        gone = set(range(len(before)))
        scores = np.array([person.score for person in new])
        counted = set(np.flatnonzero(scores >= self.start_thr).tolist())
        if before and new:
            expected = np.stack([person.expected() for person in before])
            overlap = box_iou(expected, np.stack([person.box for person in new]))  # (P, N)
            # Weak boxes are for those whom no sure one is left for (as in ByteTrack, ECCV 2022)
            weak = set(range(len(new))) - counted
            for columns, least in ((counted, self.match_thr), (weak, _WEAK_MATCH)):
                rows, columns = sorted(gone), sorted(columns)
                pairs = linear_sum_assignment(-overlap[np.ix_(rows, columns)])
                for row, column in ((rows[r], columns[c]) for r, c in zip(*pairs, strict=True)):
                    if overlap[row, column] >= least:
                        new[column].last = before[row].last
                        new[column].velocity = before[row].velocity
                        if self.patience:
                            new[column].keep_feet(expected[row])
                        gone.discard(row)
                        counted.add(column)
            overlap = overlap[:, sorted(counted)]
            gone -= {row for row in gone if overlap[row].max(initial=0) >= _SAME_PERSON}
        kept = []
        for person in (before[row] for row in sorted(gone)):
            person.missed += 1
            believed = person.trust[1] >= _BELIEVED * person.trust[0]
            if person.missed <= self.patience and believed:
                kept.append(person)
        return [new[n] for n in sorted(counted)], kept


def _inside(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether the middle of a box lies in the frame."""
    middle = (box[:2] + box[2:]) / 2
    return bool(((middle >= 0) & (middle <= size)).all())
