"""What can be wrong with one label entry; the data sets refuse it, the check tool counts it."""

import numbers

__all__ = [
    'annotation_fault',
    'detection_fault',
    'num_labelled',
    'outside_share',
    'serve_coco_metric',
]

_MOST = 1e15  # pixels; their squares still fit float32


def num_labelled(annotation: dict) -> int:
    """Number of labelled joints: those whose third value is above 0; 0 without keypoints."""
    values = annotation.get('keypoints') or []
    return sum(flag > 0 for flag in values[2::3]) if _are_finite(values) else 0


def annotation_fault(annotation: dict, image: dict, num_keypoints: int) -> tuple[str, str] | None:
    """What makes an annotation unusable as a sample.

    Args:
        annotation: A COCO-form annotation; without labelled joints its box does not matter.
        image: Its image entry, with ``width`` and ``height``.
        num_keypoints: Number of joints of the data set.

    Returns:
        The kind of the fault and a description; None when nothing is wrong.
    """
    values, box = annotation.get('keypoints'), annotation.get('bbox')
    if annotation.get('iscrowd') not in (None, 0, 1):
        return 'bad annotations', f'iscrowd must be 0 or 1, got {annotation["iscrowd"]!r}'
    if values and not (isinstance(values, list) and len(values) == 3 * num_keypoints):
        number = len(values) if isinstance(values, (list, str)) else repr(values)
        return 'bad annotations', f'{number} keypoint values instead of 3 x {num_keypoints}'
    if values and not _are_finite(values):
        return 'bad annotations', 'a keypoint or box value is no finite number'
    if annotation.get('iscrowd') or not num_labelled(annotation):
        return None
    if not box or not isinstance(box, list) or len(box) != 4:
        return 'bad annotations', f'bbox must be [x, y, width, height], got {box}'
    if not _are_finite(box):
        return 'bad annotations', 'a keypoint or box value is no finite number'
    if 0 < min(box[2:]) < 1:
        return 'bad annotations', f'bbox {box} is smaller than a pixel'
    if outside_share(box, image) == 1:
        where = f'{image["width"]}x{image["height"]} image {image["file_name"]}'
        return 'boxes outside images', f'bbox {box} has no area inside its {where}'
    head, track = annotation.get('bbox_head'), annotation.get('track_id')
    if annotation.get('area') is not None and not _are_finite([annotation['area']]):
        return 'bad annotations', f'area must be a number, got {annotation["area"]!r}'
    if head and not (isinstance(head, list) and len(head) == 4 and _are_finite(head)):
        return 'bad annotations', f'bbox_head must be [x, y, width, height], got {head}'
    if track is not None and not isinstance(track, (int, float, str)):
        return 'bad annotations', f'track_id must be a number or text, got {track!r}'
    return None


def detection_fault(detection: dict, image: dict) -> str:
    """What makes a detection of a COCO result file unusable.

    Args:
        detection: One entry.
        image: Its image entry, with ``width`` and ``height``.

    Returns:
        A description; an empty string when nothing is wrong.
    """
    box = detection.get('bbox')
    if not isinstance(box, list) or len(box) < 4 or 'score' not in detection:
        return f'a detection needs bbox [x, y, width, height] and score, got {detection}'
    if not _are_finite([*box[:4], detection['score']]):
        return f'bbox {box} or score {detection["score"]!r} is no finite number'
    if 0 < min(box[2:4]) < 1:
        return f'bbox {box} is smaller than a pixel'
    if outside_share(box[:4], image) == 1:
        return f'bbox {box} has no area inside its {image["width"]}x{image["height"]} image'
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

    It can if each has every field that COCO's evaluation reads.
    """
    fields = ('bbox', 'keypoints', 'area', 'iscrowd', 'num_keypoints', 'category_id')
    return all(field in annotation for annotation in annotations for field in fields)


def _are_finite(values) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, numbers.Real) and abs(value) < _MOST for value in values
    )
