"""Reading COCO-form label files, and tying their entries to image files."""

import json
import numbers
import os
import os.path as osp

from ...posetrack.read_files import annolist_to_document
from ...posetrack.tables import PoseTrackError, is_id
from ..errors import LabelError
from ..frames.clip_reader import ClipReadError, image_size
from ..frames.frame_lists import MAX_FRAMES
from ..skipping_dataset import SkipPolicy

__all__ = ['complete_sizes', 'read_json', 'read_labels', 'reject_strays', 'resolve_paths']


def read_json(path: str):
    """Read a json file, and say where it breaks off when it is cut or damaged.

    Raises:
        LabelError: The content is not valid json.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise LabelError(
            f'{path} is not valid json ({error}); its size is {osp.getsize(path)} bytes: '
            'was the download or the copy cut off? Fetch or write the file again.'
        ) from error


def read_labels(path: str) -> dict:
    """Read labels into one COCO-form dict, with every id as it stands in the files.

    Args:
        path: A COCO-form json file (MMPose's merged files), or a folder of json files, one a video
            (the official PoseTrack releases). PoseTrack17's ``annolist`` files are converted.

    Returns:
        A dict with ``images``, ``annotations`` and ``categories``. Every image has ``id``,
        ``file_name`` and ``label_file``; every annotation has ``id`` and ``image_id``.

    Raises:
        LabelError: A file is damaged, lacks a field, is empty, or image ids repeat.
    """
    files = [path]
    if osp.isdir(path):
        files = sorted(osp.join(path, name) for name in os.listdir(path) if name.endswith('.json'))
        if not files:
            raise LabelError(f'The label folder {path} has no json file')
    merged = dict(images=[], annotations=[], categories=[])
    for file in files:
        labels = _normalise(read_json(file), file)
        merged['images'] += labels['images']
        merged['annotations'] += labels['annotations']
        merged['categories'] = merged['categories'] or labels.get('categories', [])
    if not merged['images']:
        raise LabelError(f'{path} lists no image: the split is empty')
    merged['categories'] = merged['categories'] or [dict(id=1, name='person')]
    _reject_repeated_images(merged['images'])
    return merged


def _normalise(labels, file: str) -> dict:
    """Check one file's structure and unify the variants of the field names."""
    if isinstance(labels, dict) and 'annolist' in labels:
        try:
            labels = annolist_to_document(labels, file)
        except (PoseTrackError, AttributeError, TypeError) as error:
            raise LabelError(f'{file}: its annolist cannot be read: {error}') from error
    if not isinstance(labels, dict):
        raise LabelError(
            f'{file} holds a {type(labels).__name__}, not a COCO-form dict with "images" and '
            '"annotations" (a list of detections belongs into bbox_file)'
        )
    images, annotations = labels.get('images'), labels.get('annotations')
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise LabelError(f'{file} lacks the list "images" or "annotations" of the COCO form')
    for image in images:
        # PoseTrack21 calls the image's id "image_id" in some releases
        if isinstance(image, dict) and 'id' not in image and 'image_id' in image:
            image['id'] = image['image_id']
        _check_fields(image, ('id', 'file_name'), f'{file}: an image')
        image['label_file'] = file
        _check_image(image)
    for annotation in annotations:
        _check_fields(annotation, ('id', 'image_id'), f'{file}: an annotation')
    return labels


def _check_fields(entry, fields: tuple[str, ...], what: str) -> None:
    if not isinstance(entry, dict):
        raise LabelError(f'{what} is {entry!r:.200}, not a dict')
    for field in fields:
        if field not in entry:
            raise LabelError(f'{what} lacks "{field}": {str(entry)[:200]}')
        if 'id' in field and not is_id(entry[field]):
            raise LabelError(
                f'{what} has {field} {entry[field]!r:.80}, neither a whole number nor text'
            )


def _check_image(image: dict) -> None:
    where = f'{image["label_file"]}: image {image["id"]}'
    try:
        usable = bool(image['file_name']) and b'\0' not in os.fsencode(image['file_name'])
    except (TypeError, UnicodeEncodeError):
        usable = False
    if not usable:
        raise LabelError(f'{where}: file_name {image["file_name"]!r:.80} is no name of a file')
    for field, most in (('width', 10**6), ('height', 10**6), ('nframes', MAX_FRAMES)):
        value = image.get(field)
        whole = isinstance(value, numbers.Real) and value == value // 1 and 0 <= value <= most
        if value is not None and not whole:
            raise LabelError(f'{where}: {field} is {value!r:.80}, not a whole number up to {most}')


def _reject_repeated_images(images: list[dict]) -> None:
    seen: dict = {}
    for image in images:
        other = seen.setdefault(image['id'], image)
        if other is not image:
            raise LabelError(
                f'Image id {image["id"]} stands for {other["file_name"]} ({other["label_file"]}) '
                f'and for {image["file_name"]} ({image["label_file"]}): labels would go to the '
                'wrong frame. Merge the files with distinct image ids.'
            )


def resolve_paths(images: list[dict], root: str, skips: SkipPolicy) -> list[dict]:
    """Give every image entry its path, which must lie below the image root.

    Args:
        images: Image entries with ``id``, ``file_name`` and ``label_file``.
        root: Image root; empty: the working directory, and absolute names are allowed.
        skips: What happens with entries that point elsewhere.

    Returns:
        Copies of the good entries with ``img_path`` and ``img_id``.
    """
    resolved = []
    for image in images:
        path = osp.normpath(osp.join(root, image['file_name']))
        below = osp.relpath(path, root or '.')
        if below.split(osp.sep)[0] == osp.pardir and (root or not osp.isabs(path)):
            error = LabelError(
                f'{image["label_file"]}: image {image["id"]} points outside the image root '
                f'{root or "."}: {image["file_name"]}'
            )
            skips.reject_label(error, 'paths outside the root')
            continue
        resolved.append(dict(image, img_path=path, img_id=image['id']))
    return resolved


def complete_sizes(images: list[dict], skips: SkipPolicy) -> list[dict]:
    """Read the sizes of images where the labels lack them, once a video.

    Args:
        images: Image entries with ``img_path``; changed in place.
        skips: What happens with images that cannot be read.

    Returns:
        The entries that have ``width`` and ``height`` in px.
    """
    sizes: dict[str, tuple[int, int]] = {}
    usable = []
    for image in images:
        if not (image.get('width') and image.get('height')):
            key = image.get('sequence', image['img_path'])
            try:
                if key not in sizes:
                    sizes[key] = image_size(image['img_path'])
            except ClipReadError as error:
                skips.reject_label(error, 'unreadable files')
                continue
            image['width'], image['height'] = sizes[key]
        usable.append(image)
    return usable


def reject_strays(labels: dict, path: str, skips: SkipPolicy) -> None:
    """Reject annotations of images that the labels of a file do not list."""
    known = {image['id'] for image in labels['images']}
    for annotation in labels['annotations']:
        if annotation['image_id'] not in known:
            error = LabelError(
                f'{path}: annotation {annotation["id"]} is of image {annotation["image_id"]}, '
                'which is not listed'
            )
            skips.reject_label(error, 'bad annotations')
