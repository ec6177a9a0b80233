"""Hooks of a run: layout, checkpoint, skipped samples, progress, NaN."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import Tensor, nn
from tqdm import tqdm

from ..checkpoint import check_fit, made_for, select_weights
from ..datasets.skipping_dataset import nested_datasets

__all__ = [
    'ChannelsLastHook',
    'CheckpointFitHook',
    'FiniteLossHook',
    'NonFiniteHook',
    'ProgressBarHook',
    'SkipSummaryHook',
    'watch_non_finite',
]


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Convert the model's 4-D weights to channels-last before a run.

    A convolution with channels-last weights gives a channels-last map whatever its input, so the
    inputs need no conversion; in bfloat16 it is faster. Values, state dict and results are those of
    the other layout up to the rounding of another order of summation.
    """

    # Before the EMA hook copies the model, so that the copy has the layout too.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        _unwrap_model(runner).to(memory_format=torch.channels_last)


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """End a run whose checkpoint does not fit the model, where MMEngine would only log it.

    See :mod:`star_pose.checkpoint`, whose ``CheckpointError`` it raises.
    """

    # Before the EMA hook, which loads the weights too.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = _unwrap_model(runner)
        source = str(runner._load_from or 'of the work folder')
        weights = select_weights(checkpoint, model, source)
        check_fit(model, weights, source, made_for(checkpoint))
        wanted = model.state_dict()
        # Where MMEngine looks for them, under the names that it looks for.
        checkpoint['state_dict'] = {n: value for n, value in weights.items() if n in wanted}


def _unwrap_model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


@HOOKS.register_module()
class SkipSummaryHook(Hook):
    """Log what data sets with ``on_error='skip'`` skipped, at the end of every training epoch.

    Each skip is logged when it happens; among the lines of three days it would be overlooked.
    Data sets inside MMPose's and MMEngine's wrappers are found; silent where nothing was skipped.
    """

    priority = 'LOW'

    def after_train_epoch(self, runner: Runner) -> None:
        for dataset in nested_datasets(runner.train_dataloader.dataset):
            skips = getattr(dataset, 'skips', None)
            if skips is not None and skips.summary():
                runner.logger.log(logging.WARNING, skips.summary())


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show the progress of training and testing on the terminal, where somebody watches.

    Args:
        max_seconds: End an iteration-based training after this time, whatever is left of it; None:
            never.
    """

    priority = 'VERY_LOW'

    def __init__(self, max_seconds: float | None = None) -> None:
        self.max_seconds = max_seconds
        self._bar: tqdm | None = None
        self._begin = 0.0

    def before_train(self, runner: Runner) -> None:
        self._begin = time.monotonic()
        self._bar = tqdm(total=runner.max_iters, initial=runner.iter, desc='train', unit='step')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        if outputs and 'loss' in outputs:
            self._bar.set_postfix(loss=f'{outputs["loss"].item():.3f}', refresh=False)
        self._bar.update()
        if self.max_seconds and time.monotonic() - self._begin > self.max_seconds:
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        self._close()

    def before_test_epoch(self, runner: Runner) -> None:
        self._bar = tqdm(total=len(runner.test_dataloader), desc='test', unit='batch')

    def after_test_iter(self, *args, **kwargs) -> None:
        self._bar.update()

    def after_test_epoch(self, *args, **kwargs) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End a training whose loss is NaN or Inf twice in a row, before it saves such weights.

    A single one may be a step that the loss scaler of automatic mixed precision leaves out.
    """

    def before_train(self, runner: Runner) -> None:
        self._was_finite = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        loss = float((outputs or {}).get('loss', 0.0))
        is_finite = math.isfinite(loss)
        if not is_finite and not self._was_finite:
            raise FloatingPointError(
                f'the loss is {loss} at step {runner.iter + 1}, and was no number the step before: '
                'go on from an earlier checkpoint with a lower optimizer.lr; '
                "custom_hooks=[dict(type='NonFiniteHook')] names the layer where it begins"
            )
        self._was_finite = is_finite
