"""What the frames around say about a frame: the heatmaps of each track, kept and fused."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..models import EvidenceFusion
from ..models.layers.evidence_fusion import ENLARGE

__all__ = ['FrameEvidence', 'TrackEvidence', 'average_evidence']


@dataclass
class FrameEvidence:
    """What one frame says about one person.

    Attributes:
        heatmaps: (K, h, w) float32.
        crop: (3, h, w) uint8, what they were computed from, in the size of the heatmaps.
        centre, scale: (2,) of the crop in the frame, in pixels.
    """

    heatmaps: np.ndarray
    crop: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @functools.cached_property
    def grey(self) -> np.ndarray:
        """The crop (h, w) uint8, the mean of its channels."""
        return np.rint(self.crop.mean(0)).astype(np.uint8)

    @functools.cached_property
    def cells(self) -> np.ndarray:
        """The heatmaps with the joints last, (h, w, K), as OpenCV warps them."""
        return np.ascontiguousarray(self.heatmaps.transpose(1, 2, 0))

    @classmethod
    def of(
        cls, heatmaps: np.ndarray, crop: np.ndarray, centre: np.ndarray, scale: np.ndarray
    ) -> FrameEvidence:
        """Evidence with a crop (3, H, W) of any size."""
        size = heatmaps.shape[:0:-1]
        image = np.ascontiguousarray(crop.transpose(1, 2, 0))  # 3 H W -> H W 3
        if image.shape[1::-1] != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return cls(heatmaps, image.transpose(2, 0, 1), centre, scale)

    def placement(self, other: FrameEvidence) -> np.ndarray:
        """Where cells of this crop lie in another frame's crop of the same person, (2, 3)."""
        size = np.array(self.heatmaps.shape[:0:-1], float)  # (w, h)
        ratio = self.scale / other.scale
        # In the frame a cell lies at centre + ((cell + 0.5) / size - 0.5) scale
        moved = (self.centre - other.centre) / other.scale + 0.5 * (1 - ratio)
        return np.column_stack([np.diag(ratio), size * moved + 0.5 * (ratio - 1)])


class TrackEvidence:
    """The latest frames of every track: each frame's heatmaps are computed once and kept here.

    Args:
        fusion: Brings the heatmaps together; the model's own if it has learned one.
        before: Frames before the target that count.
        after: Frames after it.
    """

    def __init__(self, fusion: EvidenceFusion, before: int, after: int):
        self.fusion, self.before, self.after = fusion, before, after
        # A fusion that has learned nothing is a plain average, which OpenCV computes far sooner
        self._plain = type(fusion) is EvidenceFusion and not any(
            bool(parameter.any()) for parameter in fusion.parameters()
        )
        self._tracks: dict[int, OrderedDict[int, FrameEvidence]] = {}

    def add(self, track: int, frame: int, evidence: FrameEvidence) -> None:
        """Keep what a frame says about a track."""
        frames = self._tracks.setdefault(track, OrderedDict())
        frames[frame] = evidence
        while len(frames) > self.before + self.after + 1:
            frames.popitem(last=False)

    def forget(self, before: int) -> None:
        """Drop tracks that were last seen before a frame: memory must not grow with the video."""
        ended = [track for track, frames in self._tracks.items() if next(reversed(frames)) < before]
        for track in ended:
            del self._tracks[track]

    def fuse(self, tracks: Sequence[int], frame: int) -> np.ndarray:
        """Fuse all evidence for a frame.

        Args:
            tracks: N tracks that the frame has been added to.
            frame: Its number.

        Returns:
            (N, K, h, w) float32.
        """
        by_length = defaultdict(list)  # people with as many frames go through at once
        for row, track in enumerate(tracks):
            numbers = [
                number
                for number in self._tracks[track]
                if frame - self.before <= number <= frame + self.after
            ]
            by_length[len(numbers), numbers.index(frame)].append((row, track, numbers))
        fused: list = [None] * len(tracks)
        for (_, index), group in by_length.items():
            clips = [[self._tracks[track][n] for n in numbers] for _, track, numbers in group]
            for (row, _, _), heatmaps in zip(group, self._fuse(clips, index), strict=True):
                fused[row] = heatmaps
        return np.stack(fused)

    def _fuse(self, clips: list[list[FrameEvidence]], index: int) -> np.ndarray:
        """Fuse clips of equal length, N lists of E."""
        if len(clips[0]) == 1:
            return np.stack([clip[0].heatmaps for clip in clips])
        if self._plain:
            return np.stack([average_evidence(clip, index) for clip in clips])
        maps = np.stack([[e.heatmaps for e in clip] for clip in clips])  # N E K h w
        crops = np.stack([[e.crop for e in clip] for clip in clips])  # N E 3 H W
        places = np.stack([[clip[index].placement(e) for e in clip] for clip in clips])
        with torch.inference_mode():
            return self.fusion(
                torch.from_numpy(maps),
                (torch.from_numpy(crops).float() - 114) / 57,  # the fusion's grey levels
                index,
                torch.from_numpy(places),
            ).numpy()


def average_evidence(clip: Sequence[FrameEvidence], index: int) -> np.ndarray:
    """Average the heatmaps of a clip, brought to one of its frames by motion.

    What :class:`EvidenceFusion` computes before it has learned anything, a few times sooner: by
    OpenCV, and without the way back, which only learned weights look at.

    Args:
        clip: E frames of a person.
        index: The target's place among them.

    Returns:
        (K, h, w) float32.
    """
    target = clip[index]
    h, w = target.grey.shape
    size = ENLARGE * w, ENLARGE * h
    first = cv2.resize(target.grey, size, interpolation=cv2.INTER_CUBIC)
    columns, rows = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    total = target.cells.copy()
    count = np.ones((h, w, 1), np.float32)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    for other in clip[:index] + clip[index + 1 :]:
        place = target.placement(other)
        seen = cv2.warpAffine(
            other.grey,
            place,
            (w, h),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        second = cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC)
        flow = cv2.resize(dis.calc(first, second, None), (w, h), interpolation=cv2.INTER_AREA)
        flow /= ENLARGE
        # Crops are not turned: x depends on x alone, and y on y
        x = (place[0, 0] * (columns + flow[..., 0]) + place[0, 2]).astype(np.float32)
        y = (place[1, 1] * (rows + flow[..., 1]) + place[1, 2]).astype(np.float32)
        moved = cv2.remap(other.cells, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (np.abs(x - (w - 1) / 2) <= w / 2) & (np.abs(y - (h - 1) / 2) <= h / 2)
        if not inside.all():
            moved *= inside[..., None]
        total += moved
        count += inside[..., None]
    return np.ascontiguousarray((total / count).transpose(2, 0, 1))
