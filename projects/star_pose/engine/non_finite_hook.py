"""Find the first layer that produces NaN or Inf."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmpose.registry import HOOKS
from torch import Tensor, nn

__all__ = ['NonFiniteHook', 'watch_non_finite']


@contextlib.contextmanager
def watch_non_finite(model: nn.Module) -> Iterator[None]:
    """Raise where a module of ``model`` first puts out NaN or Inf; for debugging.

    Every module's output is looked at, which waits for the device each time: slow.

    Args:
        model: The model to watch within the context.

    Raises:
        FloatingPointError: Within the context; it names the module, and says whether the module
            made the value, or received it, or holds it in its weights.

    Example:
        >>> with watch_non_finite(nn.Linear(2, 2)):
        ...     pass
    """
    handles = [
        module.register_forward_hook(_report(name or type(module).__name__))
        for name, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _report(name: str):
    def look(module: nn.Module, inputs: tuple, output: Any) -> None:
        if _count_non_finite(output) == 0:
            return
        weights = [key for key, p in module.named_parameters() if _count_non_finite(p)]
        if weights:
            cause = f'its weights hold them already: {", ".join(weights)}'
        elif received := _count_non_finite(inputs):
            cause = f'its input holds {received} already'
        else:
            cause = 'its input and weights are finite'
        raise FloatingPointError(
            f'{_count_non_finite(output)} NaN or Inf in the output of {name} '
            f'({type(module).__name__}); {cause}'
        )

    return look


def _count_non_finite(value: Any) -> int:
    """Count NaN and Inf in tensors, however nested in lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return int((~torch.isfinite(value)).sum()) if value.is_floating_point() else 0
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return 0
    return sum(_count_non_finite(item) for item in value)


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Watch a whole run for the first NaN or Inf: see :func:`watch_non_finite`.

    Switch it on with ``custom_hooks=[dict(type='NonFiniteHook')]`` when a loss turns NaN.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._watch = contextlib.ExitStack()

    def before_run(self, runner) -> None:
        self._watch.enter_context(watch_non_finite(runner.model))

    def after_run(self, runner) -> None:
        self._watch.close()
