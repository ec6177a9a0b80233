"""PoseTrack17's annotation form (``annolist``), turned into PoseTrack18's.

For evaluation: keeps scores, ignore regions, and the difference between a person without points and
a frame without persons, none of which training needs (``datasets/posetrack17_labels.py``).
"""

from pathlib import Path

from .joints import JOINTS

__all__ = ['annolist_to_document']

NAMES = ['head_bottom' if joint == 'neck' else joint for joint in JOINTS]


def first(values: dict, key: str, default: float | None = None) -> float | None:
    """Return the only element of a field: the form wraps every value in a list."""
    value = values.get(key)
    if isinstance(value, list):
        value = value[0] if value else None
    return default if value is None else value


def convert_person(rect: dict, image_id: str) -> dict:
    """Turn one ``annorect`` into one PoseTrack18 annotation.

    Without ``annopoints`` the list of keypoints is empty: the frame counts as labelled, the person
    has no pose.
    """
    person: dict = {'image_id': image_id, 'category_id': 1, 'keypoints': []}
    if (track := first(rect, 'track_id')) is not None:
        person['track_id'] = track
    if (score := first(rect, 'score')) is not None:
        person['score'] = score
    if all(key in rect for key in ('x1', 'y1', 'x2', 'y2')):
        x1, y1, x2, y2 = (first(rect, key, 0.0) for key in ('x1', 'y1', 'x2', 'y2'))
        person['bbox_head'] = [x1, y1, x2 - x1, y2 - y1]
    groups = rect.get('annopoints') or []
    if groups and 'point' in groups[0]:
        keypoints = [0.0] * (3 * len(JOINTS))
        scores: list = [None] * len(JOINTS)
        for point in groups[0]['point']:
            joint = int(first(point, 'id'))
            # A listed point is present whatever its coordinates: presence is the flag.
            keypoints[3 * joint : 3 * joint + 3] = [first(point, 'x'), first(point, 'y'), 1.0]
            scores[joint] = first(point, 'score')
        person['keypoints'] = keypoints
        if any(score is not None for score in scores):
            person['scores'] = scores
    return person


def annolist_to_document(content: dict) -> dict:
    """Turn a PoseTrack17 file into the PoseTrack18 form.

    Args:
        content: The file's content, with the list ``annolist``.

    Returns:
        Dict with ``images``, ``annotations`` and ``categories``; an image's id is its path.
    """
    images, annotations = [], []
    for frame in content['annolist']:
        name = frame['image'][0]['name']
        regions = [region['point'] for region in frame.get('ignore_regions') or []]
        images.append(
            {
                'id': name,
                'file_name': name,
                'vid_id': Path(name).parent.name,
                'is_labeled': bool(first(frame, 'is_labeled', bool(frame.get('annorect')))),
                'ignore_regions_x': [[first(p, 'x') for p in region] for region in regions],
                'ignore_regions_y': [[first(p, 'y') for p in region] for region in regions],
            }
        )
        annotations += [convert_person(rect, name) for rect in frame.get('annorect') or []]
    categories = [{'id': 1, 'name': 'person', 'keypoints': NAMES}]
    return {'images': images, 'annotations': annotations, 'categories': categories}
