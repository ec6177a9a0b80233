"""Evidence fusion: the heatmaps of a clip's frames, brought to one of them by motion and averaged.

A pose network errs differently in each frame of a person. Its heatmaps of E frames, moved to the
target frame along a dense optical flow, say more together than the target's alone. The flow is
OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", arXiv 1603.03590) on
the low-resolution frames, 0.2 ms a pair on one core.

:class:`EvidenceFusion` takes a clip's frames and maps at once. A video needs each frame's maps only
once: keep them for a track, and call it with those of the last frames. When the person's box moves,
``placements`` says where the target's crop lies in each frame's own crop.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['EvidenceFusion', 'clip_motion', 'dense_flow', 'sample_maps']

ENLARGE = 2
"""The flow is computed on frames that are enlarged so many times."""


def dense_flow(target: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Find where each pixel of the target lies in the other frame.

    Args:
        target: (h, w) uint8, grey.
        other: (h, w) uint8, grey.

    Returns:
        (h, w, 2) float32: x and y to be added to a pixel's place in the target.
    """
    height, width = target.shape
    size = (ENLARGE * width, ENLARGE * height)
    first, second = (
        cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in (target, other)
    )
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(first, second, None)
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / ENLARGE


@torch.no_grad()
def clip_motion(frames: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the motion from one frame of each clip to all of them, and how far it can be trusted.

    Args:
        frames: (N, E, 3, h, w), normalised.
        index: The target's place among the E frames.

    Returns:
        tuple: The motion (N, E, h, w, 2), x first, in pixels. The doubt (N, E, h, w): how far the
        way there and back ends from where it began, in pixels. The mismatch (N, E, h, w): how much
        the frame differs at its end from the target, in grey levels. All 0 for the target itself.
    """
    # A fixed rule, whatever the normalisation: the flow does not mind brightness and contrast.
    grey = (frames.float().mean(2) * 57 + 114).round().clamp(0, 255).byte().cpu().numpy()
    height, width = grey.shape[2:]
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    motion = np.zeros((*grey.shape, 2), np.float32)
    doubt, mismatch = np.zeros(grey.shape, np.float32), np.zeros(grey.shape, np.float32)
    for n, clip in enumerate(grey):
        for place in set(range(len(clip))) - {index}:
            there, back = dense_flow(clip[index], clip[place]), dense_flow(clip[place], clip[index])
            ends = columns + there[..., 0], rows + there[..., 1]
            back = cv2.remap(back, *ends, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            seen = cv2.remap(clip[place], *ends, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            motion[n, place] = there
            doubt[n, place] = np.linalg.norm(there + back, axis=-1)
            mismatch[n, place] = np.abs(seen.astype(np.float32) - clip[index])
    return tuple(torch.from_numpy(x).to(frames.device) for x in (motion, doubt, mismatch))


def sample_maps(maps: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Read maps at other places, bilinearly.

    Args:
        maps: (B, K, h, w).
        positions: (B, h', w', 2), x first, in cells; the first cell's centre is at 0.

    Returns:
        tuple: The values (B, K, h', w'), and (B, 1, h', w'), 1 where the place is inside the map.
    """
    height, width = maps.shape[-2:]
    size = positions.new_tensor([width, height])
    grid = (2 * positions + 1) / size - 1
    values = F.grid_sample(maps, grid.to(maps.dtype), padding_mode='border', align_corners=False)
    return values, (grid.abs() <= 1).all(-1).unsqueeze(1).to(maps.dtype)


@MODELS.register_module()
class EvidenceFusion(BaseModule):
    """Average the heatmaps of E frames, each brought to the target frame by motion.

    Each frame's weight at a cell is a softmax over the frames of a linear score, whose coefficients
    start at zero: the plain average. It knows how many frames lie between, how far the motion can
    be trusted there (``doubt`` and ``mismatch`` of :func:`clip_motion`), and how sharp the joint's
    map is (the logarithm of its peak). Places that come from outside a frame do not count.

    Args:
        num_frames: Frames E whose maps are fused.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If ``num_frames`` is below 1.
    """

    def __init__(self, num_frames: int = 5, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        if num_frames < 1:
            raise ValueError(f'num_frames is {num_frames}; it must be at least 1')
        self.num_frames = num_frames
        self.distance = nn.Parameter(torch.zeros(num_frames - 1))  # of 1, 2, ... frames
        self.coefficients = nn.Parameter(torch.zeros(3))  # doubt, mismatch, sharpness

    def forward(
        self, maps: Tensor, frames: Tensor, index: int, placements: Tensor | None = None
    ) -> Tensor:
        """Fuse the maps.

        Args:
            maps: (N, E, K, h, w), not negative where they say nothing of a joint.
            frames: (N, E, 3, h, w), the LR frames that they are of, normalised, in time order.
            index: The target's place among the E frames.
            placements: (N, E, 2, 3), affine maps from cells of the target's crop to cells of each
                frame's own crop; None: all frames have one crop.

        Returns:
            Tensor: (N, K, h, w).
        """
        num_frames = maps.shape[1]
        if num_frames == 1:
            return maps[:, 0]
        height, width = maps.shape[-2:]
        cells = _cells(height, width, maps.device)  # h w 2
        own_places = cells.expand(*maps.shape[:2], -1, -1, -1)  # N E h w 2
        frames = _resize(frames.float(), (height, width))
        if placements is not None:
            places = _apply(placements, own_places)
            frames = sample_maps(frames.flatten(0, 1), places.flatten(0, 1))[0].view_as(frames)
        motion, doubt, mismatch = clip_motion(frames, index)
        places = own_places + motion
        if placements is not None:
            places = _apply(placements, places)
        warped, inside = (
            x.unflatten(0, maps.shape[:2])  # NE . h w -> N E . h w
            for x in sample_maps(maps.flatten(0, 1), places.flatten(0, 1))
        )
        peak = warped.flatten(3).amax(-1)[..., None, None]  # N E K 1 1
        signs = (
            doubt.clamp(max=4).unsqueeze(2),  # N E 1 h w
            (mismatch / 20).clamp(max=4).unsqueeze(2),
            peak.clamp(min=1e-3).log(),
        )
        score = sum(c * sign for c, sign in zip(self.coefficients, signs, strict=True))
        between = (torch.arange(num_frames, device=maps.device) - index).abs()
        bias = F.pad(self.distance, (1, 0))[between]  # E; 0 for the target itself
        score = score + bias.view(1, -1, 1, 1, 1)
        # The target's own cells are always inside, so that no cell is without a frame.
        score = score.masked_fill(inside == 0, -torch.inf)
        return (score.softmax(1) * warped).sum(1)


def _cells(height: int, width: int, device: torch.device) -> Tensor:
    """The places of the cells of a map, (h, w, 2), x first."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing='ij',
    )
    return torch.stack((x, y), -1)


def _apply(affine: Tensor, places: Tensor) -> Tensor:
    """Apply affine maps (N, E, 2, 3) to places (N, E, h, w, 2)."""
    turned = torch.einsum('neij,nehwj->nehwi', affine[..., :2].to(places.dtype), places)
    return turned + affine[..., None, None, :, 2].to(places.dtype)


def _resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring frames (N, E, 3, h, w) to the size (height, width) of the maps."""
    if frames.shape[-2:] == size:
        return frames
    resized = F.interpolate(frames.flatten(0, 1), size, mode='bilinear', align_corners=False)
    return resized.unflatten(0, frames.shape[:2])
