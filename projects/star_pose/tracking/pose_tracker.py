"""Online tracking of poses: by keypoint similarity and box overlap, and the plainest to compare."""

from collections.abc import Sequence

import numpy as np
from mmpose.registry import TASK_UTILS
from scipy.optimize import linear_sum_assignment

from .base_pose_tracker import BasePoseTracker, People, Track
from .pose_similarity import box_iou, oks

__all__ = ['GreedyIoUTracker', 'PoseTracker']

# COCO's sigmas of limb joints lie between 0.062 and 0.107; this one serves any joint set.
_DEFAULT_SIGMA = 0.08
_APART = 0.1  # IoU from which others are in the picture of a person
_KEPT_LOOK = 0.8  # share of the old look that is kept


@TASK_UTILS.register_module()
class PoseTracker(BasePoseTracker):
    """Numbers people by a mix of OKS and box IoU, assigned globally in every frame.

    For each frame: every track, lost ones too, is moved on by its velocity; its similarity with a
    person is ``oks_weight`` x OKS + (1 - ``oks_weight``) x IoU; pairs below ``match_thr`` are
    impossible; the Hungarian method finds the best assignment. Sure people (``start_thr``) choose
    first, unsure ones (``keep_thr``) may continue what is left, as in "ByteTrack: Multi-object
    tracking by associating every detection box", ECCV 2022. OKS over time follows "Simple
    baselines for human pose estimation and tracking", ECCV 2018.

    OKS was made to compare a pose with its own label. Between frames people move, so the sigmas
    are widened by ``tolerance``, and by the square root of the number of frames a track was lost.
    The defaults were chosen on one synthetic data set and measured on another
    (``benchmarks/tracking.py``).

    Where the caller says how people look, the similarity is multiplied by
    exp(-d^2 / (2 ``look_tolerance``^2)), with d = 1 - their Bhattacharyya coefficient: two people
    who cross keep their numbers, and a newcomer does not get that of someone who has left. A track
    learns its look while nobody overlaps it.

    Args:
        oks_weight: Share of OKS in the similarity, in [0, 1].
        match_thr: Lowest similarity of a pair, in [0, 1].
        tolerance: Factor on the sigmas.
        momentum: Share of the old velocity that is kept at an update, in [0, 1); a new velocity
            is the median displacement of the joints seen in both frames.
        damping: Factor on the velocity for each frame that a track stays lost, in [0, 1]: nobody
            walks on unseen for ever.
        look_tolerance: See above. In videos of people some 80 pixels tall, d was below 0.16 for the
            same person in 95 % of cases, and for others in 2 %.
        sigmas: One for each joint, such as ``dataset_meta['sigmas']``; the same for all where None.
        **kwargs: Of :class:`BasePoseTracker`: ``start_thr``, ``keep_thr``, ``kpt_thr``,
            ``max_lost``.

    Raises:
        ValueError: If a parameter is out of its range.

    Example:
        >>> tracker = PoseTracker()
        >>> left, right = np.zeros((17, 2)) + [10, 50], np.zeros((17, 2)) + [90, 50]
        >>> spread = np.random.default_rng(0).uniform(0, 30, (17, 2))
        >>> scores = np.ones((2, 17))
        >>> tracker.update(0, np.stack([left, right]) + spread, scores).tolist()
        [0, 1]
        >>> tracker.update(1, np.stack([right, left]) + spread + 1, scores).tolist()
        [1, 0]
    """

    def __init__(
        self,
        oks_weight: float = 0.6,
        match_thr: float = 0.2,
        tolerance: float = 1.5,
        momentum: float = 0.5,
        damping: float = 0.9,
        look_tolerance: float = 0.2,
        sigmas: Sequence[float] | None = None,
        **kwargs,
    ):
        for name, value in (
            ('oks_weight', oks_weight),
            ('match_thr', match_thr),
            ('momentum', momentum),
            ('damping', damping),
        ):
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} is outside [0, 1]')
        for name, value in (('tolerance', tolerance), ('look_tolerance', look_tolerance)):
            if value <= 0:
                raise ValueError(f'{name}={value} must be positive')
        super().__init__(**kwargs)
        self.oks_weight = oks_weight
        self.match_thr = match_thr
        self.tolerance = tolerance
        self.momentum = momentum
        self.damping = damping
        self.look_tolerance = look_tolerance
        self.sigmas = None if sigmas is None else np.asarray(sigmas, np.float64)

    def _associate(self, frame: int, people: People) -> list[tuple[int, Track]]:
        pairs, free = [], list(self.tracks)
        for rows in (
            np.flatnonzero(people.scores >= self.start_thr),
            np.flatnonzero((people.scores >= self.keep_thr) & (people.scores < self.start_thr)),
        ):
            if not free or not len(rows):
                continue
            similarity = self._similarity(frame, free, people.take(rows))  # (M, N)
            possible = similarity >= self.match_thr
            # An impossible pair is worse than any number of possible ones left out.
            cost = np.where(possible, -similarity, 1 + min(similarity.shape))
            chosen = [
                (m, n) for m, n in zip(*linear_sum_assignment(cost), strict=True) if possible[m, n]
            ]
            pairs += [(int(rows[n]), free[m]) for m, n in chosen]
            taken = {m for m, _ in chosen}
            free = [track for m, track in enumerate(free) if m not in taken]
        return pairs

    def _similarity(self, frame: int, tracks: list[Track], people: People) -> np.ndarray:
        """(M, N) in [0, 1]."""
        num_joints = people.poses.shape[1]
        sigmas = np.full(num_joints, _DEFAULT_SIGMA) if self.sigmas is None else self.sigmas
        if len(sigmas) != num_joints:
            raise ValueError(
                f'PoseTracker has {len(sigmas)} sigmas but the poses have {num_joints} joints; '
                "take both from one data set's metainfo"
            )
        gap = np.array([frame - track.frame for track in tracks])  # (M,)
        shift = np.stack([self._expected_shift(track, frame) for track in tracks])  # (M, 2)
        boxes = np.stack([track.box for track in tracks])
        sides = boxes[:, 2:] - boxes[:, :2]
        similarity = oks(
            np.stack([track.pose for track in tracks]) + shift[:, None],
            np.stack([track.seen for track in tracks]),
            people.poses,
            people.seen,
            sides.prod(1),
            sigmas * self.tolerance * np.sqrt(gap)[:, None],
        )
        overlap = box_iou(boxes + np.tile(shift, 2), people.boxes)
        similarity = self.oks_weight * similarity + (1 - self.oks_weight) * overlap
        if people.looks is None or any(track.look is None for track in tracks):
            return similarity
        other = 1 - np.stack([track.look for track in tracks]) @ people.looks.T
        return similarity * np.exp(-0.5 * (other / self.look_tolerance) ** 2)

    def _expected_shift(self, track: Track, frame: int) -> np.ndarray:
        """How far the track has moved since it was last seen, (2,)."""
        if track.velocity is None:
            return np.zeros(2)
        gap = frame - track.frame
        return track.velocity * (self.damping ** np.arange(gap)).sum()

    def _continue(self, track: Track, frame: int, people: People, row: int) -> None:
        both = track.seen & people.seen[row]
        if both.any():
            # The median: a swinging arm or a joint gone wrong must not move the body.
            moved = np.median(people.poses[row][both] - track.pose[both], axis=0)
            velocity = moved / (frame - track.frame)
            before = velocity if track.velocity is None else track.velocity
            track.velocity = self.momentum * before + (1 - self.momentum) * velocity
        if track.look is not None and people.looks is not None:
            others = np.delete(people.boxes, row, axis=0)
            if not len(others) or box_iou(people.boxes[row][None], others).max() < _APART:
                look = _KEPT_LOOK * track.look + (1 - _KEPT_LOOK) * people.looks[row]
                track.look = look / np.linalg.norm(look)
        super()._continue(track, frame, people, row)


@TASK_UTILS.register_module()
class GreedyIoUTracker(BasePoseTracker):
    """Pairs the person and the track whose boxes overlap most, then the next, and so on.

    Looks at no joint and knows no motion; thresholds and memory are those of every tracker here,
    so that a comparison shows what the association is worth.

    Args:
        match_thr: Lowest IoU of a pair, in [0, 1].
        **kwargs: Of :class:`BasePoseTracker`.

    Raises:
        ValueError: If the threshold is outside [0, 1].
    """

    def __init__(self, match_thr: float = 0.3, **kwargs):
        if not 0 <= match_thr <= 1:
            raise ValueError(f'match_thr={match_thr} is outside [0, 1]')
        super().__init__(**kwargs)
        self.match_thr = match_thr

    def _associate(self, frame: int, people: People) -> list[tuple[int, Track]]:
        rows = np.flatnonzero(people.scores >= self.keep_thr)
        if not self.tracks or not len(rows):
            return []
        overlap = box_iou(np.stack([track.box for track in self.tracks]), people.boxes[rows])
        pairs = []
        while overlap.max() >= max(self.match_thr, 1e-9):
            m, n = np.unravel_index(overlap.argmax(), overlap.shape)
            pairs.append((int(rows[n]), self.tracks[m]))
            overlap[m], overlap[:, n] = -1, -1
        return pairs
