"""Average precision per joint, as poseval computes it (PASCAL VOC area under the envelope)."""

from dataclasses import dataclass

import numpy as np

from .joints import GROUPS, JOINTS
from .matching import Matching

__all__ = [
    'AveragePrecision',
    'average_precision',
    'group_means',
    'joint_ap',
    'mean_labelled',
    'precision_recall',
]

# The score of a joint that has none: it ranks behind every other.
LOWEST_SCORE = -9999.0


@dataclass
class AveragePrecision:
    """AP, precision and recall in percent, per joint in the order of ``JOINTS``, (15,) each.

    A joint that was predicted and is nowhere labelled has no AP (NaN) and is left out of the mean.
    """

    ap: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def total(self) -> float:
        """Mean AP over joints: the field's "Total"."""
        return mean_labelled(self.ap)

    def groups(self) -> dict[str, float]:
        """Return AP by the columns of the field's tables and, under 'AP', the mean over joints."""
        columns = {f'{group} AP': value for group, value in group_means(self.ap).items()}
        return {**columns, 'AP': self.total}


def mean_labelled(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN when there is none."""
    values = np.asarray(values, dtype=np.float64)
    labelled = values[~np.isnan(values)]
    return float(labelled.mean()) if len(labelled) else float('nan')


def group_means(values: np.ndarray) -> dict[str, float]:
    """Average joints to the seven columns of the field's tables.

    A column with an unlabelled joint (NaN) is NaN, as poseval prints it.

    Args:
        values: One value a joint, in the order of ``JOINTS``, (15,).

    Returns:
        The mean of each column of ``GROUPS``.
    """
    return {
        group: float(np.mean([values[JOINTS.index(joint)] for joint in joints]))
        for group, joints in GROUPS.items()
    }


def precision_recall(
    scores: np.ndarray, hits: np.ndarray, num_labelled: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute precision and recall after each detection, the best score first.

    Args:
        scores: Scores of the n detections, NaN where there is none, (n,).
        hits: Whether each is a true positive, (n,).
        num_labelled: Labelled joints, found or not.

    Returns:
        Precision and recall in [0, 1], (n,) each; recall is NaN when nothing is labelled.
    """
    scores = np.where(np.isnan(scores), LOWEST_SCORE, scores)
    # Equal scores fall as numpy's default sort leaves them, reversed: the same rule as poseval's.
    found = np.cumsum(hits[np.argsort(scores)[::-1]])
    recall = found / num_labelled if num_labelled else np.full(len(found), np.nan)
    return found / np.arange(1, len(found) + 1), recall


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Return the area below the decreasing envelope of a precision-recall curve, in [0, 1]."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def joint_ap(matching: Matching, in_frames: np.ndarray | None = None) -> AveragePrecision:
    """Compute AP, precision and recall of every joint.

    Args:
        matching: Assigned predictions.
        in_frames: Mask of the frames to count, (F,); all evaluated frames when not given.

    Returns:
        The three values a joint; 0 for a joint that is never predicted.
    """
    predicted, present = matching.predicted, matching.predicted_present
    labelled = matching.truth_present
    if in_frames is not None:
        present = present & in_frames[predicted.frame, None]
        labelled = labelled[in_frames[matching.truth.frame]]
    result = AveragePrecision(*np.zeros((3, 15)))
    for joint, num_labelled in enumerate(labelled.sum(axis=0)):
        chosen = present[:, joint]
        precision, recall = precision_recall(
            predicted.scores[chosen, joint], matching.hits[chosen, joint], int(num_labelled)
        )
        if len(precision):
            result.ap[joint] = 100 * average_precision(precision, recall)
            result.precision[joint] = 100 * precision[-1]
            result.recall[joint] = 100 * recall[-1]
    return result
