"""Evaluate predictions: PoseTrack AP and MOTA, in total and by video, and their tables."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .joints import GROUPS, JOINTS
from .read_labels import label_version
from .score_ap import (
    AveragePrecision,
    Matching,
    group_means,
    joint_ap,
    match_persons,
    mean_labelled,
)
from .score_mota import TrackingScores, joint_mota, sum_counts, tracking_counts
from .tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError, repeated_tracks

__all__ = [
    'PoseTrackResult',
    'VideoResult',
    'describe',
    'evaluate',
    'joint_table',
    'latex_row',
    'markdown_table',
    'merge_results',
    'summary_table',
    'tied_scores',
    'video_table',
]

NOT_SAID = 'not said'


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

    def write(self, path: str | Path) -> None:
        """Write a json file; its folder is made. What does not exist is NaN, as in poseval."""
        values = {**self.total.as_dict(), 'counts': self.counts, 'provenance': self.provenance}
        if self.videos:
            values['videos'] = {name: result.as_dict() for name, result in self.videos.items()}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(values, indent=1) + '\n')


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
        PoseTrackError: When tracks are wanted and the ground truth lacks or repeats some, or does
            not tell the order of its frames.
    """
    matching = match_persons(frames, truth, predicted, rules)
    counts = None
    if tracked is not None:
        frames.require_order()
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
    """Raise when a labelled person has no track, or one that is in its frame already."""
    what = 'ground truth without track_id: MOTA needs one for every person'
    problems = [
        frames.problem(truth.frame[row], what, truth.names[row])
        for row in np.flatnonzero(truth.track_ids == NO_TRACK)
    ]
    problems += repeated_tracks(frames, truth)
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
        'frames_without_predictions': frames_missed(matching),
        'tied_scores': int(tied_scores(matching).sum()),
        'joints_unseen': int((matching.truth_present & (matching.truth.flags == 0)).sum()),
    }


def frames_missed(matching: Matching) -> int:
    """Count the frames with labelled joints that nothing is predicted in."""
    labelled = matching.truth.frame[matching.truth_present.any(axis=1)]
    return len(np.setdiff1d(labelled, matching.predicted.frame))


def tied_scores(matching: Matching) -> np.ndarray:
    """Count for each joint the scores that true and false positives share, (15,).

    Such detections rank by the order of videos and persons: a large number means that AP is not
    well defined by these predictions.
    """
    ties = np.zeros(15, dtype=np.int64)
    for joint in range(15):
        chosen = matching.predicted_present[:, joint]
        scores, hits = matching.predicted.scores[chosen, joint], matching.hits[chosen, joint]
        ties[joint] = len(np.intersect1d(scores[hits], scores[~hits]))
    return ties


def cell(value: float) -> str:
    """Format a percentage; a dash where there is none."""
    return '-' if np.isnan(value) else f'{value:.1f}'


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a Markdown table whose columns line up, the first to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str], fill: Callable[[str, int], str] = str.rjust) -> str:
        padded = [fill(text, width) for text, width in zip(cells, widths, strict=True)]
        return f'| {" | ".join([cells[0].ljust(widths[0]), *padded[1:]])} |'

    rule = ['-' * widths[0]] + ['-' * (width - 1) + ':' for width in widths[1:]]
    return '\n'.join([line(header), line(rule), *(line(row) for row in rows)])


def columns(result: VideoResult, what: str = 'AP') -> list[str]:
    """Return the field's eight columns of AP or MOTA."""
    values = result.metrics()
    return [cell(values[f'{group} {what}']) for group in GROUPS] + [cell(values[what])]


def summary_table(result: PoseTrackResult) -> str:
    """Return AP, and MOTA where it was evaluated, by the columns of the field's tables."""
    rows = [['AP', *columns(result.total)]]
    if result.total.tracking is not None:
        rows += [[name, *columns(result.total, name)] for name in ('MOTA', 'MOTP')]
    return markdown_table(['', *GROUPS, 'Total'], rows)


def latex_row(result: PoseTrackResult, name: str = 'STAR-Pose') -> str:
    """Return the AP columns as a row of a LaTeX table."""
    return f'{name} & {" & ".join(columns(result.total))} \\\\'


def joint_table(result: PoseTrackResult) -> str:
    """Return AP, precision and recall, and MOTA and MOTP where evaluated, of every joint."""
    ap, tracking = result.total.ap, result.total.tracking
    header, values = ['joint', 'AP', 'precision', 'recall'], [ap.ap, ap.precision, ap.recall]
    if tracking is not None:
        header += ['MOTA', 'MOTP']
        values += [tracking.mota[:15], tracking.motp[:15]]
    rows = [[joint, *(cell(column[i]) for column in values)] for i, joint in enumerate(JOINTS)]
    return markdown_table(header, rows)


def video_table(result: PoseTrackResult) -> str:
    """Return one row a video, the lowest AP first; videos without AP stand at the end."""
    order = sorted(
        result.videos.items(), key=lambda item: np.nan_to_num(item[1].ap.total, nan=np.inf)
    )
    tracked = result.total.tracking is not None
    header = ['video', *GROUPS, 'AP', *(['MOTA'] if tracked else [])]
    rows = [
        [name, *columns(video), *([cell(video.tracking.mota[15])] if tracked else [])]
        for name, video in order
    ]
    return markdown_table(header, rows)


def merge_results(results: list[dict]) -> tuple[list, dict[str, str]]:
    """Put together what several processes measured, sample by sample.

    Args:
        results: Dicts of ``measure``, ``provenance`` and ``key``: what a sample that a distributed
            sampler repeated, to fill up its last round, has in common with the first one.

    Returns:
        The measures without repetitions (a key of None is never one), and of the provenance each
        fact's value, or how many it has and one of them.
    """
    first = {result['key']: result for result in reversed(results)}
    results = [one for one in results if one['key'] is None or first[one['key']] is one]
    values: dict[str, dict] = {}
    for result in results:
        for name, value in result['provenance'].items():
            values.setdefault(name, {})[value] = None
    facts = {
        name: next(iter(found))
        if len(found) == 1
        else f'{len(found)} different, such as {next(iter(found))}'
        for name, found in values.items()
    }
    return [result['measure'] for result in results], facts


def describe(counts: Mapping[str, int], provenance: Mapping) -> str:
    """Say in a few lines what was evaluated and what the predictions were made with."""
    known = {
        'labels': provenance.get('label_version'),
        'rules': provenance.get('rules'),
        'box source': provenance.get('box_source'),
        'score rule': provenance.get('score_rule'),
        'T': provenance.get('num_frames'),
        'LR size (w, h)': provenance.get('lr_size'),
        'degradation': provenance.get('degradation'),
    }
    lines = [f'{name}: {NOT_SAID if value is None else value}' for name, value in known.items()]
    text = '; '.join(lines)
    text += (
        f'\nevaluated {counts["videos"]} videos, {counts["frames"]} frames, {counts["persons"]} '
        f'labelled and {counts["predictions"]} predicted persons'
        f'\ndropped: {counts["persons_without_head_box"]} persons without a head box, '
        f'{counts["frames_without_head_box"]} frames with no other person, with their predictions'
    )
    if counts['frames_without_predictions']:
        text += (
            f'\nwarning: {counts["frames_without_predictions"]} frames with labelled joints have '
            'no prediction, their persons count as missed: does the data set leave them out '
            '(sample_interval, indices), or the detector?'
        )
    if counts['tied_scores']:
        text += (
            f'\n{counts["tied_scores"]} scores are shared by true and false positives: '
            'AP depends on the order of videos'
        )
    if counts['joints_unseen']:
        text += (
            f'\nwarning: {counts["joints_unseen"]} labelled joints are marked as not visible (0) '
            'and have coordinates: poseval counts them as labelled, training does not'
        )
    return text
