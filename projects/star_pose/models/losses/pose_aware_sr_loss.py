"""Compound loss that makes super-resolution serve keypoints: pixels, structure and pose."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['PoseAwareSRLoss', 'charbonnier', 'pose_evidence', 'scale_loss', 'weighted_mean']

DEFAULT_WEIGHTS = {'pose': 1.0, 'pixel': 1.0, 'structure': 0.5}
EPS = 1e-3
"""Charbonnier's rounding, in units of the normalised image."""


def charbonnier(difference: Tensor) -> Tensor:
    """Return a smooth absolute value, 0 at 0."""
    return (difference.square() + EPS**2).sqrt() - EPS


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Average (N, C, h, w) by weights (N, 1, h, w): (N,), 0 where all weights are 0."""
    total = (error.mean(1, keepdim=True) * weight).flatten(1).sum(1)  # (N, 1, h, w) -> (N,)
    return total / weight.flatten(1).sum(1).clamp(min=1e-6)


def _differences(image: Tensor) -> list[Tensor]:
    """Forward differences along x, (N, C, H, W-1), and y, (N, C, H-1, W)."""
    return [image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]]


def _difference_weights(weight: Tensor) -> list[Tensor]:
    """Give every difference its smaller pixel's weight, so that none reaches across the mask."""
    return [
        torch.minimum(weight[..., 1:], weight[..., :-1]),
        torch.minimum(weight[..., 1:, :], weight[..., :-1, :]),
    ]


def _squared_distance_to_segment(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distances (N, limbs, P) of points (P, 2) to segments with ends (N, limbs, 2)."""
    along = end - start  # (N, limbs, 2)
    # A segment between equal points has length 0.
    length2 = along.square().sum(-1, keepdim=True).clamp(min=1e-6)  # (N, limbs, 1)
    # |p - s|^2 is expanded by axes: no (N, limbs, P, 2) tensor is made.
    dx = points[:, 0] - start[..., :1]  # (N, limbs, P)
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
    with such an end: its line would be a guess.

    Args:
        keypoints: (N, K, 2).
        visible: (N, K), labelled where positive.
        size: (w, h) of the frame in pixels.
        skeleton: Pairs of joint indices; None draws joints alone.
        sigma: Standard deviation in pixels around a joint.
        limb_sigma: Standard deviation in pixels around a limb's line.
        stride: The map is computed at every ``stride``-th pixel and interpolated, which costs
            ``stride**2`` times less; 1 is exact.

    Returns:
        Tensor: (N, 1, H, W) in [0, 1].
    """
    keypoints = keypoints.float()
    width, height = size
    limit = keypoints.new_tensor([width - 1, height - 1])
    inside = ((keypoints >= 0) & (keypoints <= limit)).all(-1)  # (N, K, 2) -> (N, K)
    valid = (visible > 0) & inside
    xs, ys = (
        (torch.arange(-(-side // stride), device=keypoints.device) + 0.5) * stride - 0.5
        for side in size
    )
    points = torch.cartesian_prod(ys, xs).flip(-1)  # (P, 2), x first
    squared = _squared_distance_to_segment(points, keypoints, keypoints)  # (N, K, P)
    exponents = [(-squared / (2 * sigma**2)).masked_fill(~valid[..., None], -torch.inf)]
    if skeleton is not None and len(skeleton) > 0:
        first, second = torch.as_tensor(skeleton, device=keypoints.device).long().unbind(-1)
        squared = _squared_distance_to_segment(points, keypoints[:, first], keypoints[:, second])
        both = (valid[:, first] & valid[:, second])[..., None]  # (N, limbs, 1)
        exponents.append((-squared / (2 * limb_sigma**2)).masked_fill(~both, -torch.inf))
    evidence = torch.cat(exponents, 1).amax(1).exp()  # (N, K + limbs, P) -> (N, P)
    evidence = evidence.unflatten(1, (1, len(ys), len(xs)))  # (N, P) -> (N, 1, H/s, W/s)
    if stride == 1:
        return evidence
    evidence = F.interpolate(evidence, scale_factor=stride, mode='bilinear', align_corners=False)
    return evidence[..., :height, :width]


@MODELS.register_module()
class PoseAwareSRLoss(nn.Module):
    """Weigh super-resolution by where the person's joints and limbs are.

    Only the abstract of STAR-Pose names a "pose-aware compound loss"; the terms are our
    reconstruction:

    - ``pixel``: Charbonnier distance (Lai et al., arXiv 1710.01992) of SR and HR frame, averaged
      with the weight ``1 + evidence_gain * evidence``; the evidence is 1 on joints and limbs and
      falls off as a Gaussian.
    - ``structure``: the same distance of their gradients, in the same regions.
    - ``pose``: the pose head's own loss, passed through, so that one set of weights rules all.

    Everything outside the source image is masked. A sample with weight 0 adds nothing, yet its
    frame stays in the graph. Means run over all N samples, so that the others weigh no more for it.

    Args:
        sigma: Extent of a joint's evidence in HR pixels (standard deviation).
        limb_sigma: Extent of a limb's evidence, alike.
        evidence_gain: How much more a pixel on a joint counts than background; 0 switches the
            pose-awareness off.
        weights: Weight of each term, by default 0.5 for ``structure`` and 1 for ``pixel`` and
            ``pose``. A term of weight 0 is not computed.

    Raises:
        ValueError: If a weight is negative or names no term, or an extent or the gain is out of
            range.
    """

    def __init__(
        self,
        sigma: float = 6.0,
        limb_sigma: float = 4.0,
        evidence_gain: float = 4.0,
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        if min(sigma, limb_sigma) <= 0 or evidence_gain < 0:
            raise ValueError(
                f'sigma={sigma} and limb_sigma={limb_sigma} must be > 0, '
                f'evidence_gain={evidence_gain} >= 0'
            )
        self.sigma, self.limb_sigma, self.evidence_gain = sigma, limb_sigma, evidence_gain
        self.weights = dict(DEFAULT_WEIGHTS)
        for name, weight in (weights or {}).items():
            if name not in DEFAULT_WEIGHTS:
                raise ValueError(
                    f'weights names {name!r}; the terms are {", ".join(DEFAULT_WEIGHTS)}'
                )
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
                raise ValueError(f'the weight of {name!r} is {weight!r}; it must be a number >= 0')
            self.weights[name] = weight

    def forward(
        self,
        sr: Tensor,
        hr: Tensor,
        keypoints: Tensor | None = None,
        visible: Tensor | None = None,
        mask: Tensor | None = None,
        skeleton: Sequence[tuple[int, int]] | None = None,
        sample_weight: Tensor | None = None,
        pose_losses: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the weighted terms.

        Args:
            sr: (N, 3, H, W), the super-resolved frames.
            hr: (N, 3, H, W), their targets, normalised alike.
            keypoints: (N, K, 2); None: no joint is known.
            visible: (N, K), labelled where positive; None with ``keypoints`` given: all are.
            mask: (N, 1, H, W), 1 inside the source image; None: everywhere.
            skeleton: Pairs of joint indices that are limbs.
            sample_weight: (N,), 0 for samples without a target; None: 1 for all.
            pose_losses: The pose head's entries; those whose name holds ``loss`` are weighted as
                ``pose``.

        Returns:
            dict[str, Tensor]: ``loss_sr_pixel`` and ``loss_sr_structure`` where their weight is not
            0, and the pose entries under their names.

        Raises:
            ValueError: If the shapes of the frames, or of the mask, do not agree.
        """
        _check_shapes(sr, hr, mask)
        weight = self.pixel_weights(sr, keypoints, visible, skeleton)
        if mask is not None:
            weight = mask.to(sr.dtype) * weight
        losses = {
            name: scale_loss(value, self.weights['pose']) if 'loss' in name else value
            for name, value in (pose_losses or {}).items()
        }
        for name, term in (('pixel', self._pixel_term), ('structure', self._structure_term)):
            if self.weights[name]:
                values = term(sr - hr, weight)  # (N,)
                values = values if sample_weight is None else values * sample_weight
                losses[f'loss_sr_{name}'] = self.weights[name] * values.mean()
        return losses

    def pixel_weights(
        self,
        sr: Tensor,
        keypoints: Tensor | None,
        visible: Tensor | None,
        skeleton: Sequence[tuple[int, int]] | None,
    ) -> Tensor:
        """Return ``1 + gain * evidence`` as (N, 1, H, W); arguments as in :meth:`forward`."""
        if keypoints is None or self.evidence_gain == 0:
            return torch.ones_like(sr[:, :1])
        visible = torch.ones_like(keypoints[..., 0]) if visible is None else visible
        size = (sr.shape[-1], sr.shape[-2])
        evidence = pose_evidence(keypoints, visible, size, skeleton, self.sigma, self.limb_sigma)
        return 1 + self.evidence_gain * evidence.to(sr.dtype)

    def _pixel_term(self, error: Tensor, weight: Tensor) -> Tensor:
        return weighted_mean(charbonnier(error), weight)

    def _structure_term(self, error: Tensor, weight: Tensor) -> Tensor:
        across, down = (
            weighted_mean(charbonnier(difference), smaller)
            for difference, smaller in zip(
                _differences(error), _difference_weights(weight), strict=True
            )
        )
        return (across + down) / 2


def scale_loss(value: Tensor | list[Tensor], factor: float) -> Tensor | list[Tensor]:
    """Scale a loss or a list of losses, both of which MMEngine accepts."""
    return value * factor if isinstance(value, Tensor) else [item * factor for item in value]


def _check_shapes(sr: Tensor, hr: Tensor, mask: Tensor | None) -> None:
    expected = (len(sr), 1, *sr.shape[-2:])
    if sr.shape != hr.shape or sr.ndim != 4:
        raise ValueError(
            f'sr has shape {tuple(sr.shape)} and hr {tuple(hr.shape)}; both must be (N, 3, H, W)'
        )
    if mask is not None and tuple(mask.shape) != expected:
        raise ValueError(f'mask has shape {tuple(mask.shape)}; it must be {expected}')
