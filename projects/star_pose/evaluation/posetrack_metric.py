"""PoseTrack AP and MOTA as a metric of MMPose."""

import logging
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from mmpose.registry import METRICS, TASK_UTILS

from ..posetrack.evaluate import (
    PoseTrackResult,
    describe,
    evaluate,
    latex_row,
    merge_results,
    summary_table,
    video_table,
)
from ..posetrack.joints import KEYPOINTS
from ..posetrack.read_labels import parse_ground_truth, read_ground_truth
from ..posetrack.score_ap import RULES
from ..posetrack.tables import (
    NO_TRACK,
    FrameFinder,
    FrameTable,
    PoseTable,
    PoseTrackError,
    Problem,
    joint_columns,
    repeated_tracks,
)
from ..posetrack.write_submission import write_submission
from .clip_metric import SampleMetric, label_boxes, to_numpy

__all__ = ['PoseTrackMetric']

SCORE_RULES = ('heatmap_max', 'heatmap_max_x_box', 'mean')


@METRICS.register_module()
class PoseTrackMetric(SampleMetric):
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
        per_video: Also log a table by video.
        missing_videos: What to do when labelled videos have no sample at all: ``'error'``, or
            ``'skip'`` to evaluate the others only.
        format_only: Write the submission and evaluate nothing; then ``submission`` is needed.
        submission: Folder to write the official per-video files to; with tracks, they hold the
            persons that have one.
        **kwargs: Of :class:`SampleMetric`; ``out_file`` gets all numbers.

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
        per_video: bool = False,
        missing_videos: str = 'error',
        format_only: bool = False,
        submission: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
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
        self.per_video = per_video
        self.missing_videos = missing_videos
        self.format_only = format_only
        self.submission = submission

    def measure(self, sample: dict) -> dict:
        """Keep what the evaluation needs of one data sample.

        Args:
            sample: ``pred_instances`` with ``keypoints`` (n, K, 2), ``keypoint_scores`` (n, K), and
                as far as there ``bbox_scores`` (n,), ``bboxes`` (n, 4) and ``track_ids`` (n,);
                ``img_id``, ``img_path``, and ``raw_ann_info`` for want of an annotation file.

        Returns:
            A dict of arrays and plain values that can be sent between processes.

        Raises:
            PoseTrackError: When predictions, their scores or the labels are missing.
        """
        name = str(sample.get('img_path', sample.get('img_id', '')))
        record = {
            'img_id': sample.get('img_id'),
            'name': name,
            'person': f'(id {sample.get("id")})',
        }

        def require(container: dict, key: str, remedy: str):
            if key not in container:
                raise PoseTrackError([problem(record, f'no {key!r}: {remedy}')])
            return container[key]

        predictions = require(sample, 'pred_instances', 'the model returned no prediction')
        for key, remedy in (
            ('keypoints', 'the model returned no pose'),
            ('keypoint_scores', 'AP ranks joints by their scores'),
        ):
            record[key] = to_numpy(require(predictions, key, remedy)).astype(np.float64)
        num, truth = len(record['keypoints']), sample.get('gt_instances', {})
        for key, neutral in (
            ('bbox_scores', np.ones(num)),
            ('bboxes', np.full((num, 4), np.nan)),
            ('track_ids', np.full(num, NO_TRACK)),
        ):
            source = truth if key not in predictions and key != 'track_ids' else predictions
            given = key in source and len(source[key]) == num
            record[key] = to_numpy(source[key]) if given else neutral
        if 'raw_ann_info' in sample and len(boxes := label_boxes(sample)) == num:
            record['bboxes'] = boxes  # the model's are those of the crop, which may be larger
        if self.ann_file is None and not self.format_only:
            labels = require(sample, 'raw_ann_info', 'detected boxes need ann_file in the metric')
            labels = [ann for ann in (labels if isinstance(labels, list) else [labels]) if ann]
            record['labels'] = labels
        return record

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Evaluate the records of all ranks.

        Args:
            results: What ``process`` kept.

        Returns:
            The metrics that the class description lists; nothing with ``format_only``.

        Raises:
            PoseTrackError: With every fault of the predictions, naming video, frame and person.
        """
        records, facts = merge_results(results)
        if self.ann_file is not None:
            frames, truth = read_ground_truth(self.ann_file)
        else:
            frames, truth = self.sampled_truth(records)
        persons, tracked = self.read_persons(records, frames)
        if self.submission is not None:
            # The files of a tracking submission hold what is tracked.
            files = write_submission(
                frames, tracked if tracked is not None else persons, self.submission
            )
            MMLogger.get_current_instance().info(f'{len(files)} files of a submission: {files[-1]}')
        if self.format_only:
            return {}
        self.check_videos(frames, persons)
        facts['score_rule'] = self.score_rule
        facts['tracker'] = self.tracker_name
        facts['dataset'] = (self.dataset_meta or {}).get('dataset_name')
        result = evaluate(
            frames,
            truth,
            persons,
            rules=self.rules,
            tracked=tracked,
            per_video=self.per_video,
            provenance=facts,
        )
        self.log(result)
        if self.out_file is not None:
            result.write(self.out_file)
        return result.total.metrics()

    def keypoint_names(self) -> list[str]:
        """Return the data set's keypoint names in order, PoseTrack's when it does not tell."""
        names = (self.dataset_meta or {}).get('keypoint_id2name')
        return [names[i] for i in range(len(names))] if names else list(KEYPOINTS)

    def sampled_truth(self, records: list[dict]) -> tuple[FrameTable, PoseTable]:
        """Make tables of the labels that samples carry; a frame is known by its path alone."""
        images = {record['name']: record['img_id'] for record in records}
        labels = {
            'images': [{'id': name, 'file_name': name} for name in images],
            'annotations': [
                {**ann, 'image_id': record['name']}
                for record in records
                for ann in record.get('labels', [])
            ],
            'categories': [{'keypoints': self.keypoint_names()}],
        }
        frames, truth = parse_ground_truth([('samples', labels)], merged=True)
        frames.names = ['/'.join(Path(name).parts[-2:]) for name in frames.names]
        frames.ids = [images[name] for name in frames.ids]
        return frames, truth

    def read_persons(
        self, records: list[dict], frames: FrameTable
    ) -> tuple[PoseTable, PoseTable | None]:
        """Make tables of the predicted persons: all, and those with a track if there are tracks."""
        persons = self.predicted_table(records, frames)
        if self.tracker is not None:
            persons.track_ids = self.run_tracker(persons, frames)
        has_track = persons.track_ids != NO_TRACK
        # A tracker that keeps nobody still has a MOTA; a key that comes and goes breaks save_best.
        if self.tracker is None and not has_track.any():
            return persons, None
        tracked = persons.take(has_track)
        weak = tracked.scores < self.track_joint_thr
        tracked.points[weak], tracked.flags[weak] = 0.0, 0.0
        return persons, tracked

    def predicted_table(self, records: list[dict], frames: FrameTable) -> PoseTable:
        """Turn records into a table of persons.

        Raises:
            PoseTrackError: For every coordinate or score that is not finite, every unknown frame
                and every repeated track.
            ValueError: When the model's keypoints are not those that the data set names.
        """
        names = self.keypoint_names()
        columns, finder = joint_columns(names), FrameFinder(frames)
        rows, kept, people, problems = [], [], [], []
        for record in records:
            keypoints, scores = record['keypoints'], record['keypoint_scores']
            if keypoints.shape[1] != len(names):
                raise ValueError(
                    f'the model predicts {keypoints.shape[1]} keypoints, the data set names '
                    f'{len(names)}: {names}'
                )
            row, fault = finder.find(None, record['img_id'], record['name'])
            if not np.isfinite(keypoints).all():
                fault = 'a coordinate is NaN or infinite'
            elif not np.isfinite(scores).all():
                fault = 'a joint has no score (AP ranks joints by "scores")'
            if fault:
                problems.append(problem(record, fault))
                continue
            rows += [row] * len(keypoints)
            kept.append(record)
            suffix = [f', instance {i}' for i in range(len(keypoints))]
            suffix = suffix if len(keypoints) > 1 else [''] * len(keypoints)
            people += [record['person'].replace(')', f'{text})') for text in suffix]

        def column(key: str, *shape: int) -> np.ndarray:
            return np.concatenate([np.zeros((0, *shape)), *(record[key] for record in kept)])

        scores, box_scores = column('keypoint_scores', len(names)), column('bbox_scores')
        if self.score_rule == 'heatmap_max_x_box':
            # A person's score is that of its box times the mean of its joints: now in the joints.
            scores, box_scores = scores * box_scores[:, None], np.ones_like(box_scores)
        elif self.score_rule == 'mean':
            scores = np.repeat(scores.mean(axis=1, keepdims=True), len(names), axis=1)
        persons = PoseTable.from_columns(
            rows,
            column('keypoints', len(names), 2)[:, columns],
            scores=scores[:, columns],
            track_ids=column('track_ids'),
            names=people,
            boxes=column('bboxes', 4),
            box_scores=box_scores,
        )
        problems += repeated_tracks(frames, persons)
        if problems:
            raise PoseTrackError(problems)
        return persons

    def run_tracker(self, persons: PoseTable, frames: FrameTable) -> np.ndarray:
        """Number the persons of every video by the configured tracker, (P,)."""
        from ..tracking import track_videos

        frames.require_order()
        return track_videos(
            self.tracker,
            frames.video[persons.frame],
            frames.times[persons.frame],
            persons.points,
            persons.scores,
            persons.boxes if np.isfinite(persons.boxes).all() else None,
            persons.box_scores,
        )

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

    def log(self, result: PoseTrackResult) -> None:
        """Log the table that ends a test, and what it was made with."""
        text = ['PoseTrack', summary_table(result), latex_row(result)]
        text += [video_table(result)] if self.per_video else []
        text.append(describe(result.counts, result.provenance))
        doubtful = result.counts['joints_unseen'] or result.counts['frames_without_predictions']
        level = logging.WARNING if doubtful else logging.INFO
        MMLogger.get_current_instance().log(level, '\n'.join(text))


def problem(record: dict, what: str) -> Problem:
    """Describe a fault of a sample by the folder and the file of its image."""
    path = Path(record['name'])
    return Problem(path.parent.name, what, path.name, record['person'])
