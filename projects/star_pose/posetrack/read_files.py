"""Read PoseTrack's json files; PoseTrack17's form (``annolist``) is turned into PoseTrack18's."""

import glob
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from .joints import CATEGORY, JOINTS, KEYPOINTS, ROWS
from .tables import PoseTrackError, Problem, is_id, joint_columns

__all__ = [
    'all_finite',
    'annolist_to_document',
    'category_columns',
    'is_pose',
    'keypoint_array',
    'label',
    'load_documents',
]

# The person box is that of the joints, enlarged by this share: so the field derives it.
BOX_MARGIN = 0.2

ORDERS = ('folder', 'name')


def load_documents(path: str | Path, order: str = 'folder') -> list[tuple[str, dict | list]]:
    """Load every json file of a folder, or one file.

    Args:
        path: Folder of json files, or a json file.
        order: 'folder' takes the files as the file system lists them, 'name' sorts them. Equal
            scores rank by the order of videos, so AP can depend on it; poseval takes 'folder'.

    Returns:
        Pairs (name of the file without its ending, content). PoseTrack17's ``annolist`` form is
        converted to PoseTrack18's.

    Raises:
        FileNotFoundError: When there is no such path, or a folder without json files.
        ValueError: When ``order`` is unknown.
        PoseTrackError: When a file is not json, or not built as labels or predictions are.
    """
    if order not in ORDERS:
        raise ValueError(f'order={order!r} is unknown: use one of {ORDERS}')
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist: give a folder of json files, or one file')
    files = [Path(entry) for entry in glob.glob(f'{glob.escape(str(path))}/*.json')]
    files = (sorted(files) if order == 'name' else files) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f'{path} holds no json file')
    documents = []
    for file in files:
        try:
            content = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            what = f'{file} is not a json file: {error}'
            raise PoseTrackError([Problem(file.stem, what)]) from error
        if isinstance(content, dict) and 'annolist' in content:
            content = annolist_to_document(content, file.name)
        if fault := structure_fault(content):
            raise PoseTrackError([Problem(file.stem, f'{fault} ({file})')])
        documents.append((file.stem, content))
    return documents


def structure_fault(document) -> str:
    """Tell what keeps a file's content from being read at all; '' when nothing does."""
    if isinstance(document, list):  # COCO results
        document = {'annotations': document}
    if not isinstance(document, dict):
        return f'holds a {type(document).__name__} instead of labels or predictions'
    for key in ('images', 'annotations', 'categories'):
        entries = document.get(key)
        if entries is None and key in document and key != 'images':
            document[key] = []  # null is written for nothing
        elif key in document and not isinstance(entries, list):
            return f'"{key}" is no list'
        for place, entry in enumerate(entries or []):
            fields = {'images': ['id'], 'annotations': ['image_id']}.get(key, [])
            if not isinstance(entry, dict):
                return f'entry {place} of "{key}" is no dict: {str(entry)[:50]!r}'
            if key == 'images' and 'id' not in entry and 'image_id' in entry:
                entry['id'] = entry['image_id']  # so some files of PoseTrack21 call it
            for field in fields:
                if not is_id(entry.get(field)):
                    return f'entry {place} of "{key}": {field} {entry.get(field)!r} is no id'
            if not isinstance(entry.get('file_name', ''), str):
                return f'entry {place} of "{key}": file_name {entry["file_name"]!r} is no text'
    return ''


def category_columns(name: str, document: dict) -> tuple[np.ndarray, int]:
    """Return where the 15 joints stand in a file's keypoints, and how many keypoints there are."""
    categories = document.get('categories') or [{}]
    names = categories[0].get('keypoints') or KEYPOINTS
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) for one in names):
        what = f'"keypoints" of the category is no list of names: {str(names)[:80]}'
        raise PoseTrackError([Problem(name, what)])
    try:
        return joint_columns(names), len(names)
    except ValueError as error:
        raise PoseTrackError([Problem(name, str(error))]) from error


def keypoint_array(annotations: list[dict], columns: np.ndarray, number: int) -> np.ndarray:
    """Stack x, y and flag of the 15 joints of P persons of ``number`` keypoints, (P, 15, 3)."""
    stacked = np.array([ann['keypoints'] for ann in annotations], dtype=np.float64)
    return stacked.reshape(-1, number, 3)[:, columns]  # (P, 3K) -> (P, 15, 3)


def is_pose(keypoints: list, number: int) -> bool:
    """Tell whether a file's keypoints are ``number`` times three finite numbers."""
    return isinstance(keypoints, list) and len(keypoints) == 3 * number and all_finite(keypoints)


def all_finite(values: Sequence) -> bool:
    """Tell whether all values are numbers, none of them NaN or infinite."""
    try:
        return math.isfinite(sum(values))  # finite only if all its terms are
    except (TypeError, OverflowError):
        return False


def label(ann: dict) -> str:
    """Name a person in an error message."""
    parts = [f'{key} {ann[key]}' for key in ('id', 'track_id') if key in ann]
    return f'({", ".join(parts)})' if parts else '(no id)'


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
    if not isinstance(content['annolist'], list):
        raise PoseTrackError([Problem(file, '"annolist" is no list')])
    for place, frame in enumerate(content['annolist']):
        try:
            image = convert_image(frame)
            persons = [
                convert_person(rect, image['id'], i)
                for i, rect in enumerate(frame.get('annorect') or [])
            ]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
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
