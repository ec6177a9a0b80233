"""Boxes of people from json files: COCO-form labels, or the lists that detectors write."""

from __future__ import annotations

import json
import os.path as osp
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ..datasets.errors import DataNotFoundError, LabelError
from ..datasets.frames.clip_reader import split_ref
from ..datasets.labels.detected_boxes import person_categories
from ..posetrack.tables import is_id

__all__ = ['FileBoxes']


class FileBoxes:
    """Boxes of a COCO-form json file: labels (``images`` and ``annotations``) or detections.

    An image belongs to the frame that its ``file_name`` names: ``video.mp4#12`` the frame at
    position 12 of that video, ``walk/000012.jpg`` the frame of that name in a folder of that name
    (in any folder where ``file_name`` has none). In a list of detections, which has no images,
    ``image_id`` is the position of the frame, from 0, or, as text, the name of its image file
    without the ending.

    People are the category called person (pedestrian, player, ...); in a list, which names none,
    category 1, or 0 where a 0 occurs. Crowd regions, entries without a box and repeated boxes are
    left out and counted.

    Frames that the file does not mention are not looked at: people are followed through them.

    Args:
        path: The json file.
        frames: Names of the video's frames, in time order.
        score_thr: Detections below are left out; an entry without a score has score 1.

    Attributes:
        left_out: How many entries were left out, by reason.

    Raises:
        DataNotFoundError: If there is no such file.
        LabelError: If it is no such file, an entry is unusable, or no entry belongs to the video.
    """

    patience = 0

    def __init__(self, path: str, frames: Sequence[str], score_thr: float = 0.3):
        if not osp.isfile(path):
            raise DataNotFoundError.describe('box file', path)
        self.path = str(path)
        self.score_thr = score_thr
        self.left_out: Counter = Counter()
        self._frames = list(frames)
        self._boxes: dict[int, dict[tuple, float]] = defaultdict(dict)
        content = self._read()
        entries = content['annotations'] if isinstance(content, dict) else content
        entries = self._objects(entries, 'annotations' if isinstance(content, dict) else 'the list')
        listed = isinstance(content, list)
        position = self._counted_images(entries) if listed else self._named_images(content)
        self._mentioned = set(position.values())
        self._starts_at_1 = listed and min(self._mentioned, default=0) == 1
        people = self._person_ids(content, entries)
        for number, entry in enumerate(entries):
            self._take(number, entry, position, people)
        if not any(self._boxes.values()):
            raise LabelError(
                f'{path} has no box with a score of {score_thr} or more for any of the '
                f'{len(frames)} frames, such as {frames[0]}; file_name must name frames of the '
                'video, and image_id of a detection list count them from 0'
            )

    def _read(self) -> dict | list:
        try:
            with open(self.path, encoding='utf-8') as file:
                content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise LabelError(f'{self.path} is no json file: {error}') from error
        is_labels = isinstance(content, dict) and {'images', 'annotations'} <= content.keys()
        if not is_labels and not isinstance(content, list):
            raise LabelError(
                f'{self.path}: expected COCO form, an object with "images" and "annotations" or a '
                'list of detections'
            )
        return content

    def _objects(self, value: object, name: str) -> list[dict]:
        if not isinstance(value, list):
            raise LabelError(f'{self.path}: {name} is {value!r:.40}, expected a list of objects')
        for number, entry in enumerate(value):
            if not isinstance(entry, dict):
                raise LabelError(
                    f'{self.path}, entry {number} of {name}: {entry!r:.40} is no object'
                )
        return value

    def _named_images(self, content: dict) -> dict:
        """From the file's image ids to positions in the video, by the names of the images."""
        video = osp.basename(split_ref(self._frames[0])[0])
        of_name = {}
        for index, frame in enumerate(self._frames):
            folder, name = _folder_and_name(osp.abspath(frame))
            of_name[name] = of_name[folder, name] = index
        found, names = {}, {}
        for image in self._objects(content['images'], 'images'):
            image_id, full_name = image.get('id'), str(image.get('file_name'))
            if not is_id(image_id):
                raise LabelError(
                    f'{self.path}: image {full_name} has the id {image_id!r:.40}; it must be a '
                    'whole number or text'
                )
            if names.setdefault(image_id, full_name) != full_name:
                raise LabelError(
                    f'{self.path}: id {image_id} is given to two images, {names[image_id]} and '
                    f'{full_name}; give every image an id of its own'
                )
            name, index = split_ref(full_name)
            if index is None:
                folder, name = _folder_and_name(name)
                index = of_name.get((folder, name) if folder else name)
            elif osp.basename(name) != video:
                index = None
            elif index >= len(self._frames):
                raise LabelError(
                    f'{self.path}: image {full_name} is behind the end of the video, whose '
                    f'{len(self._frames)} frames count from 0: was it labelled on another version?'
                )
            if index is not None:
                found[image_id] = index
        return found

    def _counted_images(self, entries: list[dict]) -> dict:
        """From image ids of a list, which has no names, to positions in the video."""
        count = len(self._frames)
        stems = {osp.splitext(osp.basename(f))[0]: n for n, f in enumerate(self._frames)}
        ids = {}
        for number, entry in enumerate(entries):
            image_id = entry.get('image_id')
            if not is_id(image_id):
                raise LabelError(
                    f'{self.path}, entry {number}: image_id is {image_id!r}; it must count the '
                    'frames from 0, or name an image'
                )
            ids.setdefault(image_id, number)
        by_stem = any(isinstance(image_id, str) and image_id in stems for image_id in ids)
        found = {}
        for image_id, number in ids.items():
            where = f'{self.path}, entry {number}: image_id {image_id!r}'
            if isinstance(image_id, str) and by_stem:
                if image_id not in stems:
                    raise LabelError(f'{where} is the name of no frame, unlike other entries')
                found[image_id] = stems[image_id]
                continue
            try:
                index = int(image_id)
            except ValueError:
                raise LabelError(f'{where} is neither a number nor the name of a frame') from None
            if not 0 <= index < count:
                from_one = ' (they seem to count from 1: subtract 1)' if index == count else ''
                raise LabelError(
                    f'{where} is outside the video, whose {count} frames count from 0{from_one}'
                )
            found[image_id] = index
        return found

    def _person_ids(self, content: dict | list, entries: list[dict]) -> set | None:
        """Category ids of people; None where no entry has a category."""
        used = set()
        for number, entry in enumerate(entries):
            if 'category_id' in entry:
                used.add(self._id(entry['category_id'], f'entry {number}: category_id'))
        if not used:
            return None
        categories = content.get('categories') if isinstance(content, dict) else None
        for number, category in enumerate(self._objects(categories or [], 'categories')):
            self._id(category.get('id'), f'category {number}: id')
        return person_categories(used, categories, self.path)

    def _id(self, value: object, what: str) -> int | str:
        if not is_id(value):
            raise LabelError(f'{self.path}, {what} is {value!r:.40}; it must be a number or a name')
        return value

    def _take(self, number: int, entry: dict, position: dict, people: set | None) -> None:
        """Take one entry's box, or leave it out."""
        image_id = entry.get('image_id')
        index = position.get(image_id) if is_id(image_id) else None
        if index is None or (
            people is not None and entry.get('category_id') not in {*people, None}
        ):
            return
        where = f'{self.path}, entry {number} (image_id {image_id})'
        if entry.get('iscrowd'):
            self.left_out['crowd regions'] += 1
            return
        if 'bbox' not in entry:
            self.left_out['entries without a box'] += 1
            return
        box = _numbers(entry['bbox'], 4)
        if box is None or min(box[2:]) <= 0:
            raise LabelError(
                f'{where}: bbox {entry["bbox"]} is not x, y, w, h with positive w and h'
            )
        if min(box[2:]) < 1:
            self.left_out['boxes below a pixel'] += 1
            return
        score = _numbers([entry.get('score', 1.0)], 1)
        if score is None:
            raise LabelError(f'{where}: score is {entry["score"]!r}; it must be a number')
        if score[0] < self.score_thr:
            return
        x, y, w, h = box
        corners = (x, y, x + w, y + h)
        if corners in self._boxes[index]:
            self.left_out['repeated boxes'] += 1
        self._boxes[index][corners] = max(score[0], self._boxes[index].get(corners, 0.0))

    def looks_at(self, index: int) -> bool:
        """Whether the file mentions a frame, be it without people."""
        return index in self._mentioned

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The file's boxes of the frame; none where it has none."""
        found = self._boxes.get(index, {})
        return np.array(list(found), np.float64).reshape(-1, 4), np.array(list(found.values()))

    def __str__(self) -> str:
        left_out = ''.join(f', {n} {what} left out' for what, n in self.left_out.items())
        hint = ', none in the first frame (image_id counts from 0)' * self._starts_at_1
        return f'file {osp.basename(self.path)}, score >= {self.score_thr:g}{left_out}{hint}'


def _numbers(values: object, count: int) -> list[float] | None:
    """The finite numbers of a list of that length, or None if it is none."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        return None
    return [float(v) for v in values] if np.isfinite(np.array(values, float)).all() else None


def _folder_and_name(path: str) -> tuple[str, str]:
    """The last two parts of a path."""
    folder, name = osp.split(path.replace('\\', '/'))
    return osp.basename(folder), name
