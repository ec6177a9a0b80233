"""Reading COCO-form label files: one merged file, or a folder with one file a video."""

import json
import os
import os.path as osp

from ...posetrack.read_files import annolist_to_document
from ...posetrack.tables import PoseTrackError
from ..errors import LabelError

__all__ = ['read_json', 'read_labels']


def read_json(path: str):
    """Read a json file, and say where it breaks off when it is cut or damaged.

    Args:
        path: An existing file.

    Returns:
        The parsed content.

    Raises:
        LabelError: The content is not valid json.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
        except PoseTrackError as error:
            raise LabelError(str(error)) from error
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
        if 'id' not in image and 'image_id' in image:
            image['id'] = image['image_id']
        for field in ('id', 'file_name'):
            if field not in image:
                raise LabelError(f'{file}: an image lacks "{field}": {str(image)[:200]}')
        image['label_file'] = file
    for annotation in annotations:
        for field in ('id', 'image_id'):
            if field not in annotation:
                raise LabelError(f'{file}: an annotation lacks "{field}": {str(annotation)[:200]}')
    return labels


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
