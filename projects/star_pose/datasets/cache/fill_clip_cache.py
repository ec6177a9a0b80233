"""Fill a person-clip cache with the samples of a config's data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose
from mmpose.registry import DATASETS
from torch.utils.data import DataLoader, Dataset, Subset

from ..errors import DataError
from ..skipping_dataset import nested_datasets
from ..transforms import LoadClip, SampleClipFrames
from .clip_cache import ClipCacheWriter
from .person_clip import PersonCutter, clip_key

__all__ = ['CacheReport', 'ClipSource', 'cache_meta', 'clip_sources', 'cutter_of', 'fill_cache']

_BATCH = 64  # records a transaction: what a kill may cost
_REACH_AUGMENTED, _REACH_PLAIN = 1.4, 1.1


@dataclasses.dataclass
class CacheReport:
    """What filling a cache did.

    Attributes:
        present: Clips that were there already.
        written: Clips that were written.
        faults: What could not be read, one text a sample.
        num_bytes: Size of the records that were written.
    """

    present: int = 0
    written: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)
    num_bytes: int = 0


class ClipSource(Dataset):
    """The samples of a data set as far as the loading of their frames, cut and encoded.

    Args:
        dataset: A data set of which ``transforms`` is the pipeline, up to ``LoadClip``.
        transforms: The transforms before ``LoadClip``, with ``SampleClipFrames`` among them.
        load: The ``LoadClip``; its own cache is not used.
        cutter: How to cut.
    """

    def __init__(
        self, dataset: BaseDataset, transforms: list, load: LoadClip, cutter: PersonCutter
    ) -> None:
        self.dataset = dataset
        self.head = Compose(transforms)
        load.cache, load.to_float32 = None, False
        self.load = load
        self.cutter = cutter

    def __len__(self) -> int:
        return len(self.dataset)

    def describe(self, index: int) -> dict:
        """A sample with its frames chosen and none read."""
        return self.head(self.dataset.get_data_info(index))

    def __getitem__(self, index: int) -> tuple[bytes, torch.Tensor, str]:
        """Read, cut and encode a clip.

        Returns:
            Its key, its record as (bytes,) uint8 and an empty string; or the fault, where it cannot
            be read. A tensor, because tensors leave a worker through shared memory: workers that
            still had to push megabytes into a pipe would outlive a killed parent.
        """
        try:
            results = self.load(self.describe(index))
            key = clip_key(results)
            clip = self.cutter.cut(results['img'], results['bbox'])
        except (OSError, DataError) as error:
            return b'', torch.empty(0, dtype=torch.uint8), str(error)
        record = bytearray(clip.to_bytes(self.cutter.quality))
        return key, torch.frombuffer(record, dtype=torch.uint8), ''


def cutter_of(cfg: Config, split: str, reach: float | None = None, **options) -> PersonCutter:
    """The cutter that fits a config's pipeline.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        reach: As of :class:`PersonCutter`; the default is wide where the pipeline augments boxes.
        **options: Further attributes of :class:`PersonCutter`.

    Raises:
        ValueError: The pipeline has no ``LoadClip`` or no ``ClipAffine``.
    """
    nested = nested_datasets(cfg[f'{split}_dataloader'].dataset, wrappers=True)
    steps = [step for dataset in nested for step in dataset.get('pipeline', [])]
    kinds = [step['type'] for step in steps]
    for needed in ('LoadClip', 'ClipAffine'):
        if needed not in kinds:
            raise ValueError(
                f'the pipeline of {split}_dataloader has no {needed}, which a person-clip cache '
                f'needs: only they read clips of a cache and warp them; it has {kinds}'
            )
    affine = steps[kinds.index('ClipAffine')]
    for step in steps:
        if step['type'] == 'GetBBoxCenterScale' and 'padding' in step:
            options['padding'] = step['padding']
    between = kinds[kinds.index('LoadClip') + 1 : kinds.index('ClipAffine')]
    plain = between == ['GetBBoxCenterScale']
    if reach is None:
        reach = _REACH_PLAIN if plain else _REACH_AUGMENTED
    return PersonCutter(tuple(affine['input_size']), reach=reach, **options)


def clip_sources(cfg: Config, split: str, cutter: PersonCutter) -> list[ClipSource]:
    """Build a config's data set and find the pipelines in it that load clips.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        cutter: How to cut.

    Raises:
        ValueError: No pipeline has ``SampleClipFrames`` and ``LoadClip``.
    """
    sources = []
    cfg_dataset = cfg[f'{split}_dataloader'].dataset
    for nested in nested_datasets(cfg_dataset, wrappers=True):
        for step in nested.get('pipeline', []):
            if step['type'] == 'LoadClip':
                step.pop('cache', None)  # the one that is to be made
    for dataset in nested_datasets(DATASETS.build(cfg_dataset), wrappers=True):
        transforms = list(getattr(getattr(dataset, 'pipeline', None), 'transforms', []))
        kinds = [type(transform) for transform in transforms]
        if LoadClip in kinds and SampleClipFrames in kinds[: kinds.index(LoadClip)]:
            place = kinds.index(LoadClip)
            sources.append(ClipSource(dataset, transforms[:place], transforms[place], cutter))
    if not sources:
        raise ValueError(
            f'no pipeline of {split}_dataloader has SampleClipFrames before LoadClip: there are '
            'no clips to cache'
        )
    return sources


def cache_meta(sources: list[ClipSource]) -> dict:
    """What a cache of these sources depends on beside frames and boxes; it is stored in it.

    Raises:
        ValueError: The sources read their frames differently.
    """
    found = [{**dataclasses.asdict(one.cutter), **one.load.reading()} for one in sources]
    if any(meta != found[0] for meta in found):
        raise ValueError(f'one cache cannot hold clips that are read differently: {found}')
    return found[0]


def fill_cache(
    sources: list[ClipSource],
    writer: ClipCacheWriter,
    workers: int = 0,
    track: Callable[[Iterator, int], Iterator] = lambda records, total: records,
) -> CacheReport:
    """Write the clips that a cache does not have yet.

    Args:
        sources: Of :func:`clip_sources`.
        writer: The cache.
        workers: Processes that decode and encode, beside this one.
        track: Wraps the iterator of clips that are made, with their number, to show progress.
    """
    report = CacheReport()
    for source in sources:
        missing = []
        for index in range(len(source)):
            try:
                there = clip_key(source.describe(index)) in writer
            except DataError:
                there = False  # the source will say why
            missing += [] if there else [index]
        report.present += len(source) - len(missing)
        # In order and in runs: frames that neighbours share are then decoded once a worker
        loader = DataLoader(
            Subset(source, missing),
            batch_size=32,
            num_workers=workers,
            collate_fn=list,
            multiprocessing_context='fork' if workers else None,
        )
        records = (record for batch in loader for record in batch)
        _write_all(track(records, len(missing)), writer, report)
    return report


def _write_all(records: Iterator, writer: ClipCacheWriter, report: CacheReport) -> None:
    pending: list[tuple[bytes, bytes]] = []
    for key, record, fault in records:
        if fault:
            report.faults.append(fault)
            continue
        pending.append((key, record.numpy().tobytes()))
        report.written += 1
        report.num_bytes += len(record)
        if len(pending) == _BATCH:
            writer.write(pending)
            pending = []
    writer.write(pending)
