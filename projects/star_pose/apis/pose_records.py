"""The poses of a video on disk: one line a frame while they come, whole files at the end."""

from __future__ import annotations

import csv
import json
import os
import os.path as osp
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..datasets.errors import LabelError
from ..engine.outputs import whole_file
from ..posetrack.joints import KEYPOINTS
from .video_pose_frame import VideoPoseFrame

__all__ = [
    'FORMATS',
    'PoseJournal',
    'as_record',
    'coco_document',
    'read_journal',
    'write_format',
]


class PoseJournal:
    """Writes frames as JSON Lines, each at once on the disk, so that nothing found is ever lost.

    The first line is the header; a frame's line holds ``frame``, ``time`` in seconds, ``name``,
    ``size`` (w, h) and ``people``, each with ``track_id`` (-1 for none), ``box`` (x1 y1 x2 y2),
    ``box_score`` and ``keypoints``, a list of [x, y, score]. Behind damage in a video, where the
    numbers are a guess, it also holds ``certain``, false.

    Args:
        path: The file.
        header: ``video``, ``joints``, ``skeleton`` and ``info``.
        records: Lines of an earlier run that come first.
    """

    def __init__(self, path: str, header: Mapping, records: Sequence[Mapping] = ()):
        with whole_file(path) as file:  # an earlier journal stays until its lines are here
            file.writelines(json.dumps(line) + '\n' for line in (header, *records))
        self._file = open(path, 'a', encoding='utf-8')  # noqa: SIM115

    def add(self, record: Mapping) -> None:
        """Append a frame, as :func:`as_record` gives it."""
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()


def as_record(frame: VideoPoseFrame) -> dict:
    """A frame as a line of the journal."""
    h, w = frame.image.shape[:2]
    people = [
        {
            'track_id': int(frame.track_ids[person]),
            'box': _rounded(frame.boxes[person]),
            'box_score': round(float(frame.box_scores[person]), 4),
            'keypoints': [
                [*_rounded(point), round(float(score), 4)]
                for point, score in zip(frame.keypoints[person], frame.scores[person], strict=True)
            ],
        }
        for person in range(len(frame.boxes))
    ]
    record = {
        'frame': frame.index,
        'time': round(frame.time, 6),
        'name': frame.name,
        'size': [w, h],
        'people': people,
    }
    return record if frame.certain else {**record, 'certain': False}


def read_journal(path: str) -> tuple[dict, list[dict]]:
    """Header and frames of a journal; a last line that was cut off is left out.

    Raises:
        LabelError: If it is no journal.
    """
    records = []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                if line.endswith('\n'):
                    raise LabelError(f'{path}, line {number + 1}: {error}') from error
    if not records or 'joints' not in records[0]:
        raise LabelError(f'{path} does not begin with the header of a journal of poses')
    return records[0], records[1:]


def coco_document(header: Mapping, records: Sequence[Mapping]) -> dict:
    """COCO form, as COCO's tools and our data sets read it.

    As in PoseTrack's files, ``scores`` holds the scores of the joints, the third value of a
    keypoint is 1, and ``track_id`` numbers the people; it is absent for untracked ones. An image
    whose number is a guess, behind damage in a video, has ``certain``, false.
    """
    images, annotations = [], []
    for record in records:
        images.append(
            {
                'id': record['frame'],
                'file_name': record['name'],
                'width': record['size'][0],
                'height': record['size'][1],
                'vid_id': header['video'],
                'frame_id': record['frame'],
                'nframes': len(records),
                'time': record['time'],
                **({} if record.get('certain', True) else {'certain': False}),
            }
        )
        for person in record['people']:
            x1, y1, x2, y2 = person['box']
            annotation = {
                'id': len(annotations),
                'image_id': record['frame'],
                'category_id': 1,
                'iscrowd': 0,
                'bbox': _rounded([x1, y1, x2 - x1, y2 - y1]),
                'area': round((x2 - x1) * (y2 - y1), 2),
                'score': person['box_score'],
                'keypoints': [value for x, y, _ in person['keypoints'] for value in (x, y, 1)],
                'num_keypoints': len(person['keypoints']),
                'scores': [score for _, _, score in person['keypoints']],
            }
            if person['track_id'] >= 0:
                annotation['track_id'] = person['track_id']
            annotations.append(annotation)
    category = {'id': 1, 'name': 'person', 'keypoints': list(header['joints'])}
    category['skeleton'] = [[a + 1, b + 1] for a, b in header['skeleton']]
    return {
        'info': header['info'],
        'categories': [category],
        'images': images,
        'annotations': annotations,
    }


def _write_coco(path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    with whole_file(path) as file:
        json.dump(coco_document(header, records), file)


def _write_posetrack(path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    """PoseTrack's json of a video; untracked people are left out, as the format asks for ids.

    Images are named with their folder, which is the video to PoseTrack.
    """
    names = list(header['joints'])
    tracked = [
        {
            **record,
            'name': record['name']
            if '#' in record['name']
            else f'{header["video"]}/{record["name"]}',
            'people': [
                {**person, 'keypoints': posetrack_joints(names, person['keypoints'])}
                for person in record['people']
                if person['track_id'] >= 0
            ],
        }
        for record in records
    ]
    document = coco_document({**header, 'joints': KEYPOINTS, 'skeleton': []}, tracked)
    with whole_file(path) as file:
        json.dump(document, file)


def posetrack_joints(names: Sequence[str], keypoints: Sequence[Sequence[float]]) -> list:
    """A person's joints in PoseTrack's order.

    A joint set without ``head_bottom`` and ``head_top``, such as COCO's, gets them from the nose
    and the middle of the shoulders: the chin lies halfway between, the crown as far above the nose
    as the chin lies below it, and a half more.

    Args:
        names: Of the joints.
        keypoints: [x, y, score] of each.

    Raises:
        LabelError: If a joint is missing that cannot be derived.
    """
    found = {name: np.asarray(point, float) for name, point in zip(names, keypoints, strict=True)}
    if {'nose', 'left_shoulder', 'right_shoulder'} <= found.keys():
        neck = (found['left_shoulder'] + found['right_shoulder']) / 2
        chin = (found['nose'] + neck) / 2
        crown = found['nose'] + 1.5 * (found['nose'] - chin)
        for name, point in (('head_bottom', chin), ('head_top', crown)):
            point[2] = min(found['nose'][2], neck[2])
            found.setdefault(name, point)
    missing = [name for name in KEYPOINTS if name not in found]
    if missing:
        raise LabelError(f'the model has no {", ".join(missing)}: PoseTrack needs these joints')
    return [[*_rounded(found[name][:2]), round(float(found[name][2]), 4)] for name in KEYPOINTS]


def _write_csv(path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    """One line a person and frame."""
    columns = ['frame', 'time', 'name', 'track_id', 'box_score', 'x1', 'y1', 'x2', 'y2']
    for joint in header['joints']:
        columns += [f'{joint}_x', f'{joint}_y', f'{joint}_score']
    with whole_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for record in records:
            place = [record['frame'], record['time'], record['name']]
            for person in record['people']:
                values = [value for point in person['keypoints'] for value in point]
                writer.writerow(
                    [*place, person['track_id'], person['box_score'], *person['box'], *values]
                )


def _write_npz(path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    """Arrays over the P people of all frames, and over the F frames."""
    people = [(record, person) for record in records for person in record['people']]
    points = np.array([person['keypoints'] for _, person in people], float)
    points = points.reshape(len(people), len(header['joints']), 3)
    with whole_file(path, 'wb') as file:
        np.savez_compressed(
            file,
            joints=np.array(header['joints']),
            frame=np.array([record['frame'] for record, _ in people], int),
            time=np.array([record['time'] for record, _ in people], float),
            track_ids=np.array([person['track_id'] for _, person in people], int),
            boxes=np.array([person['box'] for _, person in people], float).reshape(-1, 4),
            box_scores=np.array([person['box_score'] for _, person in people], float),
            keypoints=points[..., :2],
            scores=points[..., 2],
            frames=np.array([record['frame'] for record in records], int),
            times=np.array([record['time'] for record in records], float),
        )


def _write_mot(path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    """MOTChallenge's text: frame from 1, id, left, top, width, height, confidence, -1, -1, -1."""
    with whole_file(path) as file:
        for record in records:
            for person in record['people']:
                x1, y1, x2, y2 = person['box']
                box = ','.join(f'{value:.2f}' for value in (x1, y1, x2 - x1, y2 - y1))
                place = f'{record["frame"] + 1},{person["track_id"]}'
                file.write(f'{place},{box},{person["box_score"]:.4f},-1,-1,-1\n')


FORMATS: dict[str, tuple[str, Callable]] = {
    'coco': ('.json', _write_coco),
    'posetrack': ('.posetrack.json', _write_posetrack),
    'csv': ('.csv', _write_csv),
    'npz': ('.npz', _write_npz),
    'mot': ('.mot.txt', _write_mot),
}
"""From the name of a format to the ending of its files and what writes them."""


def write_format(name: str, path: str, header: Mapping, records: Sequence[Mapping]) -> None:
    """Write a whole file of poses.

    Args:
        name: One of :data:`FORMATS`.
        path: The file; it appears when it is complete.
        header: Of a journal.
        records: Its frames.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    FORMATS[name][1](path, header, records)


def _rounded(values: Sequence[float], digits: int = 2) -> list[float]:
    return [round(float(value), digits) for value in values]
