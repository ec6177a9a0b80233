"""Pictures of people as the front end gets them and as the pose network gets them from it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..datasets.errors import LabelError
from ..visualization import (
    draw_fusion_weights,
    draw_people,
    resize_nearest,
    stack_columns,
    stack_row,
    titled,
)
from .pose_model import Crops, PoseModel, PoseNetwork
from .pose_run import VideoPoseFrame
from .shipped_models import find_model

__all__ = ['CloseUps']

_TILE = (192, 256)  # w x h, of a person
_WHOLE = 'everybody, in the frame'


class CloseUps:
    """Shows what a model with a super-resolving front end does to people of a video.

    Args:
        model: Name of a shipped model, or a config file.
        checkpoint: Weights, for a config; shipped models have theirs.

    Raises:
        DataNotFoundError: If there is no such model.
        LabelError: If the model makes no super-resolved frame.
    """

    def __init__(self, model: str, checkpoint: str | None = None) -> None:
        if checkpoint is None:
            model, checkpoint = find_model(model)
        self.model = PoseModel(model, checkpoint, backend='torch')
        if not hasattr(self.model.model.head, 'super_resolve'):
            raise LabelError(
                f'{self.model.config} has no front end that super-resolves; '
                'try star_pose_movenet-lightning'
            )
        self._network = PoseNetwork(self.model.model).eval()

    def person(self, frames: Sequence[VideoPoseFrame], at: int, row: int) -> list[np.ndarray]:
        """One person in one frame, four times.

        Args:
            frames: Of the video, in order.
            at: Place of the frame among them; before the first and after the last they repeat.
            row: Of the person in that frame.

        Returns:
            (256, 192, 3) uint8 RGB each: the pixels that go in, the same upsampled bicubically,
            the super-resolved frame, and the pose on the pixels that went in.
        """
        frame, crops = frames[at], self._cut(frames, at, row)
        low = self._target(crops)
        corner = crops.centres[0] - 0.5 * crops.scales[0]
        keypoints = (frame.keypoints[row : row + 1] - corner) / crops.scales[0] * _TILE
        squares = resize_nearest(low, _TILE)
        pose = draw_people(
            squares,
            keypoints,
            frame.scores[row : row + 1],
            np.array([[-999.0, -999.0, -999.0 + _TILE[0], -999.0 + _TILE[1]]]),  # out of sight
            [-1],
            self.model.dataset_meta,
        )
        bicubic = cv2.resize(low, _TILE, interpolation=cv2.INTER_CUBIC)
        return [squares, bicubic, self.super_resolved(crops.pixels), pose]

    def _cut(self, frames: Sequence[VideoPoseFrame], at: int, row: int) -> Crops:
        """The clip that the model gets of a person: pixels (1, T, 3, h, w)."""
        model = self.model
        offsets = range(-model.target_index, model.num_frames - model.target_index)
        places = [min(max(at + n, 0), len(frames) - 1) for n in offsets]
        return model.cut([frames[n].image for n in places], frames[at].boxes[row : row + 1])

    def _target(self, crops: Crops) -> np.ndarray:
        """The target frame of a clip: (h, w, 3) uint8 RGB."""
        frame = crops.pixels[0, self.model.target_index].transpose(1, 2, 0)  # C H W -> H W C
        return np.ascontiguousarray(frame[..., ::-1])

    def _normalised(self, pixels: np.ndarray) -> torch.Tensor:
        """What the network computes with: (1, T, 3, h, w)."""
        values = torch.from_numpy(pixels).float().flip(-3)  # BGR -> RGB
        return (values - self._network.mean) / self._network.std

    @torch.no_grad()
    def super_resolved(self, pixels: np.ndarray) -> np.ndarray:
        """The frame that the pose network gets.

        Args:
            pixels: (1, T, 3, h, w) uint8 BGR.

        Returns:
            (256, 192, 3) uint8 RGB.
        """
        network = self._network
        feats = network.model.extract_feat(self._normalised(pixels))
        frame = network.model.head.super_resolve(feats)[0] * network.std + network.mean
        picture = frame.clamp(0, 255).round().byte().permute(1, 2, 0)  # C H W -> H W C
        return cv2.resize(picture.numpy(), _TILE, interpolation=cv2.INTER_AREA)

    @torch.no_grad()
    def fusion(self, frames: Sequence[VideoPoseFrame], at: int, row: int) -> np.ndarray:
        """How much the fusion trusts each branch of the front end, and where.

        Args:
            frames: Of the video, in order.
            at: Place of the frame among them.
            row: Of the person in that frame.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        crops, model = self._cut(frames, at, row), self.model.model
        branches = model.backbone(self._normalised(crops.pixels))
        weights = model.neck.fusion_weights(branches)[0]
        return draw_fusion_weights(weights, image=self._target(crops))

    def panel(self, frames: Sequence[VideoPoseFrame], at: int, track: int) -> np.ndarray:
        """A frame with everybody's pose, and below it one person from the pixels to the pose.

        Args:
            frames: As of :meth:`person`.
            at: As of :meth:`person`.
            track: Id of the person; who is not in the frame leaves empty tiles.

        Returns:
            (H, W, 3) uint8 RGB, of the same size for every frame of a video.
        """
        frame = frames[at]
        drawn = self.whole(frame)
        (row,) = np.flatnonzero(frame.track_ids == track)[:1] if track in frame.track_ids else (-1,)
        tiles = [np.full((*_TILE[::-1], 3), 235, np.uint8)] * 4
        if row >= 0:
            tiles = self.person(frames, at, int(row))
        return stack_columns([titled(drawn, _WHOLE), stack_row(self._titled(tiles))])

    def whole(self, frame: VideoPoseFrame) -> np.ndarray:
        """A frame with everybody's pose, as wide as four tiles: (H, W, 3) uint8 RGB."""
        h, w = frame.image.shape[:2]
        factor = (4 * _TILE[0] + 24) / w
        large = cv2.resize(frame.image[..., ::-1], (round(w * factor), round(h * factor)))
        poses = frame.keypoints * factor, frame.scores, frame.boxes * factor, frame.track_ids
        return draw_people(large, *poses, self.model.dataset_meta)

    def sheet(self, frames: Sequence[VideoPoseFrame], at: int) -> np.ndarray:
        """Everybody in a frame, a row each: (H, W, 3) uint8 RGB."""
        rows = [self.person(frames, at, row) for row in range(len(frames[at].boxes))]
        return stack_columns([stack_row(self._titled(tiles)) for tiles in rows])

    def _titled(self, tiles: Sequence[np.ndarray]) -> list[np.ndarray]:
        names = ('in: 64x48 pixels', 'bicubic, to compare', 'made for the network', 'out: the pose')
        return [titled(tile, name) for tile, name in zip(tiles, names, strict=True)]
