"""Where the boxes of the people in a video come from.

A source is a callable ``source(index, image) -> (boxes (N, 4), scores (N,))`` for the frame at
position ``index``, with boxes as x1 y1 x2 y2 in pixels and the image (H, W, 3) uint8 BGR. Its
``str`` is printed and stored with the results, because the box source decides accuracy.
"""

import json
import os.path as osp
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..datasets.errors import DataNotFoundError, LabelError
from ..datasets.frames.clip_reader import split_ref

__all__ = ['DetectorBoxes', 'FileBoxes', 'FixedBoxes', 'WholeFrameBoxes']


class WholeFrameBoxes:
    """One person, who fills the frame."""

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frame itself, with score 1."""
        h, w = image.shape[:2]
        return np.array([[0.0, 0.0, w, h]]), np.ones(1)

    def __str__(self) -> str:
        return 'whole frame'


class FixedBoxes:
    """The same boxes in every frame: people who stay where they are.

    Args:
        boxes: (N, 4) as x1 y1 x2 y2.

    Raises:
        ValueError: If a box is empty.
    """

    def __init__(self, boxes: Sequence[Sequence[float]]):
        self.boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        for box in self.boxes:
            if not (box[2:] > box[:2]).all():
                raise ValueError(f'box {box.tolist()} is empty: give x1 y1 x2 y2, x2 > x1, y2 > y1')

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The boxes, with score 1."""
        return self.boxes.copy(), np.ones(len(self.boxes))

    def __str__(self) -> str:
        return f'{len(self.boxes)} fixed boxes'


class FileBoxes:
    """Boxes of a COCO-form json file: labels (``images`` and ``annotations``) or detections.

    An image belongs to the frame that its ``file_name`` names: ``video.mp4#12`` the frame at
    position 12 of that video, ``walk/000012.jpg`` the frame of that name in a folder of that name
    (in any folder where ``file_name`` has none). In a list of detections, which has no images,
    ``image_id`` is the position of the frame.

    Args:
        path: The json file.
        frames: References of the video's frames, in time order.
        score_thr: Detections below are left out; an entry without a score has score 1.

    Raises:
        DataNotFoundError: If there is no such file.
        LabelError: If it is no such file, an entry is unusable, or no entry belongs to the video.
    """

    def __init__(self, path: str, frames: Sequence[str], score_thr: float = 0.3):
        if not osp.isfile(path):
            raise DataNotFoundError.describe('box file', path)
        self.path = path
        self.score_thr = score_thr
        self._boxes: dict[int, list] = defaultdict(list)
        try:
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
        except ValueError as error:
            raise LabelError(f'{path} is no json file: {error}') from error
        position = self._positions(content, frames)
        entries = content['annotations'] if isinstance(content, dict) else content
        people = self._person_ids(content)
        for number, entry in enumerate(entries):
            index = position.get(entry.get('image_id'))
            if index is None or (people and entry.get('category_id', 1) not in people):
                continue
            box = np.asarray(entry.get('bbox'), np.float64)
            if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
                raise LabelError(
                    f'{path}, entry {number} (image_id {entry.get("image_id")}): bbox '
                    f'{entry.get("bbox")} is not x, y, w, h with positive w and h'
                )
            score = float(entry.get('score', 1.0))
            if score >= score_thr:
                self._boxes[index].append([*box[:2], *(box[:2] + box[2:]), score])
        if not self._boxes:
            raise LabelError(
                f'{path} has no box with a score of {score_thr} or more for any of the '
                f'{len(frames)} frames, such as {frames[0]}; file_name must name frames of the '
                'video, and image_id of a detection list count them from 0'
            )

    def _positions(self, content: dict | list, frames: Sequence[str]) -> dict:
        """From the file's image ids to positions in the video."""
        if isinstance(content, list):
            return {index: index for index in range(len(frames))}
        if not isinstance(content, dict) or not {'images', 'annotations'} <= content.keys():
            raise LabelError(
                f'{self.path}: expected COCO form, an object with "images" and "annotations" or a '
                'list of detections'
            )
        video = osp.basename(split_ref(frames[0])[0])
        of_name = {}
        for index, frame in enumerate(frames):
            folder, name = _folder_and_name(osp.abspath(frame))
            of_name[name] = of_name[folder, name] = index
        found = {}
        for image in content['images']:
            name, index = split_ref(str(image.get('file_name')))
            if index is None:
                folder, name = _folder_and_name(name)
                index = of_name.get((folder, name) if folder else name)
            elif osp.basename(name) != video:
                index = None
            if index is not None and index < len(frames):
                found[image.get('id')] = index
        return found

    @staticmethod
    def _person_ids(content: dict | list) -> set:
        """Category ids of people; an empty set where the file names no category 'person'."""
        categories = content.get('categories', []) if isinstance(content, dict) else []
        return {category['id'] for category in categories if category.get('name') == 'person'}

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The file's boxes of the frame; none where it has none."""
        rows = np.array(self._boxes.get(index, []), np.float64).reshape(-1, 5)
        return rows[:, :4], rows[:, 4]

    def __str__(self) -> str:
        return f'file {osp.basename(self.path)}, score >= {self.score_thr:g}'


def _folder_and_name(path: str) -> tuple[str, str]:
    """The last two parts of a path."""
    folder, name = osp.split(path.replace('\\', '/'))
    return osp.basename(folder), name


class DetectorBoxes:
    """Boxes of an MMDetection detector.

    Args:
        config: Its config file.
        checkpoint: Its weights; None runs the detector as it is built.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        category: Index of the class of people.
        score_thr: Detections below are left out.

    Raises:
        DataNotFoundError: If a file is missing.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str | None,
        device: str = 'cpu',
        category: int = 0,
        score_thr: float = 0.3,
    ):
        # MMDetection takes seconds to import and is needed here alone.
        from mmdet.apis import init_detector
        from mmpose.utils import adapt_mmdet_pipeline

        for what, path in (('detector config', config), ('detector checkpoint', checkpoint)):
            if path is not None and '://' not in path and not osp.isfile(path):
                raise DataNotFoundError.describe(what, path)
        self.name = osp.splitext(osp.basename(config))[0]
        self.category = category
        self.score_thr = score_thr
        self.detector = init_detector(config, checkpoint, palette='coco', device=device)
        # Its pipeline is built again in every frame, and by then the scope is MMPose's.
        self.detector.cfg = adapt_mmdet_pipeline(self.detector.cfg)

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Detect the people of the frame."""
        from mmdet.apis import inference_detector

        found = inference_detector(self.detector, image).pred_instances.cpu().numpy()
        kept = (found.labels == self.category) & (found.scores >= self.score_thr)
        return found.bboxes[kept].astype(np.float64), found.scores[kept].astype(np.float64)

    def __str__(self) -> str:
        return f'detector {self.name}, score >= {self.score_thr:g}'
