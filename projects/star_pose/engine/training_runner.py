"""The first screen of a training: what is trained, on what, how, and how long that will take."""

import logging
import time

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..datasets.skipping_dataset import nested_datasets

__all__ = ['TrainingRunner', 'TrainingSummaryHook', 'in_words', 'summary_of']

_TIMED_STEPS = 20  # the first is slow, the next ones fill caches


class TrainingRunner(Runner):
    """MMEngine's Runner, whose terminal begins with a summary instead of 460 lines.

    Environment, hooks and the whole config go to the log file in the work folder as ever; the
    terminal shows warnings until :class:`TrainingSummaryHook` has spoken, and everything then.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.register_hook(TrainingSummaryHook())

    def build_logger(self, *args, **kwargs) -> logging.Logger:
        logger = super().build_logger(*args, **kwargs)
        # A file's handlers are derived from the terminal's
        terminals = [one for one in logger.handlers if type(one) is logging.StreamHandler]
        self._levels = [(handler, handler.level) for handler in terminals]
        for handler, level in self._levels:
            handler.setLevel(max(level, logging.WARNING))
        return logger

    def open_terminal(self) -> None:
        """Let the terminal show what it would have shown: of the first process, everything."""
        for handler, level in self._levels:
            handler.setLevel(level)


class TrainingSummaryHook(Hook):
    """Log what a training is going to do, and after its first 20 steps how long that takes."""

    # After every other hook has prepared itself, and before the first step
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._first = 0
        self._begin = 0.0

    def before_train(self, runner: TrainingRunner) -> None:
        runner.open_terminal()
        runner.logger.info(summary_of(runner))
        self._first, self._begin = runner.iter, time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        done = runner.iter + 1 - self._first  # runner.iter counts this step only afterwards
        if done == _TIMED_STEPS:
            a_step = (time.monotonic() - self._begin) / done
            left = runner.max_iters - runner.iter - 1
            runner.logger.info(
                f'{a_step:.2f} s a step: about {in_words(a_step * left)} for the {left} steps that '
                'are left, and the evaluations besides'
            )


def in_words(seconds: float) -> str:
    """A duration as people say it: ``'40 s'``, ``'12 min'``, ``'3 h 20 min'``, ``'2 days 4 h'``."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 90:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f'{hours} h {minutes} min'
    days, hours = divmod(hours, 24)
    return f'{days} days {hours} h'


def summary_of(runner: Runner) -> str:
    """What a Runner is going to train, a line a subject.

    Args:
        runner: Built, with its loops and its model on its device.
    """
    cfg, loader = runner.cfg, runner.train_dataloader
    learned = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in runner.model.parameters() if not p.requires_grad)
    wrapper = cfg.get('optim_wrapper') or {}
    optimizer = wrapper.get('optimizer') or {}
    epochs = (
        f' in {runner.max_epochs} epochs'
        if isinstance(runner.train_loop, EpochBasedTrainLoop)
        else ''
    )
    clips = (getattr(loader, 'batch_size', None) or 1) * runner.world_size
    start = 'the weights of the config'
    if runner._load_from:
        start = f'{"resumed from" if runner._resume else "the weights of"} {runner._load_from}'
    elif runner.iter:
        start = f'resumed after step {runner.iter}'
    rows = {
        'model': _parts(cfg.get('model') or {}),
        'parameters': f'{learned:,} learn' + (f', {frozen:,} are frozen' if frozen else ''),
        'start': start,
        'data': _data(loader.dataset),
        'steps': f'{runner.max_iters:,} of {clips} samples{epochs}',
        'learning rate': f'{optimizer.get("lr", "-")} ({optimizer.get("type", "-")}, '
        f'{wrapper.get("type", "OptimWrapper")}) on {get_device()}',
        'evaluation': _data(runner.val_dataloader.dataset) if runner._val_loop else 'none',
        'results': f'{runner.work_dir}; environment and whole config: {runner.log_dir}',
    }
    lines = [f'  {name:14}{text}' for name, text in rows.items()]
    return '\n'.join(['training', *lines, f'  how long      said after {_TIMED_STEPS} steps'])


def _parts(model: dict) -> str:
    """The types of a model's parts, the pose network behind a front end in brackets."""
    names = [model[part]['type'] for part in ('backbone', 'neck', 'head') if model.get(part)]
    inner = (model.get('head') or {}).get('pose_net')
    if inner:
        names[-1] += f' ({_parts(inner)})'
    return ' -> '.join(names)


def _data(dataset) -> str:
    """How many samples of which data sets from where."""
    sets = list(nested_datasets(dataset)) or [dataset]
    places = dict.fromkeys(
        f'{type(one).__name__} {getattr(one, "data_root", None) or ""}'.strip() for one in sets
    )
    return f'{len(dataset):,} samples of {", ".join(places)}'
