"""PoseTrack AP and MOTA as a metric of MMPose."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmpose.registry import METRICS, TASK_UTILS

from ..posetrack.evaluate import PoseTrackResult, evaluate
from ..posetrack.labels import parse_ground_truth, read_ground_truth
from ..posetrack.matching import RULES
from ..posetrack.nms import oks_nms_rows
from ..posetrack.predictions import check_persons
from ..posetrack.report import describe, latex_row, summary_table, video_table, write_json
from ..posetrack.submission import write_submission
from ..posetrack.tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError, Problem
from .posetrack_samples import (
    SCORE_RULES,
    collect_provenance,
    documents_of_records,
    predicted_table,
    record_sample,
    unique_records,
)

__all__ = ['PoseTrackMetric']


@METRICS.register_module()
class PoseTrackMetric(BaseMetric):
    """AP per joint group as poseval computes it, and MOTA when the predictions carry tracks.

    Keys: ``AP``, ``Head AP``, ``Shou AP``, ``Elb AP``, ``Wri AP``, ``Hip AP``, ``Knee AP``,
    ``Ankl AP``, ``Precision``, ``Recall`` and, with tracks, ``MOTA``, ``MOTP``, ``Head MOTA`` and
    so on; in percent, under the prefix ``posetrack``. So ``save_best='posetrack/AP'``.

    Args:
        ann_file: Ground truth: the official folder or a merged file. Without it the labels come
            from the samples, which carry no ignore regions and none of the persons that the data
            set left out.
        score_rule: What ranks the joints: ``'heatmap_max'`` (the model's joint score, MMPose's
            habit), ``'heatmap_max_x_box'`` (times the box score) or ``'mean'`` (the person's mean).
        rules: ``'posetrack18'`` (poseval) or ``'posetrack21'``.
        tracker: Config of a registered tracker, such as ``dict(type='PoseTracker')``; it numbers
            the persons of each video before MOTA is computed.
        track_joint_thr: Joints with a lower score are left out of MOTA (not of AP), where each is
            a possible false positive.
        nms_thr: OKS above which the lower-ranked of two persons in a frame is dropped; None keeps
            all.
        box_source: What to print as the source of boxes; by default what the samples tell.
        per_video: Also log a table by video.
        missing_videos: What to do when labelled videos have no sample at all: ``'error'``, or
            ``'skip'`` to evaluate the others only.
        format_only: Write the submission and evaluate nothing; then ``submission`` is needed.
        submission: Folder to write the official per-video files to; with tracks, they hold the
            persons that have one.
        zipped: Also zip that folder.
        out_file: Json file for the result with its provenance.
        collect_device: See MMEngine's ``BaseMetric``.
        prefix: See MMEngine's ``BaseMetric``.

    Raises:
        ValueError: When an argument has none of its values.
    """

    default_prefix = 'posetrack'

    def __init__(
        self,
        ann_file: str | None = None,
        *,
        score_rule: str = 'heatmap_max',
        rules: str = 'posetrack18',
        tracker: dict | None = None,
        track_joint_thr: float = 0.0,
        nms_thr: float | None = None,
        box_source: str | None = None,
        per_video: bool = False,
        missing_videos: str = 'error',
        format_only: bool = False,
        submission: str | None = None,
        zipped: bool = False,
        out_file: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        for name, value, choices in (
            ('score_rule', score_rule, SCORE_RULES),
            ('rules', rules, RULES),
            ('missing_videos', missing_videos, ('error', 'skip')),
        ):
            if value not in choices:
                raise ValueError(f'{name}={value!r} is unknown: use one of {choices}')
        if format_only and submission is None:
            raise ValueError('format_only=True writes a submission: set submission to its folder')
        if ann_file is not None and not Path(ann_file).exists():
            raise FileNotFoundError(f'ann_file={ann_file} does not exist: give a folder or a file')
        self.ann_file = ann_file
        self.score_rule = score_rule
        self.rules = rules
        self.tracker = TASK_UTILS.build(tracker) if tracker else None
        self.tracker_name = tracker['type'] if tracker else None
        self.track_joint_thr = track_joint_thr
        self.nms_thr = nms_thr
        self.box_source = box_source
        self.per_video = per_video
        self.missing_videos = missing_videos
        self.format_only = format_only
        self.submission = submission
        self.zipped = zipped
        self.out_file = out_file

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep one record of each sample of a batch.

        Args:
            data_batch: The batch, read for the size of the inputs.
            data_samples: The model's outputs, see ``record_sample``.
        """
        inputs = (data_batch or {}).get('inputs')
        for i, sample in enumerate(data_samples):
            image = inputs[i] if inputs is not None and i < len(inputs) else None
            with_truth = self.ann_file is None and not self.format_only
            self.results.append(record_sample(sample, image, with_truth=with_truth))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Evaluate the records of all ranks.

        Args:
            results: What ``process`` kept.

        Returns:
            The metrics that the class description lists; nothing with ``format_only``.

        Raises:
            PoseTrackError: With every fault of the predictions, naming video, frame and person.
        """
        records = unique_records(results)
        if self.ann_file is not None:
            frames, truth = read_ground_truth(self.ann_file)
        else:
            frames, truth = parse_ground_truth(documents_of_records(records), merged=False)
        persons, tracked = self.read_persons(records, frames)
        if self.submission is not None:
            # The files of a tracking submission hold what is tracked.
            written = tracked if tracked is not None else persons
            files = write_submission(frames, written, self.submission, zipped=self.zipped)
            MMLogger.get_current_instance().info(f'{len(files)} files of a submission: {files[-1]}')
        if self.format_only:
            return {}
        self.check_videos(frames, persons)
        result = evaluate(
            frames,
            truth,
            persons,
            rules=self.rules,
            tracked=tracked,
            per_video=self.per_video,
            provenance=self.provenance(records),
        )
        self.log(result)
        if self.out_file is not None:
            write_json(result, self.out_file)
        return result.total.metrics()

    def check_videos(self, frames: FrameTable, persons: PoseTable) -> None:
        """Raise for labelled videos without predictions, or mark them as not evaluated."""
        covered = np.isin(np.arange(len(frames.videos)), frames.video[persons.frame])
        wanted = np.isin(np.arange(len(frames.videos)), frames.video[frames.annotated])
        missing = [frames.videos[row] for row in np.flatnonzero(wanted & ~covered)]
        if missing and self.missing_videos == 'error':
            what = "no predictions; missing_videos='skip' evaluates the other videos alone"
            raise PoseTrackError([Problem(name, what) for name in missing])
        frames.annotated &= covered[frames.video]
        frames.labelled &= covered[frames.video]

    def read_persons(
        self, records: list[dict], frames: FrameTable
    ) -> tuple[PoseTable, PoseTable | None]:
        """Make tables of the predicted persons: all, and those with a track if there are tracks."""
        persons, boxes, box_scores, problems = predicted_table(
            records, frames, self.score_rule, self.keypoint_names()
        )
        problems += check_persons(frames, persons)
        if problems:
            raise PoseTrackError(problems)
        if self.score_rule == 'heatmap_max_x_box':
            box_scores = np.ones_like(box_scores)  # the joint scores hold them already
        if self.nms_thr is not None:
            kept = oks_nms_rows(persons, boxes, box_scores, self.nms_thr)
            persons, boxes, box_scores = persons.take(kept), boxes[kept], box_scores[kept]
        if self.tracker is not None:
            persons.track_ids = self.run_tracker(persons, boxes, box_scores, frames)
        has_track = persons.track_ids != NO_TRACK
        # A tracker that keeps nobody still has a MOTA; a key that comes and goes breaks save_best.
        if self.tracker is None and not has_track.any():
            return persons, None
        tracked = persons.take(has_track)
        weak = tracked.scores < self.track_joint_thr
        tracked.points[weak], tracked.flags[weak] = 0.0, 0.0
        return persons, tracked

    def run_tracker(
        self, persons: PoseTable, boxes: np.ndarray, box_scores: np.ndarray, frames: FrameTable
    ) -> np.ndarray:
        """Number the persons of every video by the configured tracker, (P,)."""
        from ..tracking import track_videos

        first = np.searchsorted(frames.video, frames.video)  # first frame of each frame's video
        known = np.isfinite(boxes).all()
        return track_videos(
            self.tracker,
            frames.video[persons.frame],
            (np.arange(len(frames)) - first)[persons.frame],
            persons.points,
            persons.scores,
            boxes if known else None,
            box_scores,
        )

    def keypoint_names(self) -> list[str] | None:
        """Return the data set's keypoint names in order, None when it does not tell."""
        names = (self.dataset_meta or {}).get('keypoint_id2name')
        return [names[i] for i in range(len(names))] if names else None

    def provenance(self, records: list[dict]) -> dict:
        """Say what the predictions were made with."""
        detected = any(record['detected'] for record in records)
        facts = collect_provenance(records)
        facts['box_source'] = self.box_source or ('detected' if detected else 'ground truth')
        facts['score_rule'] = self.score_rule
        facts['nms_thr'] = self.nms_thr
        facts['tracker'] = self.tracker_name
        facts['dataset'] = (self.dataset_meta or {}).get('dataset_name')
        return facts

    def log(self, result: PoseTrackResult) -> None:
        """Log the table that ends a test, and what it was made with."""
        text = ['PoseTrack', summary_table(result), latex_row(result)]
        text += [video_table(result)] if self.per_video else []
        text.append(describe(result.counts, result.provenance))
        MMLogger.get_current_instance().info('\n'.join(text))
