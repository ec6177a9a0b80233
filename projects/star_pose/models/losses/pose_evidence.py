"""Where the joints and limbs of a person are: the map that steers super-resolution to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['pose_evidence']


def _grid(size: tuple[int, int], stride: int, like: Tensor) -> Tensor:
    """Pixel coordinates of the cells' centres: (h w, 2), x first, on the half-pixel grid."""
    width, height = (-(-side // stride) for side in size)
    xs = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) * stride - 0.5
    ys = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) * stride - 0.5
    y, x = torch.meshgrid(ys, xs, indexing='ij')
    return torch.stack([x, y], -1).flatten(0, 1)  # (h, w, 2) -> (h w, 2)


def _squared_distance_to_segment(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distances (N, L, P) of points (P, 2) to segments with ends (N, L, 2); x first."""
    along = end - start  # (N, L, 2)
    length2 = (
        along.square().sum(-1, keepdim=True).clamp(min=1e-6)
    )  # (N, L, 1); a point has length 0
    # |p - s|^2 is expanded by axes: no (N, L, P, 2) tensor is made.
    dx = points[:, 0] - start[..., :1]  # (N, L, P)
    dy = points[:, 1] - start[..., 1:]
    position = ((dx * along[..., :1] + dy * along[..., 1:]) / length2).clamp(0, 1)
    return (dx - position * along[..., :1]) ** 2 + (dy - position * along[..., 1:]) ** 2


@torch.no_grad()
def pose_evidence(
    keypoints: Tensor,
    visible: Tensor,
    size: tuple[int, int],
    skeleton: Sequence[tuple[int, int]] | None = None,
    sigma: float = 6.0,
    limb_sigma: float = 4.0,
    stride: int = 2,
) -> Tensor:
    """Draw the maximum of Gaussians around joints and around the lines between them.

    A joint that is not labelled or lies outside the frame adds nothing, and neither does a limb
    with such an
    end: its line would be a guess.

    Args:
        keypoints: (N, K, 2), x first, in pixels of the frame.
        visible: (N, K), labelled where positive.
        size: (w, h) of the frame in pixels.
        skeleton: Pairs of joint indices; None draws joints alone.
        sigma: Standard deviation in pixels around a joint.
        limb_sigma: The same around a limb's line.
        stride: The map is computed at every ``stride``-th pixel and interpolated, which costs
            ``stride**2`` times less; 1 is exact.

    Returns:
        Tensor: (N, 1, h, w) in [0, 1], without gradient.
    """
    keypoints = keypoints.float()
    width, height = size
    limit = keypoints.new_tensor([width - 1, height - 1])
    inside = ((keypoints >= 0) & (keypoints <= limit)).all(-1)  # (N, K, 2) -> (N, K)
    valid = (visible > 0) & inside
    points = _grid(size, stride, keypoints)  # (P, 2)
    squared = _squared_distance_to_segment(points, keypoints, keypoints)  # (N, K, P)
    exponents = [(-squared / (2 * sigma**2)).masked_fill(~valid[..., None], -torch.inf)]
    if skeleton is not None and len(skeleton) > 0:
        first, second = torch.as_tensor(skeleton, device=keypoints.device).long().unbind(-1)
        squared = _squared_distance_to_segment(points, keypoints[:, first], keypoints[:, second])
        both = (valid[:, first] & valid[:, second])[..., None]  # (N, L, 1)
        exponents.append((-squared / (2 * limb_sigma**2)).masked_fill(~both, -torch.inf))
    evidence = torch.cat(exponents, 1).amax(1).exp()  # (N, K + L, P) -> (N, P)
    rows = -(-height // stride)
    evidence = evidence.unflatten(1, (1, rows, -1))  # (N, P) -> (N, 1, h/s, w/s)
    if stride == 1:
        return evidence
    evidence = F.interpolate(evidence, scale_factor=stride, mode='bilinear', align_corners=False)
    return evidence[..., :height, :width]
