"""Two models as one: small people by the one, larger people by the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .pose_model import Crops, PoseModel

__all__ = ['PoseBySize']


class PoseBySize:
    """Small people by a clip model made for them, all others by a model of single images.

    To :class:`~star_pose.apis.pose_run.PoseRun` it is one :class:`PoseModel`. In its
    :class:`Crops` the pixels are an array (N,) of objects: (T, 3, h, w) of a small person,
    (3, h, w) of another.

    Args:
        small: A clip model.
        large: A model of single images with the same joints and codec.
        limit: Height in pixels of the frame below which somebody is small. Whoever lies counts by
            the height of the crop that his width asks for.

    Raises:
        ValueError: If the two models cannot stand for each other.
    """

    def __init__(self, small: PoseModel, large: PoseModel, limit: float) -> None:
        same = (
            small.gives_heatmaps and large.gives_heatmaps,
            (small.input_size == large.input_size).all(),
            small.dataset_meta['keypoint_id2name'] == large.dataset_meta['keypoint_id2name'],
            small.is_clip and not large.is_clip,
        )
        if not all(same):
            raise ValueError(
                f'{small.config} and {large.config} must give heatmaps of the same joints and '
                'crop, the first of clips, the second of single images'
            )
        self.small, self.large, self.limit = small, large, limit
        self.config = f'{large.config}; people below {limit:g} pixels by {small.config}'
        self.dataset_meta = large.dataset_meta
        self.num_frames, self.target_index = small.num_frames, small.target_index
        self.fusion = small.fusion
        self.gives_heatmaps = True
        self.peaks, self.decode = large.peaks, large.decode

    @property
    def backend(self) -> str:
        """The runtime in use."""
        return self.large.backend

    def is_small(self, boxes: np.ndarray) -> np.ndarray:
        """Tell who is small, (N,) bool, of boxes (N, 4) as x1 y1 x2 y2."""
        width, height = self.large.input_size
        sides = boxes[:, 2:] - boxes[:, :2]
        return np.maximum(sides[:, 1], sides[:, 0] * height / width) < self.limit

    def cut(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> Crops:
        """Cut people out of a clip, each for his model; as :meth:`PoseModel.cut`."""
        pixels = np.empty(len(boxes), object)
        centres, scales = np.empty((2, len(boxes), 2))
        for model, rows in self._divided(self.is_small(boxes)):
            clip = images if model.is_clip else [images[self.target_index]]
            crops = model.cut(clip, boxes[rows])
            for row, crop in zip(rows, crops.pixels, strict=True):
                pixels[row] = crop
            centres[rows], scales[rows] = crops.centres, crops.scales
        return Crops(pixels, centres, scales)

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run each person's network.

        Args:
            pixels: As of :meth:`cut`.

        Returns:
            Heatmaps (N, K, h, w) float32, alone in a tuple.
        """
        heatmaps = [None] * len(pixels)
        for model, rows in self._divided(np.array([crop.ndim == 4 for crop in pixels])):
            (found,) = model.run(np.stack([pixels[row] for row in rows]))
            for row, maps in zip(rows, found, strict=True):
                heatmaps[row] = maps
        return (np.stack(heatmaps),)

    def _divided(self, small: np.ndarray) -> list[tuple[PoseModel, np.ndarray]]:
        """Each model that somebody is for, and the rows of its people."""
        rows = (self.small, np.flatnonzero(small)), (self.large, np.flatnonzero(~small))
        return [(model, chosen) for model, chosen in rows if len(chosen)]
