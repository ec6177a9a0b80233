"""The built-in detector of people: NanoDet by onnxruntime."""

import os.path as osp

import cv2
import numpy as np
import onnxruntime

from ..datasets.errors import DataNotFoundError

__all__ = ['PersonDetector']

_WEIGHTS = osp.join(osp.dirname(osp.dirname(__file__)), 'weights', 'nanodet.onnx')
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)  # BGR
_STD = np.array([57.375, 57.12, 58.395], np.float32)
_STRIDES = (8, 16, 32)
_PERSON = 0  # COCO's first class


class PersonDetector:
    """Finds people in frames, from about 25 pixels of height in the network's input.

    The frame's longer side is brought to ``tiles`` x 416 pixels. NanoDet was trained with 416; as
    it is fully convolutional, an input of 832 pixels shows it the frame in the detail of 2 x 2
    overlapping tiles, in one pass and without seams. It costs four times as much.

    A box's sides are expectations of distributions over 11 distances (generalized focal loss), as
    in "Generalized focal loss: Learning qualified and distributed bounding boxes for dense object
    detection", NeurIPS 2020.

    Args:
        tiles: Tiles a side whose detail the frame is seen in; 2 or more for small people.
        score_thr: Lowest score of a person.
        nms_thr: Of two boxes with more than this IoU the surer one stays.
        threads: Of the runtime; 0 lets it choose.
        weights: Another file of the same network.

    Raises:
        DataNotFoundError: If there is no such file.
        ValueError: If a number is out of its range.
    """

    side = 416

    def __init__(
        self,
        tiles: int = 1,
        score_thr: float = 0.5,
        nms_thr: float = 0.5,
        threads: int = 0,
        weights: str = _WEIGHTS,
    ):
        if tiles < 1:
            raise ValueError(f'tiles={tiles}: give 1, or 2 and more for small people')
        for name, value in (('score_thr', score_thr), ('nms_thr', nms_thr)):
            if not 0 < value < 1:
                raise ValueError(f'{name}={value} must lie between 0 and 1')
        if not osp.isfile(weights):
            raise DataNotFoundError.describe('weights of the detector', weights)
        self.tiles = tiles
        self.score_thr = score_thr
        self.nms_thr = nms_thr
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Between two looks its threads would wait for work at full speed
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self._session = onnxruntime.InferenceSession(
            weights, options, providers=['CPUExecutionProvider']
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the people of a frame.

        Args:
            index: Not used; box sources have it.
            image: (H, W, 3) uint8 BGR.

        Returns:
            Boxes (N, 4) float64 as x1 y1 x2 y2 in pixels, inside the frame, and scores (N,).
        """
        return self.detect(image, self.score_thr)

    def detect(self, image: np.ndarray, score_thr: float) -> tuple[np.ndarray, np.ndarray]:
        """As a call, with another lowest score."""
        pixels, factor = self._prepare(image)
        outputs = self._session.run(None, {self._input: pixels})
        half = len(outputs) // 2
        found = [
            _decode(scores[0], sides[0], stride, pixels.shape[2:], score_thr)
            for scores, sides, stride in zip(outputs[:half], outputs[half:], _STRIDES, strict=True)
        ]
        boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        h, w = image.shape[:2]
        boxes = np.clip(boxes / np.tile(factor, 2), 0, [w, h, w, h])
        kept = np.asarray(
            cv2.dnn.NMSBoxes(
                np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist(),
                scores.tolist(),
                score_thr,
                self.nms_thr,
            ),
            int,
        ).ravel()
        kept = kept[(boxes[kept, 2:] - boxes[kept, :2] >= 1).all(1)]
        return boxes[kept].astype(np.float64), scores[kept].astype(np.float64)

    def __str__(self) -> str:
        detail = f', {self.tiles}x{self.tiles} tiles' if self.tiles > 1 else ''
        return f'built-in NanoDet, score >= {self.score_thr:g}{detail}'

    def _prepare(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The network's input (1, 3, h, w), its sides multiples of 32, and its scale (x, y)."""
        h, w = image.shape[:2]
        zoom = self.side * self.tiles / max(h, w)
        size = [max(32, 32 * round(side * zoom / 32)) for side in (w, h)]
        method = cv2.INTER_AREA if zoom < 0.5 else cv2.INTER_LINEAR
        small = cv2.resize(image, size, interpolation=method).astype(np.float32)
        small = (small - _MEAN) / _STD
        return small.transpose(2, 0, 1)[None], np.array(size) / (w, h)  # H W C -> 1 C H W


def _decode(
    scores: np.ndarray, sides: np.ndarray, stride: int, shape: tuple[int, int], score_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one level, in pixels of the network's input.

    Args:
        scores: (L, 80) of the L = h w cells.
        sides: (L, 4 x 11) logits of the distances to left, top, right and bottom, in cells.
        stride: Pixels of a cell.
        shape: (H, W) of the input.
        score_thr: Cells below it are left out.

    Returns:
        (N, 4) as x1 y1 x2 y2 and (N,).
    """
    kept = np.flatnonzero(scores[:, _PERSON] >= score_thr)
    logits = sides[kept].reshape(len(kept), 4, sides.shape[1] // 4)  # L (4 11) -> N 4 11
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    distances = stride * (weights @ np.arange(weights.shape[-1], dtype=np.float32))  # N 4
    rows, columns = np.divmod(kept, -(-shape[1] // stride))
    centres = stride * (np.stack([columns, rows], axis=1) + 0.5) - 0.5
    return np.hstack([centres - distances[:, :2], centres + distances[:, 2:]]), scores[
        kept, _PERSON
    ]
