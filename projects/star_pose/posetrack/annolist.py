"""Read PoseTrack17's form of labels and predictions (``annolist``) as PoseTrack18's."""

import re
from pathlib import PurePosixPath

from .joints import CATEGORY, JOINTS, KEYPOINTS, ROWS
from .tables import PoseTrackError, Problem

__all__ = ['annolist_to_document']

# The person box is that of the joints, enlarged by this share: so the field derives it.
BOX_MARGIN = 0.2


def annolist_to_document(content: dict, file: str) -> dict:
    """Turn one video's ``annolist`` into the PoseTrack18 form.

    Image ids are made by PoseTrack18's rule (1, the video's number in 6 digits, the frame's in 4).
    An annotation's id is the image's with the person's place in it: track ids can repeat or lack.

    Args:
        content: The file's content, ``{"annolist": [{"image": [{"name"}], "annorect": [...]}]}``.
        file: The file's name, for messages.

    Returns:
        Dict with ``images``, ``annotations`` and ``categories``. A person without points has an
        empty list of keypoints: the frame counts as labelled.

    Raises:
        PoseTrackError: An entry cannot be read, or its image's name has no number.
    """
    images, annotations = [], []
    for place, frame in enumerate(content['annolist']):
        try:
            image = convert_image(frame)
            persons = [
                convert_person(rect, image['id'], i)
                for i, rect in enumerate(frame.get('annorect') or [])
            ]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            what = f'entry {place} of "annolist" cannot be read ({type(error).__name__}: {error})'
            raise PoseTrackError([Problem(file, what)]) from error
        images.append(image)
        annotations += persons
    return {'images': images, 'annotations': annotations, 'categories': [CATEGORY]}


def first(values: dict, key: str, default=None):
    """Return the only element of a field: the form wraps every value in a list."""
    value = values.get(key)
    if isinstance(value, list):
        value = value[0] if value else None
    return default if value is None else value


def convert_image(frame: dict) -> dict:
    """Turn one entry of the list into an image."""
    name = first(frame, 'image', {})['name']
    number = re.search(r'(\d+)\.\w+$', name)
    if number is None:
        raise ValueError(f'no numbered image name: {name!r}')
    folder = PurePosixPath(name).parent.name
    video = re.match(r'\d*', folder).group() or folder
    image_id = 10**10 + (int(video) if video.isdigit() else 0) * 10**4 + int(number.group(1))
    regions = [region['point'] for region in frame.get('ignore_regions') or []]
    return {
        'id': image_id,
        'file_name': name,
        'frame_id': image_id,
        'vid_id': video.zfill(6),
        'is_labeled': bool(first(frame, 'is_labeled', bool(frame.get('annorect')))),
        'ignore_regions_x': [[first(p, 'x') for p in region] for region in regions],
        'ignore_regions_y': [[first(p, 'y') for p in region] for region in regions],
    }


def convert_person(rect: dict, image_id: int, place: int) -> dict:
    """Turn one ``annorect``, whose rectangle is the head's, into an annotation."""
    person = {'id': image_id * 100 + place, 'image_id': image_id, 'category_id': 1}
    for key in ('track_id', 'score'):
        if (value := first(rect, key)) is not None:
            person[key] = value
    if all(key in rect for key in ('x1', 'y1', 'x2', 'y2')):
        x1, y1, x2, y2 = (float(first(rect, key, 0.0)) for key in ('x1', 'y1', 'x2', 'y2'))
        person['bbox_head'] = [x1, y1, x2 - x1, y2 - y1]
    points = first(rect, 'annopoints', {}).get('point') or []
    keypoints = [0.0] * (3 * len(KEYPOINTS))
    scores: list = [None] * len(KEYPOINTS)
    for point in points:
        joint = int(first(point, 'id'))
        if not 0 <= joint < len(JOINTS):
            raise ValueError(f'a point has id {joint}: joints are numbered from 0 to 14')
        # A listed point is present whatever its coordinates: presence is the flag.
        values = [float(first(point, 'x')), float(first(point, 'y')), 1.0]
        keypoints[3 * ROWS[joint] : 3 * ROWS[joint] + 3] = values
        scores[ROWS[joint]] = first(point, 'score')
    person['keypoints'] = keypoints if points else []
    person['bbox'] = box_of_joints(keypoints)
    if any(score is not None for score in scores):
        person['scores'] = scores
    return person


def box_of_joints(keypoints: list[float]) -> list[float]:
    """Return the box (x, y, w, h) of the joints, enlarged by ``BOX_MARGIN`` of its sides."""
    xs = [x for x, v in zip(keypoints[::3], keypoints[2::3], strict=True) if v]
    ys = [y for y, v in zip(keypoints[1::3], keypoints[2::3], strict=True) if v]
    if not xs:
        return [0.0, 0.0, 0.0, 0.0]
    sides = [(max(values) - min(values)) * (1 + BOX_MARGIN) for values in (xs, ys)]
    middle = [(max(values) + min(values)) / 2 for values in (xs, ys)]
    return [middle[0] - sides[0] / 2, middle[1] - sides[1] / 2, *sides]
