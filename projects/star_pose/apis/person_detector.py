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
_WIDE = 1000  # pixels a tile: of a wider frame one look shows people of 60 pixels smaller than 25
_MOST_TILES = 4
_TALL = 0.15  # of the frame's longer side; so tall people are found best in the whole frame
_PART = 0.6  # share of a box inside a tall person's from which it is a part of him


class PersonDetector:
    """Finds people in frames, from about 25 pixels of height in the network's input.

    It looks at the whole frame, its longer side brought to 416 pixels, which NanoDet was trained
    with. People who are small in wide frames need a second look: the longer side at ``tiles`` x 416
    pixels shows the frame in the detail of so many tiles a side, in one pass and without seams, as
    the network is fully convolutional. It adds the people who are no part of a tall one that the
    first look found, and costs ``tiles`` squared times as much.

    A box's sides are expectations of distributions over 11 distances (generalized focal loss), as
    in "Generalized focal loss: Learning qualified and distributed bounding boxes for dense object
    detection", NeurIPS 2020.

    Args:
        tiles: Tiles a side whose detail the second look has; 1: there is none. None: one tile for
            every 1000 pixels of the frame's longer side, 4 at most.
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
        tiles: int | None = None,
        score_thr: float = 0.5,
        nms_thr: float = 0.5,
        threads: int = 0,
        weights: str = _WEIGHTS,
    ):
        if tiles is not None and tiles < 1:
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
        longer = max(image.shape[:2])
        tiles = min(_MOST_TILES, -(-longer // _WIDE)) if self.tiles is None else self.tiles
        boxes, scores = self._look(image, 1, score_thr)
        if tiles > 1:
            boxes, scores = _join(
                (boxes, scores), self._look(image, tiles, score_thr), _TALL * longer, self.nms_thr
            )
        return boxes, scores

    def __str__(self) -> str:
        tiles = '' if self.tiles is None else f', {self.tiles}x{self.tiles} tiles'
        return f'built-in NanoDet, score >= {self.score_thr:g}{tiles}'

    def _look(
        self, image: np.ndarray, tiles: int, score_thr: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) float64 and scores (N,) at one size of the frame."""
        pixels, factor = self._prepare(image, tiles)
        outputs = self._session.run(None, {self._input: pixels})
        half = len(outputs) // 2
        found = [
            _decode(scores[0], sides[0], stride, pixels.shape[2:], score_thr)
            for scores, sides, stride in zip(outputs[:half], outputs[half:], _STRIDES, strict=True)
        ]
        boxes, scores = (
            np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True)
        )
        h, w = image.shape[:2]
        boxes = np.clip(boxes / np.tile(factor, 2), 0, [w, h, w, h])
        boxes, scores = _suppress(boxes, scores, self.nms_thr)
        kept = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
        return boxes[kept], scores[kept]

    def _prepare(self, image: np.ndarray, tiles: int) -> tuple[np.ndarray, np.ndarray]:
        """The network's input (1, 3, h, w), its sides multiples of 32, and its scale (x, y)."""
        h, w = image.shape[:2]
        zoom = self.side * tiles / max(h, w)
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


def _suppress(
    boxes: np.ndarray, scores: np.ndarray, nms_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of boxes (N, 4) with more IoU than this leave the surest."""
    sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])  # x y w h
    kept = np.asarray(cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0.0, nms_thr), int).ravel()
    return boxes[kept], scores[kept]


def _join(
    whole: tuple[np.ndarray, np.ndarray],
    detail: tuple[np.ndarray, np.ndarray],
    tall: float,
    nms_thr: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Add the people of a look at the detail to those of a look at the whole frame.

    Args:
        whole: Boxes (N, 4) as x1 y1 x2 y2 and scores (N,). Everybody stays, or gives way to a
            surer box of the same size.
        detail: Boxes (M, 4) and scores (M,); only people below ``tall`` count, as taller ones
            come apart in it, and so does who lies within a tall one.
        tall: Height in pixels.
        nms_thr: Of two boxes of people below ``tall`` with more IoU than this the surer one stays.
    """
    (boxes, scores), (added, added_scores) = whole, detail
    is_tall = boxes[:, 3] - boxes[:, 1] >= tall
    corners = boxes[is_tall][:, None]  # L 1 4
    shared = np.minimum(added[:, 2:], corners[..., 2:]) - np.maximum(added[:, :2], corners[..., :2])
    areas = (added[:, 2:] - added[:, :2]).prod(1)
    is_part = (shared.clip(0).prod(-1) > _PART * areas).any(0)  # L M -> M
    counts = (added[:, 3] - added[:, 1] < tall) & ~is_part
    small, small_scores = _suppress(
        np.concatenate([boxes[~is_tall], added[counts]]),
        np.concatenate([scores[~is_tall], added_scores[counts]]),
        nms_thr,
    )
    return np.concatenate([boxes[is_tall], small]), np.concatenate([scores[is_tall], small_scores])
