"""Detected person boxes, in the COCO result form that MMPose's ``bbox_file`` takes."""

from collections.abc import Iterable

import numpy as np

from ...posetrack.tables import is_id
from ..errors import LabelError
from ..skipping_dataset import SkipPolicy
from .label_faults import detection_fault
from .label_files import read_json

__all__ = ['person_categories', 'read_detected_persons']

_PEOPLE = ('person', 'people', 'pedestrian', 'human', 'player', 'man', 'woman')


def person_categories(used: Iterable, categories: list[dict] | None, path: str) -> set:
    """Which categories of a file of boxes are people.

    Detectors number their classes from 1, as COCO does, or from 0.

    Args:
        used: The ``category_id`` of every entry that has one.
        categories: The file's list of categories, where it has one: their names decide.
        path: The file, for messages.

    Returns:
        Their ids. Without names 1, or 0 where that occurs: a list that counts from 0.

    Raises:
        LabelError: No category, or no entry, is of people.
    """
    used = set(used)
    if categories:
        names = {one.get('id'): str(one.get('name', '')).lower() for one in categories}
        people = {number for number, name in names.items() if name in _PEOPLE}
        people = people or (set(names) if len(names) == 1 else set())
        if not people:
            raise LabelError(
                f'{path}: none of the categories {sorted(names.values())} is a person; name the '
                'one that holds the people "person"'
            )
        return people
    person = 0 if 0 in used else 1
    if used and person not in used:
        raise LabelError(
            f'{path}: category_id is one of {sorted(map(str, used))[:8]}, never that of people: 1, '
            'or 0 where classes count from 0'
        )
    return {person}


def read_detected_persons(
    path: str, images: dict, num_keypoints: int, skips: SkipPolicy, counts: dict[str, int]
) -> list[dict]:
    """Read detections as samples; the joints are placeholders, as in MMPose, but not labelled.

    Args:
        path: A json file: a list of dicts with ``image_id``, ``category_id``, ``bbox`` (xywh, px)
            and ``score``.
        images: Image id -> image entry with ``img_path``, ``width`` and ``height``.
        num_keypoints: Number of joints K of the placeholders.
        skips: What happens with unusable entries.
        counts: Gets the numbers of used detections, of those in other images, of other classes
            and of crowd regions.

    Returns:
        One sample a detection, in the file's order.

    Raises:
        LabelError: The file is no list of detections or fits none of the images.
    """
    detections = read_json(path)
    if not isinstance(detections, list) or not all(isinstance(one, dict) for one in detections):
        raise LabelError(
            f'{path} holds a {type(detections).__name__}, not a list of detections with image_id, '
            'category_id, bbox (xywh) and score'
        )
    for entry in detections:
        for field in ('image_id', 'category_id'):
            if not is_id(entry.get(field, 1)):
                raise LabelError(
                    f'{path}: {field} is {entry[field]!r:.80}, neither a whole number nor text'
                )
    used = (entry['category_id'] for entry in detections if 'category_id' in entry)
    people = person_categories(used, None, path)
    found = [one for one in detections if 'category_id' not in one or one['category_id'] in people]
    persons = [one for one in found if not one.get('iscrowd')]
    known = [entry for entry in persons if entry.get('image_id') in images]
    if not known:
        ids = ', '.join(repr(one.get('image_id')) for one in persons[:2])
        raise LabelError(
            f'None of the {len(persons)} detected persons in {path} is in an image of the label '
            f'file (image_id {ids}; the labels have {next(iter(images), None)!r}): do they belong '
            'to another label version?'
        )
    samples = []
    for detection in known:
        image = images[detection['image_id']]
        fault = detection_fault(detection, image)
        if fault:
            skips.reject_label(LabelError(f'{path}: {fault}'), 'bad detections')
            continue
        samples.append(_sample(detection, image, num_keypoints, len(samples)))
    skips.check_labels(len(persons))
    counts['detected persons'] = len(samples)
    counts['detections in other images'] = len(persons) - len(known)
    counts['detections of other classes'] = len(detections) - len(found)
    counts['detected crowds'] = len(found) - len(persons)
    return samples


def _sample(detection: dict, image: dict, num_keypoints: int, position: int) -> dict:
    x, y, width, height = detection['bbox'][:4]
    return dict(
        id=position,
        img_id=image['id'],
        img_path=image['img_path'],
        img_shape=(image['height'], image['width']),
        bbox=np.array([[x, y, x + width, y + height]], dtype=np.float32),
        bbox_score=np.array([detection['score']], dtype=np.float32),
        keypoints=np.zeros((1, num_keypoints, 2), dtype=np.float32),
        keypoints_visible=np.zeros((1, num_keypoints), dtype=np.float32),
        category_id=np.array(1),
        area=np.array(width * height, dtype=np.float32),
        iscrowd=0,
    )
