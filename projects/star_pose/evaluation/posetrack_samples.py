"""From MMPose's data samples to tables: what a metric keeps of a batch, and what it makes of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..posetrack.joints import KEYPOINTS
from ..posetrack.predictions import NOT_FINITE, FrameFinder
from ..posetrack.tables import FrameTable, PoseTable, PoseTrackError, Problem, joint_columns

__all__ = [
    'SCORE_RULES',
    'collect_provenance',
    'documents_of_records',
    'predicted_table',
    'record_sample',
    'unique_records',
]

SCORE_RULES = ('heatmap_max', 'heatmap_max_x_box', 'mean')

# What is looked up in a sample's metainfo when it is there.
VIDEO_KEYS = ('vid_id', 'frame_id', 'nframes')


def video_and_frame(sample: dict) -> tuple[str, str]:
    """Return the names of a sample's video and frame: the folder and the file of its image."""
    path = Path(str(sample.get('img_path', sample.get('img_id', ''))))
    return path.parent.name, path.name


def to_numpy(value) -> np.ndarray:
    """Return a tensor or an array as an array on the CPU."""
    return np.asarray(value.detach().cpu() if hasattr(value, 'detach') else value)


def record_sample(sample: dict, inputs=None, *, with_truth: bool = False) -> dict:
    """Keep what the evaluation needs of one data sample.

    Args:
        sample: Data sample as a dict: ``pred_instances`` with ``keypoints`` (n, K, 2),
            ``keypoint_scores`` (n, K), and as far as there ``bbox_scores`` (n,), ``bboxes`` (n, 4)
            and ``track_ids`` (n,); ``img_id`` and ``id``.
        inputs: The sample's input image or clip (..., h, w), for its size.
        with_truth: Keep the labels too (``raw_ann_info``), for want of an annotation file.

    Returns:
        A dict of arrays and plain values that can be sent between processes.

    Raises:
        PoseTrackError: When predictions, their scores or the labels are missing.
    """
    video, frame = video_and_frame(sample)
    person = f'(id {sample.get("id")})'

    def require(container: dict, key: str, remedy: str):
        if key not in container:
            raise PoseTrackError([Problem(video, f'no {key!r}: {remedy}', frame, person)])
        return container[key]

    predictions = require(sample, 'pred_instances', 'the model returned no prediction')
    keypoints = to_numpy(require(predictions, 'keypoints', 'the model returned no pose'))
    scores = require(predictions, 'keypoint_scores', 'AP ranks joints by their scores')
    record = {
        'id': sample.get('id'),
        'img_id': sample['img_id'],
        'img_path': str(sample.get('img_path', '')),
        'keypoints': keypoints.astype(np.float64),
        'keypoint_scores': to_numpy(scores).astype(np.float64),
        'detected': 'raw_ann_info' not in sample,
        'provenance': sample_provenance(sample, inputs),
        'size': tuple(sample.get('ori_shape', (0, 0)))[:2],
        **{key: sample[key] for key in VIDEO_KEYS if key in sample},
    }
    truth = sample.get('gt_instances', {})
    for key in ('bbox_scores', 'bboxes', 'track_ids'):
        source = predictions if key in predictions or key == 'track_ids' else truth
        if key in source and len(source[key]) == len(keypoints):
            record[key] = to_numpy(source[key])
    if with_truth:
        labels = require(sample, 'raw_ann_info', 'detected boxes need ann_file in the metric')
        record['labels'] = [a for a in (labels if isinstance(labels, list) else [labels]) if a]
    return record


def sample_provenance(sample: dict, inputs) -> dict[str, str]:
    """Say what one prediction was made from, as far as the sample tells."""
    facts = {}
    if 'frame_paths' in sample:
        facts['num_frames'] = str(len(sample['frame_paths']))
    if inputs is not None and hasattr(inputs, 'shape'):
        facts['lr_size'] = f'({inputs.shape[-1]}, {inputs.shape[-2]})'
    if sample.get('degradation') is not None:
        facts['degradation'] = json.dumps(sample['degradation'], sort_keys=True, default=str)
    if 'label_version' in sample:
        facts['label_version'] = str(sample['label_version'])
    return facts


def unique_records(records: Sequence[dict]) -> list[dict]:
    """Drop what distributed samplers add: they fill up the last round with repeated samples."""
    unique = {(record['img_id'], record['id']): record for record in reversed(records)}
    return list(reversed(unique.values()))


def collect_provenance(records: Sequence[dict]) -> dict[str, str]:
    """Gather what all predictions were made from.

    Returns:
        For each fact its value, or how many values there are and one of them.

    Raises:
        PoseTrackError: When samples name different label versions.
    """
    facts: dict[str, dict[str, dict]] = {}
    for record in records:
        for name, value in record['provenance'].items():
            facts.setdefault(name, {}).setdefault(value, record)
    versions = facts.pop('label_version', {})
    if len(versions) > 1:
        what = f'mixed label versions: {sorted(versions)}'
        record = list(versions.values())[1]
        video, frame = video_and_frame(record)
        raise PoseTrackError([Problem(video, what, frame, f'(id {record["id"]})')])
    return {
        name: next(iter(values))
        if len(values) == 1
        else f'{len(values)} different, such as {next(iter(values))}'
        for name, values in facts.items()
    }


def documents_of_records(records: Sequence[dict]) -> list[tuple[str, dict]]:
    """Make annotation documents of the labels that samples carry.

    Ignore regions and frames without a usable person are not in samples; an annotation file has
    them.

    Returns:
        Pairs of a video's name and a document, in the order of the videos' first samples.
    """
    videos: dict[str, dict[str, dict]] = {}
    for record in records:
        name = video_and_frame(record)[0] or str(record.get('vid_id', 'video'))
        video = videos.setdefault(name, {'images': {}, 'annotations': {}})
        height, width = record['size']
        video['images'][record['img_id']] = {
            'id': record['img_id'],
            'file_name': '/'.join(Path(record['img_path']).parts[-2:]),
            'width': width,
            'height': height,
        }
        for ann in record.get('labels', []):
            video['annotations'][ann['id']] = ann
    return [
        (
            name,
            {
                'images': sorted(video['images'].values(), key=lambda image: image['file_name']),
                'annotations': list(video['annotations'].values()),
            },
        )
        for name, video in videos.items()
    ]


def joint_scores(record: dict, rule: str) -> np.ndarray:
    """Return the scores that rank the joints of a record's persons.

    Args:
        record: From ``record_sample``.
        rule: 'heatmap_max': as the model gives them; 'heatmap_max_x_box': times the box score;
            'mean': the mean over the person's joints, for every joint.

    Returns:
        Scores, (n, K).
    """
    scores = record['keypoint_scores']
    if rule == 'heatmap_max_x_box':
        return scores * record.get('bbox_scores', np.ones(len(scores)))[:, None]
    if rule == 'mean':
        return np.repeat(scores.mean(axis=1, keepdims=True), scores.shape[1], axis=1)
    return scores


def predicted_table(
    records: Sequence[dict],
    frames: FrameTable,
    rule: str,
    names: Sequence[str] | None = None,
) -> tuple[PoseTable, np.ndarray, np.ndarray, list[Problem]]:
    """Turn records into a table of predicted persons.

    Args:
        records: From ``record_sample``, without repetitions.
        frames: Frames of the ground truth.
        rule: See ``joint_scores``.
        names: Names of the K keypoints; PoseTrack's 17 when not given.

    Returns:
        The persons, their boxes (P, 4) x1 y1 x2 y2 (NaN where unknown), their box scores (P,), and
        a problem for every sample with a coordinate that is not finite or an unknown frame.

    Raises:
        ValueError: When the keypoints are not those of ``names``.
    """
    columns = joint_columns(names or KEYPOINTS)
    finder = FrameFinder(frames)
    rows, points, scores, tracks, persons, problems = [], [], [], [], [], []
    boxes, box_scores = [], []
    for record in records:
        keypoints = record['keypoints']
        if keypoints.shape[1] != len(names or KEYPOINTS):
            raise ValueError(
                f'the model predicts {keypoints.shape[1]} keypoints, the data set names '
                f'{len(names or KEYPOINTS)}: {list(names or KEYPOINTS)}'
            )
        row = finder.find(None, record['img_id'], record['img_path'])
        fault = NOT_FINITE if not np.isfinite(keypoints).all() else None
        if row is None:
            fault = 'predictions for a frame that the ground truth does not have'
        if fault:
            video, frame = video_and_frame(record)
            problems.append(Problem(video, fault, frame, f'(id {record["id"]})'))
            continue
        number = len(keypoints)
        rows += [row] * number
        points.append(keypoints[:, columns])
        scores.append(joint_scores(record, rule)[:, columns])
        tracks += record['track_ids'].tolist() if 'track_ids' in record else [-1] * number
        boxes.append(record.get('bboxes', np.full((number, 4), np.nan)))
        box_scores.append(record.get('bbox_scores', np.ones(number)))
        suffix = [f', instance {i}' for i in range(number)] if number > 1 else ['']
        persons += [f'(id {record["id"]}{text})' for text in suffix[:number]]
    order = np.argsort(np.array(rows, dtype=np.int64), kind='stable')
    table = PoseTable.from_columns(
        rows,
        np.concatenate([np.zeros((0, 15, 2)), *points]),
        scores=np.concatenate([np.zeros((0, 15)), *scores]),
        track_ids=tracks,
        names=persons,
    )
    all_boxes = np.concatenate([np.zeros((0, 4)), *boxes])[order]
    return table, all_boxes, np.concatenate([np.zeros(0), *box_scores])[order], problems
