"""Data sets that may skip samples which cannot be read: raise, or count and stop in time."""

import logging
import math
import random
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.logging import print_log
from mmpose.datasets.datasets import BaseCocoStyleDataset
from torch.utils.data import get_worker_info

from .errors import DataError, TooManySkipsError

__all__ = ['SkipPolicy', 'SkippingDataset', 'nested_datasets']

_LOGGED_LABELS = 5  # further label faults are only counted; the summary gives the number


class SkipPolicy:
    """Decide between raising and skipping, and keep the count across loader workers and epochs.

    A sample that fails in every epoch counts once: otherwise one bad file would reach any ceiling
    in a long training. The marks lie in shared memory, one byte a sample, so that the main process
    sees what its workers skipped; every rank of a distributed training keeps its own.

    Args:
        name: Name of the data set, for messages.
        on_error: ``'raise'`` or ``'skip'``.
        max_skips: Ceiling, as the share of samples (or label entries) in [0, 1] that may be
            skipped; at least one, unless it is 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, name: str, on_error: str = 'raise', max_skips: float = 0.01) -> None:
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        if not 0 <= max_skips <= 1:
            raise ValueError(f'max_skips is a share of the samples in [0, 1], got {max_skips}')
        self.name = name
        self.on_error = on_error
        self.max_skips = max_skips
        self.label_faults: list[tuple[str, str]] = []
        self._marks = torch.zeros(0, dtype=torch.uint8)

    def reject_label(self, error: DataError, kind: str) -> None:
        """Raise a fault found while loading labels, or count it.

        Args:
            error: What is wrong with the entry.
            kind: The sort of fault, a heading of the check tool's table.

        Raises:
            DataError: ``error`` itself, with ``on_error='raise'`` and how to go on.
        """
        if self.on_error == 'raise':
            hint = "on_error='skip' leaves such entries out and counts them, up to max_skips"
            raise type(error)(f'{error}\n({hint})') from error
        self.label_faults.append((kind, str(error)))
        if len(self.label_faults) <= _LOGGED_LABELS:
            print_log(f'{self.name}: skipped: {error}', 'current', logging.WARNING)

    def check_labels(self, num_entries: int) -> None:
        """Stop when more label entries were skipped than the ceiling allows.

        Args:
            num_entries: Number of all entries, good and bad.

        Raises:
            TooManySkipsError: The ceiling is passed.
        """
        allowed = self._allowed(num_entries)
        if len(self.label_faults) > allowed:
            raise TooManySkipsError(
                f'{self.name}: {len(self.label_faults)} of {num_entries} label entries cannot be '
                f'used, max_skips={self.max_skips} allows {allowed}; the first: '
                f'{self.label_faults[0][1]}\nRun tools/check_dataset.py on the config for all.'
            )

    def start(self, num_samples: int) -> None:
        """Begin to count fetches; called in the main process, before workers are started.

        Args:
            num_samples: Length of the data set.
        """
        self._marks = torch.zeros(num_samples, dtype=torch.uint8).share_memory_()

    def reject_sample(self, index: int, error: Exception) -> None:
        """Count and log a sample that could not be fetched, once a sample.

        Args:
            index: Its index.
            error: Why.

        Raises:
            TooManySkipsError: The ceiling is passed.
        """
        if self._marks[index]:
            return
        self._marks[index] = 1
        skipped, allowed = self.num_skipped, self._allowed(len(self._marks))
        worker = get_worker_info()
        where = f' (worker {worker.id})' if worker else ''
        print_log(
            f'{self.name}: skipped sample {index}{where}, {skipped} so far, {allowed} allowed: '
            f'{type(error).__name__}: {error}',
            'current',
            logging.WARNING,
        )
        if skipped > allowed:
            raise TooManySkipsError(
                f'{self.name}: {skipped} of {len(self._marks)} samples could not be read, '
                f'max_skips={self.max_skips} allows {allowed}; the last: {error}\n'
                'Run tools/check_dataset.py on the config for all.'
            ) from error

    @property
    def num_skipped(self) -> int:
        """Number of distinct samples that were skipped while fetching."""
        return int(self._marks.sum())

    @property
    def skipped_samples(self) -> list[int]:
        """Indices of the samples that were skipped while fetching."""
        return self._marks.nonzero().flatten().tolist()

    def summary(self) -> str:
        """One line on what was skipped; an empty string when nothing was."""
        parts = []
        if self.label_faults:
            parts.append(
                f'{len(self.label_faults)} label entries (first: {self.label_faults[0][1]})'
            )
        if self.num_skipped:
            indices = self.skipped_samples
            shown = ', '.join(map(str, indices[:10])) + (', ...' if len(indices) > 10 else '')
            parts.append(f'{len(indices)} of {len(self._marks)} samples while reading ({shown})')
        return f'{self.name} skipped ' + ' and '.join(parts) if parts else ''

    def _allowed(self, total: int) -> int:
        return max(1, math.floor(self.max_skips * total)) if self.max_skips else 0


class SkippingDataset(BaseCocoStyleDataset):
    """Ends a run on a sample that cannot be read, or counts it and lets MMEngine draw another one.

    What is caught are errors of data (``DataError``) and of reading (``OSError``); any other error
    is a fault of the code and passes. Random numbers of loader workers differ between epochs.

    Args:
        ann_file: As in MMPose.
        on_error: ``'raise'`` or ``'skip'``. Reading errors always raise in test mode, where leaving
            a sample out would change the result.
        max_skips: With ``'skip'``, the share of samples that may be skipped before the run ends
            all the same; distinct samples count, over all epochs and workers of one process.
        **kwargs: Further arguments of MMPose's ``BaseCocoStyleDataset``.
    """

    def __init__(
        self, ann_file: str = '', *, on_error: str = 'raise', max_skips: float = 0.01, **kwargs
    ) -> None:
        self.skips = SkipPolicy(type(self).__name__, on_error, max_skips)
        super().__init__(ann_file=ann_file, **kwargs)

    def full_init(self) -> None:
        if not self._fully_initialized:
            super().full_init()
            self.skips.start(len(self))

    def prepare_data(self, idx: int):
        _tell_epochs_apart()
        try:
            return super().prepare_data(idx)
        except (OSError, DataError) as error:
            if self.skips.on_error == 'raise' or self.test_mode:
                raise
            self.skips.reject_sample(idx, error)
            return None  # MMEngine then draws another one

    def get_subset_(self, indices) -> None:
        super().get_subset_(indices)
        self.skips.start(len(self))

    def get_subset(self, indices) -> 'SkippingDataset':
        subset = super().get_subset(indices)
        subset.skips.start(len(subset))
        return subset


_seeded_worker = None  # the worker (its seed) whose generators this process has set


def _tell_epochs_apart() -> None:
    """Mix torch's seed of the epoch into a new worker's generators, once.

    MMEngine seeds workers by run, rank and worker alone. Workers that are started anew for every
    epoch (``persistent_workers=False``) would draw the same augmentations each time; torch's own
    seed of a worker differs, and repeats with the seed of the run.
    """
    global _seeded_worker
    worker = get_worker_info()
    if worker is None or worker.seed == _seeded_worker:
        return
    _seeded_worker = worker.seed
    own = np.random.randint(2**31)  # noqa: NPY002  (MMPose's transforms draw from it)
    seed = int(np.random.SeedSequence([own, worker.seed]).generate_state(1)[0])
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    torch.manual_seed(seed)


def nested_datasets(dataset, wrappers: bool = False) -> Iterator:
    """The data sets inside those that combine, repeat or concatenate others.

    Args:
        dataset: A data set, or the config of one.
        wrappers: Whether to give the outer ones, too, after what they hold.
    """
    if isinstance(dataset, dict):
        inner = dataset.get('datasets') or [dataset.get('dataset')]
    else:
        inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    inner = [one for one in inner if one is not None]
    for one in inner:
        yield from nested_datasets(one, wrappers)
    if wrappers or not inner:
        yield dataset
