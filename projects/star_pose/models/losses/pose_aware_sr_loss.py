"""Compound loss that makes super-resolution serve keypoints: pixels, structure, features, pose."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

from .frozen_pose_features import relative_error
from .pose_evidence import pose_evidence

__all__ = ['PoseAwareSRLoss']

STRUCTURES = ('gradient', 'laplacian', None)


def _charbonnier(difference: Tensor, eps: float) -> Tensor:
    """Smooth absolute value, 0 at 0."""
    return (difference.square() + eps**2).sqrt() - eps


def _weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Average (N, C, h, w) by weights (N, 1, h, w): (N,), 0 where all weights are 0."""
    total = (error.mean(1, keepdim=True) * weight).flatten(1).sum(1)  # (N, 1, h, w) -> (N,)
    return total / weight.flatten(1).sum(1).clamp(min=1e-6)


def _gradients(image: Tensor) -> list[Tensor]:
    """Forward differences along x, (N, C, H, W-1), and y, (N, C, H-1, W)."""
    return [image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]]


def _laplacian(image: Tensor) -> list[Tensor]:
    """Four neighbours minus four times the centre: (N, C, H-2, W-2)."""
    centre = image[..., 1:-1, 1:-1]
    rows = image[..., :-2, 1:-1] + image[..., 2:, 1:-1]
    columns = image[..., 1:-1, :-2] + image[..., 1:-1, 2:]
    return [rows + columns - 4 * centre]


def _stencil_weights(weight: Tensor, structure: str) -> list[Tensor]:
    """Give every difference its smallest pixel's weight, so that none reaches across the mask."""
    if structure == 'gradient':
        return [
            torch.minimum(weight[..., 1:], weight[..., :-1]),
            torch.minimum(weight[..., 1:, :], weight[..., :-1, :]),
        ]
    return [-F.max_pool2d(-weight, 3, stride=1)]


@MODELS.register_module()
class PoseAwareSRLoss(nn.Module):
    """Weigh super-resolution by where the person's joints and limbs are.

    Only the abstract of STAR-Pose names a "pose-aware compound loss"; the terms are our
    reconstruction:

    - ``pixel``: Charbonnier distance (Lai et al., arXiv 1710.01992) of SR and HR frame, averaged
      with the weight ``1 + evidence_gain * evidence``; the evidence is 1 on joints and limbs and
      falls off as a Gaussian.
    - ``structure``: the same distance of their gradients or Laplacians, in the same regions.
    - ``feature``: relative squared distance of what the early stages of a frozen pose network see
      in the two.
    - ``pose``: the pose head's own loss, passed through, so that one set of weights rules all.

    Everything outside the source image is masked. A sample with weight 0 adds nothing, yet its
    frame stays in the graph. Means run over all N samples, so that the others weigh no more for it.

    Args:
        sigma: Extent of a joint's evidence in HR pixels (standard deviation).
        limb_sigma: The same for limbs.
        evidence_gain: How much more a pixel on a joint counts than background; 0 switches the
            pose-awareness off.
        evidence_stride: See :func:`pose_evidence`.
        eps: Charbonnier's rounding, in units of the normalised image.
        structure: ``'gradient'``, ``'laplacian'`` or None for no such term.
        feature: Config of :class:`FrozenPoseFeatures`, or None for no such term.
        weights: Config of the terms' weights: :class:`FixedLossWeights`,
            :class:`ScheduledLossWeights` or :class:`UncertaintyLossWeights`. Default: fixed, 0.5
            for ``structure`` and 1 for the others.

    Raises:
        ValueError: If ``structure`` is unknown, or an extent, the gain or ``eps`` is out of range.
    """

    def __init__(
        self,
        sigma: float = 6.0,
        limb_sigma: float = 4.0,
        evidence_gain: float = 4.0,
        evidence_stride: int = 2,
        eps: float = 1e-3,
        structure: str | None = 'gradient',
        feature: dict | None = None,
        weights: dict | None = None,
    ) -> None:
        super().__init__()
        if structure not in STRUCTURES:
            raise ValueError(f'structure is {structure!r}; it must be one of {STRUCTURES}')
        if min(sigma, limb_sigma, eps) <= 0 or evidence_gain < 0 or evidence_stride < 1:
            raise ValueError(
                f'sigma={sigma}, limb_sigma={limb_sigma} and eps={eps} must be > 0, '
                f'evidence_gain={evidence_gain} >= 0, evidence_stride={evidence_stride} >= 1'
            )
        self.sigma, self.limb_sigma = sigma, limb_sigma
        self.evidence_gain, self.evidence_stride = evidence_gain, evidence_stride
        self.eps = eps
        self.structure = structure
        self.feature = None
        if feature is not None:
            self.feature = MODELS.build({'type': 'FrozenPoseFeatures', **feature})
        self.weights = MODELS.build(weights or {'type': 'FixedLossWeights', 'structure': 0.5})

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
            keypoints: (N, K, 2), x first, in pixels of the HR frame; None: no joint is known.
            visible: (N, K), labelled where positive; None with ``keypoints`` given: all are.
            mask: (N, 1, H, W), 1 inside the source image; None: everywhere.
            skeleton: Pairs of joint indices that are limbs.
            sample_weight: (N,), 0 for samples without a target; None: 1 for all.
            pose_losses: The pose head's entries; those whose name holds ``loss`` are weighted as
                ``pose``.

        Returns:
            dict[str, Tensor]: ``loss_sr_pixel``, ``loss_sr_structure``, ``loss_sr_feature`` where
            switched on, ``loss_sr_balance`` with learned weights, and the pose entries under their
            names.

        Raises:
            ValueError: If the shapes of the frames, or of the mask, do not agree.
        """
        _check_shapes(sr, hr, mask)
        mask = torch.ones_like(sr[:, :1]) if mask is None else mask.to(sr.dtype)
        if sample_weight is None:
            sample_weight = sr.new_ones(len(sr))
        weight = mask * self.pixel_weights(sr, keypoints, visible, skeleton)
        terms = {
            name: (values * sample_weight).mean()  # (N,) -> scalar
            for name, values in self._terms(sr, hr, weight).items()
        }
        return self._weigh(terms, pose_losses or {}, (sample_weight > 0).any().to(sr.dtype))

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
        if visible is None:
            visible = torch.ones_like(keypoints[..., 0])
        evidence = pose_evidence(
            keypoints,
            visible,
            (sr.shape[-1], sr.shape[-2]),
            skeleton,
            self.sigma,
            self.limb_sigma,
            self.evidence_stride,
        )
        return 1 + self.evidence_gain * evidence.to(sr.dtype)

    def _terms(self, sr: Tensor, hr: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return every term of every sample, (N,), unweighted."""
        terms = {'pixel': _weighted_mean(_charbonnier(sr - hr, self.eps), weight)}
        if self.structure is not None:
            operator = _gradients if self.structure == 'gradient' else _laplacian
            stencils = _stencil_weights(weight, self.structure)
            errors = [
                _weighted_mean(_charbonnier(response, self.eps), stencil)
                for response, stencil in zip(operator(sr - hr), stencils, strict=True)
            ]
            terms['structure'] = torch.stack(errors).mean(0)  # (directions, N) -> (N,)
        if self.feature is not None:
            terms['feature'] = self._feature_term(sr, hr, weight)
        return terms

    def _feature_term(self, sr: Tensor, hr: Tensor, weight: Tensor) -> Tensor:
        # Padding is made equal in both, so that it cannot leak in through a receptive field.
        inside = (weight > 0).to(sr.dtype)
        with torch.no_grad():
            targets = self.feature(hr * inside)
        errors = []
        for feature, target in zip(self.feature(sr * inside), targets, strict=True):
            pooled = F.adaptive_avg_pool2d(
                weight, feature.shape[-2:]
            )  # (N, 1, H, W) -> (N, 1, h, w)
            errors.append(relative_error(feature.float(), target.float(), pooled))
        return torch.stack(errors).mean(0)  # (layers, N) -> (N,)

    def _weigh(
        self, terms: dict[str, Tensor], pose_losses: dict[str, Tensor], active: Tensor
    ) -> dict[str, Tensor]:
        named = {**({'pose': active} if pose_losses else {}), **terms}
        factors = self.weights(named)
        losses = {
            name: _scale(value, factors['pose']) if 'loss' in name else value
            for name, value in pose_losses.items()
        }
        losses.update({f'loss_sr_{name}': factors[name] * value for name, value in terms.items()})
        penalty = self.weights.penalty(named, active)
        return losses if penalty is None else {**losses, 'loss_sr_balance': penalty}


def _scale(value: Tensor | list[Tensor], factor: Tensor | float) -> Tensor | list[Tensor]:
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
