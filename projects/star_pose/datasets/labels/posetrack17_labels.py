"""PoseTrack17's original label form (``annolist``), turned into the COCO form of PoseTrack18."""

import os.path as osp
import re

from ..errors import LabelError

__all__ = ['POSETRACK17_TO_18', 'annolist_to_coco']

# Index of a PoseTrack17 joint (MPII's order with nose and head top) -> index in PoseTrack18's 17.
# PoseTrack17 has no ears; its upper neck is what PoseTrack18 calls head_bottom.
POSETRACK17_TO_18 = {
    0: 16,  # right_ankle
    1: 14,  # right_knee
    2: 12,  # right_hip
    3: 11,  # left_hip
    4: 13,  # left_knee
    5: 15,  # left_ankle
    6: 10,  # right_wrist
    7: 8,  # right_elbow
    8: 6,  # right_shoulder
    9: 5,  # left_shoulder
    10: 7,  # left_elbow
    11: 9,  # left_wrist
    12: 1,  # head_bottom
    13: 0,  # nose
    14: 2,  # head_top
}
NUM_KEYPOINTS = 17


def annolist_to_coco(labels: dict, file: str) -> dict:
    """Convert one video's ``annolist`` labels.

    PoseTrack17 carries no ids. They are made by the rule of PoseTrack18 (1, the video number in 6
    digits, the frame number in 4; annotations append the track id in 2), so that they are stable.
    The rectangle of an ``annorect`` is the head's; the person box is made of the joints, enlarged
    by 20 % of its sides, which is how the field derives it for this release.

    Args:
        labels: The parsed file: ``{"annolist": [{"image": [{"name"}], "annorect": [...]}]}``.
        file: Its path, for messages.

    Returns:
        A COCO-form dict.

    Raises:
        LabelError: An entry lacks its image name or the name has no frame number.
    """
    images, annotations = [], []
    for entry in labels['annolist']:
        name = _first(entry.get('image'), {}).get('name')
        match = re.search(r'(\d+)\.\w+$', name or '')
        if match is None:
            raise LabelError(f'{file}: an annolist entry has no numbered image name: {name!r}')
        folder = osp.basename(osp.dirname(name))
        video = re.match(r'\d+', folder)
        video_id = video.group() if video else folder
        image_id = 10**10 + int(video.group() if video else 0) * 10**4 + int(match.group(1))
        rects = entry.get('annorect') or []
        images.append(
            dict(
                id=image_id,
                file_name=name,
                frame_id=image_id,
                vid_id=video_id.zfill(6),
                is_labeled=_is_labelled(entry, rects),
            )
        )
        annotations += [_annotation(rect, image_id) for rect in rects]
    return dict(images=images, annotations=annotations, categories=[])


def _first(value, default):
    """Matlab's conversion wraps scalars and structs into lists of one."""
    if isinstance(value, (list, tuple)):
        return value[0] if value else default
    return default if value is None else value


def _is_labelled(entry: dict, rects: list) -> bool:
    return bool(_first(entry.get('is_labeled'), bool(rects)))


def _annotation(rect: dict, image_id: int) -> dict:
    keypoints = [0.0] * (3 * NUM_KEYPOINTS)
    points = _first(rect.get('annopoints'), {}).get('point') or []
    for point in points:
        target = POSETRACK17_TO_18.get(int(_first(point['id'], -1)))
        if target is not None:
            x, y = float(_first(point['x'], 0)), float(_first(point['y'], 0))
            keypoints[3 * target : 3 * target + 3] = [x, y, 1.0]
    track_id = int(_first(rect.get('track_id'), 0))
    annotation = dict(
        id=image_id * 100 + track_id,
        image_id=image_id,
        track_id=track_id,
        category_id=1,
        keypoints=keypoints,
        bbox=_box_of_joints(keypoints),
    )
    if 'x1' in rect:
        x1, y1, x2, y2 = (float(_first(rect[side], 0)) for side in ('x1', 'y1', 'x2', 'y2'))
        annotation['bbox_head'] = [x1, y1, x2 - x1, y2 - y1]
    return annotation


def _box_of_joints(keypoints: list[float], margin: float = 0.2) -> list[float]:
    """The xywh box of the labelled joints, enlarged by ``margin`` of its sides in total."""
    xs = [x for x, v in zip(keypoints[::3], keypoints[2::3], strict=True) if v > 0]
    ys = [y for y, v in zip(keypoints[1::3], keypoints[2::3], strict=True) if v > 0]
    if not xs:
        return [0.0, 0.0, 0.0, 0.0]
    width, height = (max(xs) - min(xs)) * (1 + margin), (max(ys) - min(ys)) * (1 + margin)
    x, y = (max(xs) + min(xs) - width) / 2, (max(ys) + min(ys) - height) / 2
    return [x, y, width, height]
