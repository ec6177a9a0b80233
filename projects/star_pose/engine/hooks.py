"""Hooks of a run: what is not worth a file of its own."""

import logging
import time

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import nn
from tqdm import tqdm

from ..checkpoint import check_fit, made_for, select_weights

__all__ = ['ChannelsLastHook', 'CheckpointFitHook', 'ProgressBarHook', 'SkipSummaryHook']


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
        for dataset in _parts(runner.train_dataloader.dataset):
            skips = getattr(dataset, 'skips', None)
            if skips is not None and skips.summary():
                runner.logger.log(logging.WARNING, skips.summary())


def _parts(dataset) -> list:
    """A data set, or those that it combines, repeats or concatenates."""
    if hasattr(dataset, 'datasets'):
        return [inner for part in dataset.datasets for inner in _parts(part)]
    return _parts(dataset.dataset) if hasattr(dataset, 'dataset') else [dataset]


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
