"""Where the boxes of the people in a video come from.

A source is a callable ``source(index, image) -> (boxes (N, 4), scores (N,))`` for the frame at
position ``index``, with boxes as x1 y1 x2 y2 in pixels and the image (H, W, 3) uint8 BGR. Its
``str`` is printed and stored with the results, because the box source decides accuracy.

It may have ``looks_at(index) -> bool``: people are followed through the frames that it does not
look at. ``patience`` says how many of its looks may miss a person before he is given up; 0 where
it says the truth. Boxes with scores below its ``start_thr`` confirm people who are followed
already, and begin nobody.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Callable, Sequence

import numpy as np

from ..datasets.errors import DataNotFoundError, LabelError
from .box_file import FileBoxes

__all__ = ['DetectorBoxes', 'EveryNth', 'FileBoxes', 'FixedBoxes', 'WholeFrameBoxes']


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
        LabelError: If a box is not finite or smaller than a pixel, or lies outside a frame.
    """

    def __init__(self, boxes: Sequence[Sequence[float]]):
        self.boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        for box in self.boxes:
            if not np.isfinite(box).all():
                raise LabelError(f'box {box.tolist()} is not finite: give x1 y1 x2 y2 in pixels')
            if not (box[2:] > box[:2]).all():
                raise LabelError(f'box {box.tolist()} is empty: give x1 y1 x2 y2, x2 > x1, y2 > y1')
            if not (box[2:] - box[:2] >= 1).all():
                raise LabelError(f'box {box.tolist()} is smaller than a pixel: nobody can be in it')

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The boxes, with score 1."""
        size = np.array(image.shape[1::-1])
        for box in self.boxes:
            if not (np.minimum(box[2:], size) - np.maximum(box[:2], 0) >= 1).all():
                raise LabelError(
                    f'box {box.tolist()} lies outside frame {index}, which is {size[0]}x{size[1]}'
                )
        return self.boxes.copy(), np.ones(len(self.boxes))

    def __str__(self) -> str:
        return f'{len(self.boxes)} fixed boxes'


class EveryNth:
    """A detector that looks at every n-th frame.

    Args:
        detector: A box source. If it has a ``score_thr`` and ``detect(image, score_thr)``, boxes
            half as sure are enough for people who were seen a moment ago.
        every: n; 1 is every frame, and then the detector alone says who is there.
    """

    def __init__(self, detector: Callable, every: int):
        self.detector, self.every = detector, every
        self.patience = 0 if every == 1 else 1
        self.start_thr = 0.0
        self._detect = detector
        if hasattr(detector, 'detect') and hasattr(detector, 'score_thr'):
            self.start_thr = detector.score_thr
            self._detect = lambda index, image: detector.detect(image, 0.5 * detector.score_thr)
        self._last: int | None = None

    def looks_at(self, index: int) -> bool:
        """Whether it is the frame's turn; frames may be missing."""
        return self._last is None or not self._last <= index < self._last + self.every

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Detect."""
        self._last = index
        return self._detect(index, image)

    def __str__(self) -> str:
        return (
            f'{self.detector}, every {self.every} frames' if self.every > 1 else str(self.detector)
        )


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
        return self.detect(image, self.score_thr)

    def detect(self, image: np.ndarray, score_thr: float) -> tuple[np.ndarray, np.ndarray]:
        """As a call, with another lowest score."""
        from mmdet.apis import inference_detector

        found = inference_detector(self.detector, image).pred_instances.cpu().numpy()
        kept = (found.labels == self.category) & (found.scores >= score_thr)
        return found.bboxes[kept].astype(np.float64), found.scores[kept].astype(np.float64)

    def __str__(self) -> str:
        return f'detector {self.name}, score >= {self.score_thr:g}'
