"""Checks that tie label entries to images: paths below the root, sizes, listed image ids."""

import os.path as osp

from ..errors import LabelError
from ..frames.clip_reader import ClipReadError, image_size
from ..skip_policy import SkipPolicy

__all__ = ['complete_sizes', 'reject_strays', 'resolve_paths']


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
            skips.reject_label(
                LabelError(
                    f'{image["label_file"]}: image {image["id"]} points outside the image root '
                    f'{root or "."}: {image["file_name"]}'
                ),
                'paths outside the root',
            )
            continue
        resolved.append(dict(image, img_path=path, img_id=image['id']))
    return resolved


def complete_sizes(images: list[dict], skips: SkipPolicy) -> list[dict]:
    """Read sizes from image headers where the labels lack them, once a video.

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
    """Reject annotations of images that the labels do not list.

    Args:
        labels: COCO-form labels.
        path: Their file, for messages.
        skips: What happens with such annotations.
    """
    known = {image['id'] for image in labels['images']}
    for annotation in labels['annotations']:
        if annotation['image_id'] not in known:
            skips.reject_label(
                LabelError(
                    f'{path}: annotation {annotation["id"]} is of image '
                    f'{annotation["image_id"]}, which is not listed'
                ),
                'bad annotations',
            )
