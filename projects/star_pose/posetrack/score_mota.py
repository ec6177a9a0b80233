"""MOTA and MOTP per joint: CLEAR MOT (Bernardin and Stiefelhagen, 2008), as poseval applies it.

Every joint is tracked by itself. Within a frame, an object first keeps the hypothesis it was last
matched with, as long as the two are within reach; the others are assigned by the Hungarian method.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from .score_ap import HIT, Matching, mean_labelled

__all__ = ['TrackingScores', 'joint_mota', 'sum_counts', 'tracking_counts']

# Larger than any sum of hit distances: as many pairs as possible, then the shortest.
IMPOSSIBLE = 1e6

COUNTS = ('objects', 'matches', 'switches', 'misses', 'false_positives', 'distance')


@dataclass
class TrackingScores:
    """MOTA, MOTP, precision and recall in percent: the 15 joints, then their mean, (16,) each."""

    mota: np.ndarray
    motp: np.ndarray
    pre: np.ndarray
    rec: np.ndarray

    def as_lists(self) -> dict[str, list[float]]:
        """Return the four as lists, in poseval's keys."""
        return {name: values.tolist() for name, values in vars(self).items()}


def tracking_counts(
    matching: Matching, frame_video: np.ndarray
) -> dict[int, dict[str, np.ndarray]]:
    """Count CLEAR MOT events per video and joint.

    poseval leaves out the last evaluated frame of each video, and turns a frame without labelled
    or without predicted persons into one miss and one false positive of every joint.

    Args:
        matching: Pairs of the evaluated frames; every person needs a track id.
        frame_video: Video of each frame, ascending, (F,).

    Returns:
        For each video with evaluated frames, the counts of ``COUNTS``, (15,) each.
    """
    num_frames = len(frame_video)
    rows = np.flatnonzero(matching.evaluated)
    last = np.append(frame_video[rows][1:] != frame_video[rows][:-1], True)[: len(rows)]
    used = np.zeros(num_frames, dtype=bool)
    used[rows[~last]] = True

    truth, predicted = matching.truth, matching.predicted
    both = np.bincount(truth.frame, minlength=num_frames) > 0
    both &= np.bincount(predicted.frame, minlength=num_frames) > 0
    objects, hypotheses = np.zeros((2, num_frames, 15), dtype=np.int64)
    np.add.at(objects, truth.frame, matching.truth_present)
    np.add.at(hypotheses, predicted.frame, matching.predicted_present)
    objects[~both], hypotheses[~both] = 1, 1

    counts = {
        int(video): {
            'objects': objects[used & (frame_video == video)].sum(axis=0).astype(np.float64),
            'false_positives': hypotheses[used & (frame_video == video)].sum(axis=0) * 1.0,
            **{name: np.zeros(15) for name in ('matches', 'switches', 'distance')},
        }
        for video in np.unique(frame_video[rows])
    }
    for joint in range(15):
        accumulate_joint(matching, joint, used, frame_video, counts)
    for count in counts.values():
        found = count['matches'] + count['switches']
        count['misses'] = count['objects'] - found
        count['false_positives'] -= found
    return counts


def accumulate_joint(
    matching: Matching, joint: int, used: np.ndarray, frame_video: np.ndarray, counts: dict
) -> None:
    """Walk through the frames of every video and add one joint's matches and switches."""
    frame_of_pair = matching.truth.frame[matching.pair_truth]
    distance = matching.distances[:, joint]
    pairs = np.flatnonzero((distance <= HIT) & used[frame_of_pair])
    # Frame by frame, and within a frame in the order of the labelled persons.
    pairs = pairs[np.lexsort((matching.pair_truth[pairs], frame_of_pair[pairs]))]
    frames = frame_of_pair[pairs]
    objects = matching.truth.track_ids[matching.pair_truth[pairs]].tolist()
    hypotheses = matching.predicted.track_ids[matching.pair_predicted[pairs]].tolist()
    distances = distance[pairs].tolist()

    videos = frame_video[frames]
    starts = [0, *(np.flatnonzero(np.diff(frames)) + 1).tolist(), len(pairs)]
    is_match, is_switch, logged = [0] * len(pairs), [0] * len(pairs), [1] * len(pairs)
    video = None
    for start, stop in pairwise(starts if len(pairs) else []):
        if video != (now := int(videos[start])):
            video, history = now, History()
        run = slice(start, stop)
        for pair in match_frame(objects[run], hypotheses[run], distances[run], history.matched):
            row = start + pair
            switched, events = history.add(objects[row], hypotheses[row])
            is_match[row], is_switch[row] = not switched, switched
            logged[row] += events
    sums = {'matches': is_match, 'switches': is_switch, 'distance': np.multiply(logged, distances)}
    for name, values in sums.items():
        totals = np.bincount(videos, values, minlength=max(counts, default=0) + 1)
        for number, count in counts.items():
            count[name][joint] = totals[number]


class History:
    """Who was matched with whom so far, in one video and for one joint.

    poseval divides by the number of matches the sum of *all* distances that py-motmetrics logs: one
    for every pair within reach, one for the match itself, and one for each kind of change that the
    match is. So its MOTP is lower than CLEAR MOT's; published numbers are poseval's.
    """

    def __init__(self):
        self.matched: dict[int, int] = {}  # object -> its last hypothesis
        self.owner: dict[int, int] = {}  # hypothesis -> the object it was last assigned to
        self.hypotheses: set[int] = set()

    def add(self, item: int, hypothesis: int) -> tuple[bool, int]:
        """Record a match of a labelled person's track with a predicted person's.

        Returns:
            Whether the object switched its hypothesis, and how many events are logged with the
            match's distance.
        """
        known = item in self.matched
        if known and self.matched[item] == hypothesis:
            return False, 1
        events = 1
        events += known and hypothesis not in self.hypotheses  # "ascend"
        if self.owner.get(hypothesis, item) != item:
            events += 1 if known else 2  # "transfer", and "migrate" when the object is new
        self.matched[item] = hypothesis
        self.owner[hypothesis] = item
        self.hypotheses.add(hypothesis)
        return known, events


def match_frame(
    objects: list[int], hypotheses: list[int], distances: list[float], matched: dict[int, int]
) -> list[int]:
    """Return indices of the chosen pairs of one frame and joint.

    Args:
        objects: Track of the labelled person of each pair within reach, in their order, (n,).
        hypotheses: Track of the predicted person of each pair, (n,).
        distances: Distance of each pair in head sizes, (n,).
        matched: The hypothesis each object was last matched with.
    """
    number = len(objects)
    if number == 1 or (len(set(objects)) == number and len(set(hypotheses)) == number):
        return list(range(number))  # nothing to decide
    kept, objects_left, hypotheses_left = [], set(objects), set(hypotheses)
    for pair, (item, hypothesis) in enumerate(zip(objects, hypotheses, strict=True)):
        if matched.get(item) == hypothesis and hypothesis in hypotheses_left:
            kept.append(pair)
            objects_left.remove(item)
            hypotheses_left.remove(hypothesis)
    rows = {item: row for row, item in enumerate(sorted(objects_left))}
    columns = {hypothesis: column for column, hypothesis in enumerate(sorted(hypotheses_left))}
    cost = np.full((len(rows), len(columns)), IMPOSSIBLE)
    pair_at = {}
    for pair, (item, hypothesis) in enumerate(zip(objects, hypotheses, strict=True)):
        if item in rows and hypothesis in columns:
            cell = rows[item], columns[hypothesis]
            cost[cell] = distances[pair]
            pair_at[cell] = pair
    cells = zip(*linear_sum_assignment(cost), strict=True)
    return kept + [pair_at[cell] for cell in cells if cell in pair_at]


def sum_counts(counts: dict[int, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Add the counts of several videos, (15,) each."""
    return {
        name: np.sum([count[name] for count in counts.values()] or [np.zeros(15)], axis=0)
        for name in COUNTS
    }


def joint_mota(count: dict[str, np.ndarray]) -> TrackingScores:
    """Turn counts into percentages, with poseval's conventions where a joint has no event."""
    found = count['matches'] + count['switches']
    with np.errstate(divide='ignore', invalid='ignore'):
        objects = np.where(count['objects'] > 0, count['objects'], np.nan)
        detections = found + count['false_positives']
        errors = count['misses'] + count['switches'] + count['false_positives']
        mota = 100 * (1 - errors / objects)
        motp = np.where(found > 0, 100 * (1 - count['distance'] / found), 0.0)
        pre = 100 * found / np.where(detections > 0, detections, np.nan)
        rec = 100 * found / objects
    return TrackingScores(*(np.append(v, mean_labelled(v)) for v in (mota, motp, pre, rec)))
