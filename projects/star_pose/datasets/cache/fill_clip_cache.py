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
from ..transforms import LoadClip, SampleClipFrames
from .clip_cache import ClipCacheWriter
from .person_clip import clip_key
from .person_cutter import CropCutter, PersonCutter

__all__ = ['CacheReport', 'ClipSource', 'clip_sources', 'cutter_of', 'fill_cache']

_BATCH = 64  # records a transaction: what a kill may cost


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
        codec: As of :meth:`PersonClip.to_bytes`.
        quality: As of :meth:`PersonClip.to_bytes`.

    Raises:
        ValueError: The frames are drawn at random, so that no two fetches are the same clip.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        transforms: list,
        load: LoadClip,
        cutter: PersonCutter | CropCutter,
        codec: str = 'jpeg',
        quality: int = 90,
    ) -> None:
        for transform in transforms:
            if isinstance(transform, SampleClipFrames) and len(set(transform.stride)) > 1:
                raise ValueError(
                    f'{transform} draws its stride in every fetch: a cache needs a fixed one'
                )
        self.dataset = dataset
        self.head = Compose(transforms)
        load.cache = None
        self.load = load
        self.cutter = cutter
        self.codec, self.quality = codec, quality

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
            clip = self.cutter.cut(results['img'], results['bbox'])
        except (OSError, DataError) as error:
            return b'', torch.empty(0, dtype=torch.uint8), str(error)
        record = bytearray(clip.to_bytes(self.codec, self.quality))
        return clip_key(results), torch.frombuffer(record, dtype=torch.uint8), ''


def cutter_of(
    cfg: Config, split: str, reach: float | None = None, resolution: float = 1.0
) -> PersonCutter | CropCutter:
    """The cutter that fits a config's pipeline.

    Where nothing but ``GetBBoxCenterScale`` stands between ``LoadClip`` and ``ClipAffine``, which
    warps the frames at once, the crop itself is kept; else a square that can be augmented.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        reach: As of :class:`PersonCutter`; a number asks for the square in any case.
        resolution: As of :class:`PersonCutter`.

    Raises:
        ValueError: The pipeline has no ``ClipAffine``.
    """
    steps = _pipeline_cfg(cfg[f'{split}_dataloader'].dataset)
    kinds = [step['type'] for step in steps]
    if 'ClipAffine' not in kinds:
        raise ValueError(
            f'the pipeline of {split}_dataloader has no ClipAffine, which alone can warp clips of '
            f'a cache; it has {kinds}'
        )
    affine = steps[kinds.index('ClipAffine')]
    sizes = dict(input_size=tuple(affine['input_size']))
    for step in steps:
        if step['type'] == 'GetBBoxCenterScale' and 'padding' in step:
            sizes['padding'] = step['padding']
    between = kinds[kinds.index('LoadClip') + 1 : kinds.index('ClipAffine')]
    deferred = affine.get('defer', False) or affine.get('lr_source') not in (None, False)
    if reach is None and between == ['GetBBoxCenterScale'] and not deferred:
        return CropCutter(**sizes, use_udp=affine.get('use_udp', False))
    return PersonCutter(**sizes, reach=reach or PersonCutter.reach, resolution=resolution)


def clip_sources(
    cfg: Config,
    split: str,
    cutter: PersonCutter | CropCutter,
    codec: str = 'jpeg',
    quality: int = 90,
) -> list[ClipSource]:
    """Build a config's data set and find the pipelines in it that load clips.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        cutter: How to cut.
        codec: As of :meth:`PersonClip.to_bytes`.
        quality: As of :meth:`PersonClip.to_bytes`.

    Raises:
        ValueError: No pipeline has ``SampleClipFrames`` and ``LoadClip``.
    """
    cfg_dataset = cfg[f'{split}_dataloader'].dataset
    _leave_out_caches(cfg_dataset)
    sources = _find_sources(DATASETS.build(cfg_dataset), cutter, codec, quality)
    if not sources:
        raise ValueError(
            f'no pipeline of {split}_dataloader has SampleClipFrames before LoadClip: there are '
            'no clips to cache'
        )
    return sources


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
        keys = {index: clip_key(source.describe(index)) for index in range(len(source))}
        missing = [index for index, key in keys.items() if key not in writer]
        report.present += len(keys) - len(missing)
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


def _find_sources(
    dataset, cutter: PersonCutter | CropCutter, codec: str, quality: int
) -> list[ClipSource]:
    """Find the pipelines that load clips, in wrapped and combined data sets too."""
    transforms = list(getattr(getattr(dataset, 'pipeline', None), 'transforms', []))
    kinds = [type(transform) for transform in transforms]
    if LoadClip in kinds and SampleClipFrames in kinds[: kinds.index(LoadClip)]:
        position = kinds.index(LoadClip)
        load = transforms[position]
        return [ClipSource(dataset, transforms[:position], load, cutter, codec, quality)]
    children = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    found = [_find_sources(child, cutter, codec, quality) for child in children if child]
    return [source for sources in found for source in sources]


def _pipeline_cfg(cfg_dataset: dict) -> list[dict]:
    """All steps of all pipelines of a data set's config, the outer ones last."""
    children = cfg_dataset.get('datasets') or [cfg_dataset.get('dataset')]
    steps = [step for child in children if child for step in _pipeline_cfg(child)]
    return steps + list(cfg_dataset.get('pipeline', []))


def _leave_out_caches(cfg_dataset: dict) -> None:
    """Let no pipeline read the cache that is to be made."""
    for step in _pipeline_cfg(cfg_dataset):
        if step['type'] == 'LoadClip':
            step.pop('cache', None)
