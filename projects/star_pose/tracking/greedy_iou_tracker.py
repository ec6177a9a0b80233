"""The plainest tracker, to compare with."""

import numpy as np
from mmpose.registry import TASK_UTILS

from .base_pose_tracker import BasePoseTracker, People, Track
from .pose_similarity import box_iou

__all__ = ['GreedyIoUTracker']


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
