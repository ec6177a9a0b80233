"""Which predicted person is which labelled person, and average precision, by poseval's rules.

poseval is the evaluation code of PoseTrack (Andriluka et al., CVPR 2018). The matching works on
all frames at once: the pairs of one frame are a run in arrays over all pairs.
"""

from dataclasses import dataclass

import numpy as np
import shapely

from .joints import GROUPS, JOINTS
from .tables import FrameTable, PoseTable

__all__ = [
    'HIT',
    'RULES',
    'AveragePrecision',
    'Matching',
    'average_precision',
    'group_means',
    'joint_ap',
    'match_persons',
    'mean_labelled',
    'precision_recall',
]

# The hit distance in head sizes.
HIT = 0.5

RULES = ('posetrack18', 'posetrack21')

# The score of a joint that has none: it ranks behind every other.
LOWEST_SCORE = -9999.0


@dataclass
class Matching:
    """Ground truth and predictions of the evaluated frames, and how they pair.

    Attributes:
        evaluated: Mask of the evaluated frames, (F,).
        truth: Labelled persons of these frames, G of them.
        truth_present: Which of their joints are labelled, (G, 15).
        predicted: Predicted persons of these frames, P of them.
        predicted_present: Which of their joints are predicted, (P, 15).
        pair_truth: Row in ``truth`` of every pair within a frame, (Q,).
        pair_predicted: Row in ``predicted`` of every pair, ascending, (Q,).
        distances: Distance of every pair's joints in head sizes, inf where one is absent, (Q, 15).
        match: Row in ``truth`` that a prediction is assigned to, -1 for none, (P,).
        hits: Whether a predicted joint is a true positive, (P, 15).
    """

    evaluated: np.ndarray
    truth: PoseTable
    truth_present: np.ndarray
    predicted: PoseTable
    predicted_present: np.ndarray
    pair_truth: np.ndarray
    pair_predicted: np.ndarray
    distances: np.ndarray
    match: np.ndarray
    hits: np.ndarray


def match_persons(
    frames: FrameTable, truth: PoseTable, predicted: PoseTable, rules: str = 'posetrack18'
) -> Matching:
    """Assign predictions to ground truth frame by frame.

    Every prediction keeps the labelled person it hits most of (the first on ties); then every
    labelled person takes the best of the predictions that kept it (the first on ties, none at 0).
    Scores play no part, and neither is it an optimal assignment.

    Args:
        frames: Frames of the ground truth.
        truth: Labelled persons.
        predicted: Predicted persons, with finite coordinates.
        rules: 'posetrack18' counts frames with a non-empty list of persons, and a joint is absent
            iff x, y and its flag are 0; 'posetrack21' counts frames by ``is_labeled``, and a joint
            is present iff x > 0 and y > 0.

    Returns:
        The pairs, the assignment and the true positives.

    Raises:
        ValueError: When ``rules`` is unknown.
    """
    if rules not in RULES:
        raise ValueError(f'rules={rules!r} is unknown: use one of {RULES}')
    evaluated = frames.annotated if rules == 'posetrack18' else frames.labelled
    truth, truth_present = select(frames, truth, evaluated, rules)
    predicted, predicted_present = select(frames, predicted, evaluated, rules)
    pair_truth, pair_predicted = pairs_within_frames(truth.frame, predicted.frame, len(frames))

    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        offset = truth.points[pair_truth] - predicted.points[pair_predicted]  # (Q, 15, 2)
        # A head box without area makes it infinite or NaN: never a hit.
        distances = np.sqrt((offset**2).sum(axis=2)) / truth.head_sizes[pair_truth, None]
    both = truth_present[pair_truth] & predicted_present[pair_predicted]
    distances = np.where(both & ~np.isnan(distances), distances, np.inf)
    hits = distances <= HIT  # (Q, 15)
    share = hits.sum(axis=1) / np.maximum(truth_present[pair_truth].sum(axis=1), 1)

    pairs = assign(share, pair_truth, pair_predicted)
    match = np.full(len(predicted), -1)
    match[pair_predicted[pairs]] = pair_truth[pairs]
    predicted_hits = np.zeros((len(predicted), 15), dtype=bool)
    predicted_hits[pair_predicted[pairs]] = hits[pairs]
    sides = (truth, truth_present, predicted, predicted_present)
    return Matching(evaluated, *sides, pair_truth, pair_predicted, distances, match, predicted_hits)


def select(
    frames: FrameTable, persons: PoseTable, evaluated: np.ndarray, rules: str
) -> tuple[PoseTable, np.ndarray]:
    """Keep the persons of evaluated frames and find their joints outside of ignore regions.

    Only in frames that have ignore regions, persons without a joint are removed.

    Returns:
        The persons and which of their joints are present, (P, 15).
    """
    persons = persons.take(evaluated[persons.frame])
    present = persons.given if rules == 'posetrack18' else (persons.points > 0).all(axis=2)
    has_regions = np.array([bool(regions) for regions in frames.regions], dtype=bool)
    bounds = np.searchsorted(persons.frame, np.arange(len(frames) + 1))
    for row in np.flatnonzero(has_regions & evaluated):
        rows = slice(bounds[row], bounds[row + 1])
        x, y = persons.points[rows, :, 0], persons.points[rows, :, 1]
        for region in frames.regions[row]:
            # shapely's "contains" leaves the boundary out, as poseval has it.
            present[rows] &= ~shapely.contains_xy(shapely.Polygon(region), x, y)
    kept = present.any(axis=1) | ~has_regions[persons.frame]
    return persons.take(kept), present[kept]


def pairs_within_frames(
    truth_frame: np.ndarray, predicted_frame: np.ndarray, num_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """List every pair of a labelled and a predicted person in the same frame, by their rows.

    Frames are ascending, (G,) and (P,); pairs, (Q,) each, are ordered by prediction and then by
    labelled person.
    """
    starts = np.searchsorted(truth_frame, np.arange(num_frames + 1))
    counts = np.diff(starts)[predicted_frame]  # labelled persons that each prediction meets
    pair_predicted = np.repeat(np.arange(len(predicted_frame)), counts)
    within = np.arange(len(pair_predicted)) - np.repeat(np.cumsum(counts) - counts, counts)
    return starts[predicted_frame[pair_predicted]] + within, pair_predicted


def assign(share: np.ndarray, pair_truth: np.ndarray, pair_predicted: np.ndarray) -> np.ndarray:
    """Return indices of the pairs of the assignment, each person at most once.

    ``share`` is the hits of each pair over the labelled joints of its labelled person, (Q,).
    """
    pairs = np.arange(len(share))
    # A stable sort leaves the first of equal pairs in front.
    best = pairs[np.lexsort((pair_truth, -share, pair_predicted))]
    best = best[first_of_runs(pair_predicted[best])]
    best = best[share[best] > 0]
    best = best[np.lexsort((pair_predicted[best], -share[best], pair_truth[best]))]
    return best[first_of_runs(pair_truth[best])]


def first_of_runs(values: np.ndarray) -> np.ndarray:
    """Mark the first element of every run of equal values."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


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


def group_means(values: np.ndarray) -> dict[str, float]:
    """Average 15 joints to the columns of ``GROUPS``; one with an unlabelled joint is NaN."""
    return {
        group: float(np.mean([values[JOINTS.index(joint)] for joint in joints]))
        for group, joints in GROUPS.items()
    }


def mean_labelled(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN when there is none."""
    values = np.asarray(values, dtype=np.float64)
    labelled = values[~np.isnan(values)]
    return float(labelled.mean()) if len(labelled) else float('nan')


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
    # Of equal scores the later one ranks first: a reversed sort, as poseval has it. It takes
    # numpy's default sort, whose order of equal scores differs between processors; ours is stable.
    found = np.cumsum(hits[np.argsort(scores, kind='stable')[::-1]])
    recall = found / num_labelled if num_labelled else np.full(len(found), np.nan)
    return found / np.arange(1, len(found) + 1), recall


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Return the area below the decreasing envelope of a precision-recall curve, in [0, 1]."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def joint_ap(matching: Matching, in_frames: np.ndarray | None = None) -> AveragePrecision:
    """Compute AP, precision and recall of every joint; 0 for one that is never predicted.

    ``in_frames`` is a mask of the frames to count, (F,): all evaluated ones when not given.
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
