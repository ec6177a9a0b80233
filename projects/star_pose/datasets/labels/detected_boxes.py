"""Detected person boxes, in the COCO result form that MMPose's ``bbox_file`` takes."""

import numpy as np

from ..errors import LabelError
from ..skip_policy import SkipPolicy
from .label_faults import detection_fault
from .label_files import read_json

__all__ = ['read_detected_persons']


def read_detected_persons(
    path: str, images: dict, num_keypoints: int, skips: SkipPolicy, counts: dict[str, int]
) -> list[dict]:
    """Read detections as samples; the joints are placeholders, as in MMPose.

    Args:
        path: A json file: a list of dicts with ``image_id``, ``category_id``, ``bbox`` (xywh, px)
            and ``score``.
        images: Image id -> image entry with ``img_path``, ``width`` and ``height``.
        num_keypoints: Number of joints K of the placeholders.
        skips: What happens with unusable entries.
        counts: Gets the numbers of used detections and of those in other images.

    Returns:
        One sample a detection, in the file's order.

    Raises:
        LabelError: The file is no list of detections or fits none of the images.
    """
    detections = read_json(path)
    if not isinstance(detections, list):
        raise LabelError(
            f'{path} holds a {type(detections).__name__}, not a list of detections with image_id, '
            'category_id, bbox (xywh) and score'
        )
    persons = [entry for entry in detections if entry.get('category_id', 1) == 1]
    known = [entry for entry in persons if entry.get('image_id') in images]
    if not known:
        raise LabelError(
            f'None of the {len(persons)} detected persons in {path} is in an image of the label '
            'file: do they belong to another label version?'
        )
    samples = []
    for detection in known:
        fault = detection_fault(detection)
        if fault:
            skips.reject_label(LabelError(f'{path}: {fault}'), 'bad detections')
            continue
        image = images[detection['image_id']]
        samples.append(_sample(detection, image, num_keypoints, len(samples)))
    skips.check_labels(len(persons))
    counts['detected persons'] = len(samples)
    counts['detections in other images'] = len(persons) - len(known)
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
        keypoints_visible=np.ones((1, num_keypoints), dtype=np.float32),
        category_id=np.array(1),
        area=np.array(width * height, dtype=np.float32),
        iscrowd=0,
    )
