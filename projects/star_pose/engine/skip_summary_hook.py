"""Say after every epoch which samples a training has left out."""

import logging

from mmengine.hooks import Hook
from mmpose.registry import HOOKS

__all__ = ['SkipSummaryHook']


@HOOKS.register_module()
class SkipSummaryHook(Hook):
    """Log what data sets with ``on_error='skip'`` skipped, at the end of every training epoch.

    Each skip is logged when it happens; among the lines of three days it would be overlooked.
    Data sets inside MMPose's and MMEngine's wrappers are found; silent where nothing was skipped.
    """

    priority = 'LOW'

    def after_train_epoch(self, runner) -> None:
        """Log one line a data set that skipped something.

        Args:
            runner: The runner.
        """
        for dataset in _unwrap(runner.train_dataloader.dataset):
            skips = getattr(dataset, 'skips', None)
            if skips is not None and skips.summary():
                runner.logger.log(logging.WARNING, skips.summary())


def _unwrap(dataset) -> list:
    if hasattr(dataset, 'datasets'):
        return [inner for part in dataset.datasets for inner in _unwrap(part)]
    if hasattr(dataset, 'dataset'):
        return _unwrap(dataset.dataset)
    return [dataset]
