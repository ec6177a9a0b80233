"""Drop predicted persons that repeat another one in the same frame."""

import numpy as np
from mmpose.evaluation.functional import oks_nms

from .joints import JOINTS
from .tables import PoseTable

__all__ = ['oks_nms_rows']

# PoseTrack18's sigmas as MMPose gives them: COCO's, and 0.025 for head bottom and top.
SIGMAS = {
    'ankle': 0.089, 'knee': 0.087, 'hip': 0.107, 'wrist': 0.062, 'elbow': 0.072, 'shoulder': 0.079,
    'neck': 0.025, 'nose': 0.026, 'head_top': 0.025,
}  # fmt: skip


def oks_nms_rows(
    persons: PoseTable, boxes: np.ndarray, box_scores: np.ndarray, threshold: float
) -> np.ndarray:
    """Run MMPose's OKS suppression in every frame.

    Args:
        persons: Predicted persons.
        boxes: Their boxes x1 y1 x2 y2 in pixels, (P, 4); NaN where unknown, then the joints' extent
            serves.
        box_scores: Their box scores, (P,).
        threshold: OKS above which the person with the lower score is dropped; a person's score is
            its box score times its mean joint score.

    Returns:
        Rows that stay, ascending.
    """
    sigmas = np.array([SIGMAS[j.removeprefix('left_').removeprefix('right_')] for j in JOINTS])
    extent = persons.points.max(axis=1) - persons.points.min(axis=1)  # (P, 2)
    sides = np.where(np.isfinite(boxes[:, 2:]), boxes[:, 2:] - boxes[:, :2], extent)
    areas = sides.prod(axis=1)
    scores = persons.scores.mean(axis=1) * box_scores
    flat = np.concatenate([persons.points, persons.scores[..., None]], axis=2)  # (P, 15, 3)
    kept = []
    for rows in np.split(np.arange(len(persons)), np.flatnonzero(np.diff(persons.frame)) + 1):
        frame = [{'keypoints': flat[i], 'score': scores[i], 'area': areas[i]} for i in rows]
        kept += [int(rows[i]) for i in oks_nms(frame, threshold, sigmas)]
    return np.array(sorted(kept), dtype=np.int64)
