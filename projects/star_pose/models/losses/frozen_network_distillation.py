"""Label-free supervision: an LR clip shall look to a pose network as the HR crop does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn

from .pose_aware_sr_loss import charbonnier, weighted_mean

__all__ = ['FrozenNetworkDistillation', 'relative_error']

OUTPUTS = ('sigmoid', 'softmax', 'squared', 'simcc', 'coordinates')
SMALLEST_RMS = 1e-2
"""A target map whose root mean square is below this is taken to have this one."""


def relative_error(first: Tensor, second: Tensor) -> Tensor:
    """Return the squared distance of two maps over the second's energy.

    Args:
        first: (N, ...).
        second: (N, ...), taken as constant; a map of zeros counts as one of small values.

    Returns:
        Tensor: (N,).
    """
    first, second = first.float().flatten(1), second.detach().float().flatten(1)
    energy = second.square().mean(1).clamp(min=SMALLEST_RMS**2)
    return (first - second).square().mean(1) / energy


def _bernoulli_divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Divergence of maps of probabilities in [0, 1], mean over joints and cells: (N,)."""
    found, wanted = (x.float().flatten(1).clamp(1e-6, 1 - 1e-6) for x in (found, wanted))
    return (
        wanted * (wanted / found).log() + (1 - wanted) * ((1 - wanted) / (1 - found)).log()
    ).mean(1)


def _map_divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Divergence of maps (N, K, h, w) that are distributions over their cells: (N,)."""
    found, wanted = (x.float().flatten(2).clamp(min=1e-12) for x in (found, wanted))
    found, wanted = (x / x.sum(-1, keepdim=True) for x in (found, wanted))
    return (wanted * (wanted / found).log()).sum(-1).mean(1)


def _bins_divergence(found: Sequence[Tensor], wanted: Sequence[Tensor], beta: float) -> Tensor:
    """Divergence of SimCC's bins (N, K, bins), along x and y, from logits: (N,)."""
    total = 0
    for one, other in zip(found, wanted, strict=True):
        one, other = ((beta * x.float()).log_softmax(-1) for x in (one, other))
        total = total + (other.exp() * (other - one)).sum(-1).mean(1)  # (N, K, bins) -> (N,)
    return total / len(found)


@MODELS.register_module()
class FrozenNetworkDistillation(nn.Module):
    """Compare what a pose network sees in two inputs: features, outputs and, weakly, pixels.

    The teacher is the network, trained and untouched, on the high-resolution crop; the student is
    what the low-resolution clip becomes. No label is read, so that any video or photographs with
    boxes can be used. After Hinton et al., "Distilling the Knowledge in a Neural Network"
    (arXiv 1503.02531), with one network and two resolutions.

    - ``feature``: squared distance over the teacher's energy, mean of the named levels.
    - ``output``: divergence of what the pose head puts out.
    - ``pixel``: Charbonnier distance of the super-resolved frame and the crop, inside the image;
      where there is no such frame, it is left out.

    Args:
        levels: Names of the pose estimator's modules whose outputs are compared, such as
            ``'backbone.stage4'``. A module with several outputs is compared in all.
        output: What the head puts out: ``'sigmoid'`` (maps of probabilities), ``'softmax'`` (maps
            that are distributions), ``'squared'`` (Gaussian heatmaps), ``'simcc'`` or
            ``'coordinates'``.
        feature_weight: Weight of ``feature``.
        output_weight: Weight of ``output``.
        pixel_weight: Weight of ``pixel``.
        label_weight: Weight of the pose head's own losses beside these; 0: no label is read.
        beta: What multiplies SimCC's logits before the softmax, as in ``KLDiscretLoss``.

    Raises:
        ValueError: If ``output`` is unknown, a weight is negative, or features have a weight and
            no level.
    """

    def __init__(
        self,
        levels: Sequence[str],
        output: str,
        feature_weight: float = 1.0,
        output_weight: float = 100.0,
        pixel_weight: float = 2.0,
        label_weight: float = 0.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ValueError(f'output is {output!r}; it must be one of {OUTPUTS}')
        if min(feature_weight, output_weight, pixel_weight, label_weight) < 0:
            raise ValueError(
                f'feature_weight={feature_weight}, output_weight={output_weight}, '
                f'pixel_weight={pixel_weight} and label_weight={label_weight} must not be negative'
            )
        if feature_weight and not levels:
            raise ValueError(f'feature_weight={feature_weight}, but levels={levels} names none')
        self.levels, self.output, self.beta = tuple(levels), output, beta
        self.feature_weight, self.output_weight = feature_weight, output_weight
        self.pixel_weight, self.label_weight = pixel_weight, label_weight

    def check(self, pose_net: nn.Module) -> None:
        """Check at construction that the pose network has the levels.

        Raises:
            ValueError: If it has not.
        """
        names = dict(pose_net.named_modules())
        missing = [level for level in self.levels if level not in names]
        if missing:
            stages = [f'backbone.{name}' for name, _ in pose_net.backbone.named_children()]
            raise ValueError(
                f'levels names {missing}, which {type(pose_net.backbone).__name__} has not; '
                f'its stages are {stages}'
            )

    @contextlib.contextmanager
    def record(self, pose_net: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
        """Keep what the levels put out while the context is open.

        Args:
            pose_net: The estimator, which the caller runs.

        Yields:
            dict: Name of a level to its outputs, filled as the network runs.
        """
        seen: dict[str, list[Tensor]] = {}

        def keep(name: str, output: Tensor | list | tuple) -> None:
            outputs = [output] if isinstance(output, Tensor) else output
            # A later in-place ReLU must not change what was kept.
            seen[name] = [x.clone() for x in outputs]

        handles = [
            pose_net.get_submodule(name).register_forward_hook(
                lambda module, args, output, name=name: keep(name, output)
            )
            for name in (self.levels if self.feature_weight else ())
        ]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    def forward(
        self,
        student: tuple[dict[str, list[Tensor]], Tensor | Sequence[Tensor]],
        teacher: tuple[dict[str, list[Tensor]], Tensor | Sequence[Tensor]],
        frames: tuple[Tensor, Tensor, Tensor] | None,
        sample_weight: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the weighted terms.

        Args:
            student: What :meth:`record` kept of the student, and the head's output.
            teacher: The same of the teacher; taken as constant.
            frames: The SR frame and the crop, (N, 3, H, W) each, and the mask (N, 1, H, W), 1
                inside the source image; None: there is no SR frame.
            sample_weight: (N,), 0 for samples without a crop.

        Returns:
            dict[str, Tensor]: ``loss_distill_feature``, ``loss_distill_output`` and
            ``loss_distill_pixel``, those whose weight is not 0.

        Raises:
            ValueError: If a level did not run in the student, as those of a stem that is skipped.
        """
        losses = {}
        if self.feature_weight:
            missing = [name for name in self.levels if name not in student[0]]
            if missing:
                raise ValueError(
                    f'levels {missing} do not run behind this hand-off; name modules behind the '
                    "stem, or use handoff='image'"
                )
            errors = [
                relative_error(found, wanted)
                for name in self.levels
                for found, wanted in zip(student[0][name], teacher[0][name], strict=True)
            ]
            losses['feature'] = self.feature_weight * torch.stack(errors).mean(0)  # levels N -> N
        if self.output_weight:
            losses['output'] = self.output_weight * self._divergence(student[1], teacher[1])
        if self.pixel_weight and frames is not None:
            sr, hr, mask = frames
            losses['pixel'] = self.pixel_weight * weighted_mean(charbonnier(sr - hr), mask)
        return {
            f'loss_distill_{name}': (value * sample_weight).mean()  # (N,) -> scalar
            for name, value in losses.items()
        }

    def _divergence(
        self, found: Tensor | Sequence[Tensor], wanted: Tensor | Sequence[Tensor]
    ) -> Tensor:
        if self.output == 'simcc':
            return _bins_divergence(found, wanted, self.beta)
        wanted = wanted.detach()
        if self.output == 'sigmoid':
            return _bernoulli_divergence(found, wanted)
        if self.output == 'softmax':
            return _map_divergence(found, wanted)
        if self.output == 'squared':
            return relative_error(found, wanted)
        return (found - wanted).abs().flatten(1).mean(1)
