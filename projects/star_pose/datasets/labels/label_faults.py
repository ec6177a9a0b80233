"""What can be wrong with one label entry; the data sets refuse it, the check tool counts it."""

import numpy as np

__all__ = [
    'annotation_fault',
    'detection_fault',
    'num_labelled',
    'outside_share',
    'serve_coco_metric',
]


def num_labelled(annotation: dict) -> int:
    """Number of labelled joints: those whose third value is above 0.

    Args:
        annotation: A COCO-form annotation.

    Returns:
        The number; 0 without keypoints.
    """
    flags = (annotation.get('keypoints') or [])[2::3]
    return sum(isinstance(flag, (int, float)) and flag > 0 for flag in flags)


def annotation_fault(annotation: dict, image: dict, num_keypoints: int) -> tuple[str, str] | None:
    """What makes a labelled annotation unusable as a sample.

    Args:
        annotation: A COCO-form annotation with at least one labelled joint.
        image: Its image entry, with ``width`` and ``height``.
        num_keypoints: Number of joints of the data set.

    Returns:
        The kind of the fault and a description; None when nothing is wrong.
    """
    values, box = annotation['keypoints'], annotation.get('bbox')
    if len(values) != 3 * num_keypoints:
        return 'bad annotations', f'{len(values)} keypoint values instead of 3 x {num_keypoints}'
    if not box or len(box) != 4:
        return 'bad annotations', f'bbox must be [x, y, width, height], got {box}'
    if not _are_finite([*values, *box]):
        return 'bad annotations', 'a keypoint or box value is no finite number'
    if outside_share(box, image) == 1:
        where = f'{image["width"]}x{image["height"]} image {image["file_name"]}'
        return 'boxes outside images', f'bbox {box} has no area inside its {where}'
    return None


def detection_fault(detection: dict) -> str:
    """What makes a detection of a COCO result file unusable.

    Args:
        detection: One entry.

    Returns:
        A description; an empty string when nothing is wrong.
    """
    box = detection.get('bbox')
    if not box or len(box) < 4 or 'score' not in detection:
        return f'a detection needs bbox [x, y, width, height] and score, got {detection}'
    if not _are_finite([*box[:4], detection['score']]) or box[2] <= 0 or box[3] <= 0:
        return f'bbox {box} has no area or a value is no finite number'
    return ''


def outside_share(box: list[float], image: dict) -> float:
    """Share of an xywh box's area that lies outside its image.

    Args:
        box: x, y, width, height in px.
        image: An image entry with ``width`` and ``height``.

    Returns:
        The share in [0, 1]; 1 for a box without area in the image. MMPose clips boxes to the last
        pixel's index, so the image counts as ``width - 1`` by ``height - 1``.
    """
    x, y, width, height = box
    inner_width = min(x + width, image['width'] - 1) - max(x, 0)
    inner_height = min(y + height, image['height'] - 1) - max(y, 0)
    if inner_width <= 0 or inner_height <= 0:
        return 1.0
    return 1.0 - inner_width * inner_height / (width * height)


def serve_coco_metric(annotations: list[dict]) -> bool:
    """Whether MMPose's CocoMetric can read the annotations from their file.

    Args:
        annotations: COCO-form annotations.

    Returns:
        True if each has every field that COCO's evaluation reads.
    """
    fields = ('bbox', 'keypoints', 'area', 'iscrowd', 'num_keypoints', 'category_id')
    return all(field in annotation for annotation in annotations for field in fields)


def _are_finite(values: list) -> bool:
    try:
        return bool(np.isfinite(np.array(values, dtype=float)).all())
    except (TypeError, ValueError):
        return False
