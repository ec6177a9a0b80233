"""Weights of the terms of a compound loss: fixed, scheduled over the training, or learned."""

from __future__ import annotations

import math

import torch
from mmengine.logging import MessageHub
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['FixedLossWeights', 'ScheduledLossWeights', 'UncertaintyLossWeights']


@MODELS.register_module()
class FixedLossWeights(nn.Module):
    """Constant weights by term name; a term without one keeps weight 1.

    Args:
        **weights: Term name to weight >= 0, such as ``pose=1.0, pixel=0.5``.

    Raises:
        ValueError: If a weight is negative.
    """

    def __init__(self, **weights: float) -> None:
        super().__init__()
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f'the weight of {name!r} is {weight}; it must be >= 0')
        self.weights = weights

    def forward(self, terms: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """Return a factor for each of the terms."""
        return {name: self.weights.get(name, 1.0) for name in terms}

    def penalty(self, terms: dict[str, Tensor], active: Tensor) -> Tensor | None:
        """Return what the weights themselves add to the loss: nothing."""
        return None


@MODELS.register_module()
class ScheduledLossWeights(FixedLossWeights):
    """Weights that move from one set to another between two iterations, then stay.

    Example of use: super-resolution first, keypoints later. The iteration is read from MMEngine's
        message
    hub, where every Runner writes it, so that resuming continues the schedule.

    Args:
        start: Term name to weight up to iteration ``begin``; absent terms have 1.
        stop: The same from iteration ``end`` on.
        begin: First iteration of the change.
        end: Last iteration of the change, > ``begin``.
        curve: ``'linear'`` or ``'cosine'``.

    Raises:
        ValueError: If a weight, the interval or the curve's name is not allowed.
    """

    def __init__(
        self,
        start: dict[str, float],
        stop: dict[str, float],
        begin: int = 0,
        end: int = 1000,
        curve: str = 'linear',
    ) -> None:
        super().__init__(**start)
        if curve not in ('linear', 'cosine'):
            raise ValueError(f"curve is {curve!r}; it must be 'linear' or 'cosine'")
        if not 0 <= begin < end:
            raise ValueError(f'begin={begin}, end={end}: they must satisfy 0 <= begin < end')
        self.stop = FixedLossWeights(**stop).weights
        self.begin, self.end, self.curve = begin, end, curve

    def progress(self, iteration: int) -> float:
        """Return how far the change has gone, in [0, 1]."""
        linear = min(max((iteration - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return linear if self.curve == 'linear' else 0.5 - 0.5 * math.cos(math.pi * linear)

    def forward(self, terms: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """Return the factors of this iteration.

        Raises:
            RuntimeError: If no Runner has written the iteration.
        """
        iteration = MessageHub.get_current_instance().get_info('iter')
        if iteration is None:
            raise RuntimeError(
                'ScheduledLossWeights found no iteration in the message hub; train with an '
                'MMEngine Runner and its RuntimeInfoHook, or use FixedLossWeights'
            )
        done = self.progress(int(iteration))
        return {
            name: (1 - done) * self.weights.get(name, 1.0) + done * self.stop.get(name, 1.0)
            for name in terms
        }


@MODELS.register_module()
class UncertaintyLossWeights(nn.Module):
    """Weights learned as the terms' uncertainty: ``sum exp(-s_i) L_i + s_i``.

    Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
    Geometry and Semantics", CVPR 2018 (arXiv 1705.07115); ``s_i`` is the log-variance, and the
    constant factors of the paper's Gaussian case are absorbed in it.

    Args:
        terms: Names of all terms of the compound loss, ``'pose'`` first where the pose loss takes
            part.
        initial: Term name to initial weight ``exp(-s) > 0``; absent terms have 1.
    """

    def __init__(
        self,
        terms: tuple[str, ...] = ('pose', 'pixel', 'structure'),
        initial: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        initial = initial or {}
        self.log_variances = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(-math.log(initial.get(name, 1.0)))) for name in terms}
        )

    def forward(self, terms: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """Return a factor for each of the terms.

        Raises:
            ValueError: If the terms are not those of the constructor: a missing one would leave a
                parameter without gradient, which DDP refuses.
        """
        if set(terms) != set(self.log_variances):
            raise ValueError(
                f'the compound loss has the terms {sorted(terms)}, UncertaintyLossWeights has '
                f'{sorted(self.log_variances)}; list exactly the former in `terms`'
            )
        return {name: torch.exp(-self.log_variances[name]) for name in terms}

    def penalty(self, terms: dict[str, Tensor], active: Tensor) -> Tensor | None:
        """Return the sum of the log-variances.

        Args:
            terms: The terms.
            active: Scalar, 1 if any sample has a super-resolution target, else 0: without data a
                term is 0, and its log-variance must not run away for that.
        """
        return sum(
            value if name == 'pose' else value * active
            for name, value in self.log_variances.items()
        )
