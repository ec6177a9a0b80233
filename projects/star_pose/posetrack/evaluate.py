"""PoseTrack AP and MOTA of a set of predictions, in total and by video."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .ap import AveragePrecision, group_means, joint_ap, mean_labelled
from .joints import JOINTS
from .labels import label_version
from .matching import Matching, match_persons
from .mot import TrackingScores, joint_mota, sum_counts, tracking_counts
from .tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError

__all__ = ['PoseTrackResult', 'VideoResult', 'evaluate']


@dataclass
class VideoResult:
    """Result of one video, or of all of them.

    Attributes:
        ap: AP, precision and recall per joint.
        tracking: MOTA and MOTP per joint, None when tracks were not evaluated.
    """

    ap: AveragePrecision
    tracking: TrackingScores | None = None

    def as_dict(self) -> dict:
        """Return the result in the form that poseval's results are compared in."""
        values = {
            'joint_order': list(JOINTS),
            'ap_per_joint': self.ap.ap.tolist(),
            'precision_per_joint': self.ap.precision.tolist(),
            'recall_per_joint': self.ap.recall.tolist(),
            'groups': self.ap.groups(),
        }
        if self.tracking is not None:
            values['tracking'] = self.tracking.as_lists()
        return values

    def metrics(self) -> dict[str, float]:
        """Return flat values for a log: AP by column, with tracks also MOTA and MOTP."""
        values = self.ap.groups()
        values['Precision'] = mean_labelled(self.ap.precision)
        values['Recall'] = mean_labelled(self.ap.recall)
        if self.tracking is not None:
            for name, joints in (('MOTA', self.tracking.mota), ('MOTP', self.tracking.motp)):
                columns = group_means(joints[:15])
                values |= {f'{group} {name}': value for group, value in columns.items()}
                values[name] = float(joints[15])
        return values


@dataclass
class PoseTrackResult:
    """Everything that a report needs.

    Attributes:
        total: Result over all videos.
        videos: Result of each video that has evaluated frames; empty when not asked for.
        counts: How many frames and persons were evaluated and how many were dropped.
        provenance: What the predictions were made with: box source, T, score rule and so on.
        frames: Frames of the ground truth.
        matching: Assigned predictions.
    """

    total: VideoResult
    videos: dict[str, VideoResult]
    counts: dict[str, int]
    frames: FrameTable
    matching: Matching
    provenance: dict = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Return what a result file holds. A value that does not exist is NaN, as in poseval."""
        values = self.total.as_dict()
        values['counts'] = dict(self.counts)
        values['provenance'] = dict(self.provenance)
        if self.videos:
            values['videos'] = {name: result.as_dict() for name, result in self.videos.items()}
        return values


def evaluate(
    frames: FrameTable,
    truth: PoseTable,
    predicted: PoseTable,
    *,
    rules: str = 'posetrack18',
    tracked: PoseTable | None = None,
    per_video: bool = False,
    provenance: Mapping | None = None,
) -> PoseTrackResult:
    """Evaluate predictions.

    Args:
        frames: Frames of the ground truth.
        truth: Labelled persons.
        predicted: Predicted persons, checked before (see ``check_persons``).
        rules: Whose rules: 'posetrack18' (poseval) or 'posetrack21'.
        tracked: Predicted persons to compute MOTA of, each with a track id: often ``predicted``
            itself, or those of it that a tracker kept. No MOTA without.
        per_video: Whether to evaluate each video by itself as well.
        provenance: What the predictions were made with, stored with the result.

    Returns:
        The result.

    Raises:
        PoseTrackError: When tracks are wanted and the ground truth lacks some.
    """
    matching = match_persons(frames, truth, predicted, rules)
    counts = None
    if tracked is not None:
        require_tracks(frames, matching.truth)
        same = tracked is predicted
        tracks = matching if same else match_persons(frames, truth, tracked, rules)
        counts = tracking_counts(tracks, frames.video)
    total = VideoResult(joint_ap(matching), joint_mota(sum_counts(counts)) if counts else None)
    videos = {}
    for video in np.unique(frames.video[matching.evaluated]) if per_video else []:
        videos[frames.videos[video]] = VideoResult(
            joint_ap(matching, frames.video == video),
            joint_mota(counts[int(video)]) if counts else None,
        )
    return PoseTrackResult(
        total=total,
        videos=videos,
        counts=count_evaluated(frames, matching),
        provenance={'label_version': label_version(frames), 'rules': rules, **(provenance or {})},
        frames=frames,
        matching=matching,
    )


def require_tracks(frames: FrameTable, truth: PoseTable) -> None:
    """Raise when a labelled person has no track."""
    what = 'ground truth without track_id: MOTA needs one for every person'
    problems = [
        frames.problem(truth.frame[row], what, truth.names[row])
        for row in np.flatnonzero(truth.track_ids == NO_TRACK)
    ]
    if problems:
        raise PoseTrackError(problems)


def count_evaluated(frames: FrameTable, matching: Matching) -> dict[str, int]:
    """Count what was evaluated and what was dropped."""
    return {
        'videos': len(np.unique(frames.video[matching.evaluated])),
        'frames': int(matching.evaluated.sum()),
        'frames_unlabelled': int((~matching.evaluated).sum()),
        'frames_without_head_box': frames.frames_without_head,
        'persons': len(matching.truth),
        'persons_without_head_box': frames.persons_without_head,
        'predictions': len(matching.predicted),
        'tied_scores': count_ties(matching),
    }


def count_ties(matching: Matching) -> int:
    """Count the scores that true and false positives of a joint share.

    Such detections rank by the order of videos and persons, in poseval as here: a large number
    means that AP is not well defined by these predictions.
    """
    ties = 0
    for joint in range(15):
        chosen = matching.predicted_present[:, joint]
        scores, hits = matching.predicted.scores[chosen, joint], matching.hits[chosen, joint]
        ties += len(np.intersect1d(scores[hits], scores[~hits]))
    return ties
