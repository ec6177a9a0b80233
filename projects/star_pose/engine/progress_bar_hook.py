"""A bar instead of log lines, and an end by the clock: for runs that somebody watches."""

import time

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from tqdm import tqdm

__all__ = ['ProgressBarHook']


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show the progress of training and testing on the terminal.

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
        """Start the bar and the clock.

        Args:
            runner: The run.
        """
        self._begin = time.monotonic()
        self._bar = tqdm(total=runner.max_iters, initial=runner.iter, desc='train', unit='step')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Advance the bar; end the training when its time is over.

        Args:
            runner: The run.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: The losses; ``loss`` is shown.
        """
        if outputs and 'loss' in outputs:
            self._bar.set_postfix(loss=f'{outputs["loss"].item():.3f}', refresh=False)
        self._bar.update()
        if self.max_seconds and time.monotonic() - self._begin > self.max_seconds:
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        """Close the bar.

        Args:
            runner: The run.
        """
        self._close()

    def before_test_epoch(self, runner: Runner) -> None:
        """Start the bar of a test.

        Args:
            runner: The run.
        """
        self._bar = tqdm(total=len(runner.test_dataloader), desc='test', unit='batch')

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Advance the bar.

        Args:
            runner: The run.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Not used.
        """
        self._bar.update()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Close the bar.

        Args:
            runner: The run.
            metrics: Not used.
        """
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
