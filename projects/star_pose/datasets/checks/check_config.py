"""Check all data that a config points to, without stopping at the first fault."""

import collections
import concurrent.futures
import copy
import hashlib
import os.path as osp
from collections.abc import Callable, Iterable, Iterator

from mmpose.datasets.datasets import BaseCocoStyleDataset
from mmpose.registry import DATASETS

from ..base_clip_dataset import BaseClipDataset
from ..coco_still_clip_dataset import CocoStillClipDataset
from ..errors import DataError
from ..frame_folder_dataset import FrameFolderDataset
from ..frames.clip_reader import ClipReader, ClipReadError, split_ref
from ..frames.frame_lists import FrameName
from ..labels.detected_boxes import read_detected_persons
from ..labels.label_faults import annotation_fault, num_labelled, outside_share
from ..labels.label_files import read_labels
from ..skipping_dataset import SkipPolicy, nested_datasets
from .report import DatasetReport

__all__ = ['check_config', 'config_datasets']

SPLITS = ('train', 'val', 'test')
_CHUNK = 32  # image files that a thread reads at a time
_MOSTLY = 0.5  # share of a box outside its image from which it is noted


def config_datasets(cfg: dict) -> list[tuple[str, dict]]:
    """All data sets that a config's dataloaders name, those inside wrappers too.

    Args:
        cfg: A config with ``train_dataloader``, ``val_dataloader`` or ``test_dataloader``.

    Returns:
        (split, data set config); a test set that equals the validation set is named once.
    """
    loaders = {split: cfg.get(f'{split}_dataloader') or {} for split in SPLITS}
    found = {
        split: [copy.deepcopy(dict(one)) for one in nested_datasets(loader['dataset'])]
        if loader.get('dataset')
        else []
        for split, loader in loaders.items()
    }
    found['test'] = [dataset for dataset in found['test'] if dataset not in found['val']]
    return [(split, dataset) for split in SPLITS for dataset in found[split]]


def check_config(
    cfg: dict,
    read: str = 'all',
    fix_missing: str | None = None,
    workers: int = 2,
    progress: Callable = lambda frames, description: frames,
) -> list[DatasetReport]:
    """Check every data set of a config, and that no test data is in the training data.

    Args:
        cfg: The config, its modules imported.
        read: Which frames are decoded: ``'all'``, ``'labelled'`` or ``'none'``.
        fix_missing: ``'nearest'``: judge as with ``missing_frames='nearest'`` in the config, where
            missing neighbour frames are replaced and no error. Nothing is written.
        workers: Number of decoding threads.
        progress: Wraps the list of frames to show how far it is.

    Returns:
        One report a data set.

    Raises:
        ValueError: ``read`` is unknown, or the config names no data set.
    """
    if read not in ('all', 'labelled', 'none'):
        raise ValueError(f"read must be 'all', 'labelled' or 'none', got {read!r}")
    datasets = config_datasets(cfg)
    if not datasets:
        raise ValueError('the config names no data set in its train, val or test dataloader')
    reports = []
    for split, dataset_cfg in datasets:
        label_file = dataset_cfg.get('ann_file', '')
        report = DatasetReport(split, f'{dataset_cfg["type"]}\n{osp.basename(label_file)}')
        reports.append(report)
        dataset = _build(dataset_cfg, report)
        entries = None if dataset is None else _load(dataset, report)
        if entries is None:
            continue
        replaced = 'nearest' in (fix_missing, dataset_cfg.get('missing_frames'))
        _check_neighbours(dataset, replaced, report)
        _check_labels(dataset, entries[1], report)
        _check_detections(dataset_cfg, dataset, entries[1], report)
        frames = progress(_frames_to_read(dataset, entries[0], read), f'{split}: reading')
        _check_frames(frames, entries[1], workers, report)
    _check_leakage(reports)
    return reports


def _build(cfg: dict, report: DatasetReport) -> BaseClipDataset | None:
    """Make the data set such that it collects faults; None where it is of an unknown kind."""
    kind = DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    if kind is None or not issubclass(kind, BaseCocoStyleDataset):
        report.add('label files', f'{cfg["type"]} is no COCO-style data set: not checked')
        return None
    kwargs = {key: cfg[key] for key in ('data_root', 'data_prefix') if cfg.get(key)}
    kwargs['metainfo'] = cfg.get('metainfo') or kind.METAINFO
    if issubclass(kind, FrameFolderDataset):
        kwargs['missing_frames'] = 'nearest'
    if not issubclass(kind, BaseClipDataset):
        kind = CocoStillClipDataset  # MMPose's own image data sets have the same labels
    ann_file = cfg.get('ann_file', '')
    return kind(ann_file, on_error='skip', max_skips=1.0, lazy_init=True, **kwargs)


def _load(dataset: BaseClipDataset, report: DatasetReport) -> tuple[list[dict], list[dict]] | None:
    """Load persons and images; None where the labels cannot be loaded at all."""
    try:
        persons, images = dataset.load_entries()
    except (DataError, OSError) as error:
        report.add('label files', str(error))
        return None
    finally:
        for check, text in dataset.skips.label_faults:
            report.add(check, text)
    if not persons:
        report.add('label files', f'{dataset.ann_file} has no usable person')
    report.counts = {name: n for name, n in dataset.counts.items() if name != 'missing frames'}
    report.sequences = {osp.realpath(key) for key in dataset.video_frames}
    return persons, images


def _check_neighbours(dataset: BaseClipDataset, replaced: bool, report: DatasetReport) -> None:
    check = 'repeated neighbour frames' if replaced else 'missing neighbour frames'
    for path in getattr(dataset, 'missing_paths', ()):
        report.add(check, path)


def _check_labels(dataset: BaseClipDataset, images: list[dict], report: DatasetReport) -> None:
    """What does not keep a person from being a sample, but is wrong or worth knowing."""
    labels = read_labels(dataset.ann_file)
    by_id = {image['id']: image for image in images}
    seen, tracks = collections.Counter(), collections.Counter()
    for annotation in labels['annotations']:
        where = f'{osp.basename(dataset.ann_file)}: annotation {annotation["id"]}'
        seen[annotation['id']] += 1
        if isinstance(annotation.get('track_id'), (int, float, str)):
            tracks[annotation['image_id'], annotation['track_id']] += 1
        image = by_id.get(annotation['image_id'])
        if not num_labelled(annotation):
            report.add('persons without joints', where)
        elif image and not annotation_fault(annotation, image, dataset.metainfo['num_keypoints']):
            _check_person(annotation, image, where, report)
    for number, count in seen.items():
        if count > 1:
            report.add('duplicate ids', f'annotation id {number} occurs {count} times')
    for (image_id, track_id), count in tracks.items():
        if count > 1 and report.sequences:
            report.add('duplicate ids', f'track {track_id} is {count} times in image {image_id}')
    _check_range(dataset, labels['images'], report)


def _check_person(annotation: dict, image: dict, where: str, report: DatasetReport) -> None:
    box, values = annotation['bbox'], annotation['keypoints']
    if _MOSTLY < outside_share(box, image) < 1:
        report.add('boxes mostly outside', f'{where}: bbox {box}')
    joints = list(zip(values[0::3], values[1::3], values[2::3], strict=True))
    unlabelled = sum(v <= 0 and (x, y) != (0, 0) for x, y, v in joints)
    if unlabelled:
        report.add('positions without label', f'{where}: {unlabelled} joints')
    width, height = image['width'], image['height']
    outside = sum(v > 0 and not (0 <= x <= width and 0 <= y <= height) for x, y, v in joints)
    if outside:
        report.add('joints outside images', f'{where}: {outside} joints')


def _check_range(dataset: BaseClipDataset, images: list[dict], report: DatasetReport) -> None:
    """Labelled frames beyond the video's length that the labels themselves state."""
    if not isinstance(dataset, FrameFolderDataset):
        return
    for image in images:
        name = FrameName.parse(image['file_name'])
        first = dataset.first_frame(name.digits) if name else None
        if first is None or not image.get('nframes'):
            continue
        if not first <= name.number < first + image['nframes']:
            last = first + image['nframes'] - 1
            text = f'{image["file_name"]}: by nframes the video has frames {first} to {last}'
            report.add('frames out of range', text)


def _check_detections(
    cfg: dict, dataset: BaseClipDataset, images: list[dict], report: DatasetReport
) -> None:
    if not cfg.get('bbox_file'):
        return
    path = cfg['bbox_file']
    if not osp.exists(path):
        report.add('missing files', f'file of detected boxes: {path}')
        return
    skips = SkipPolicy('bbox_file', 'skip', max_skips=1.0)
    by_id = {image['id']: image for image in images}
    try:
        read_detected_persons(path, by_id, dataset.metainfo['num_keypoints'], skips, report.counts)
    except DataError as error:
        report.add('bad detections', str(error))
    for check, text in skips.label_faults:
        report.add(check, text)


def _frames_to_read(dataset: BaseClipDataset, persons: list[dict], read: str) -> list[str]:
    if read == 'none':
        return []
    labelled = dict.fromkeys(sample['img_path'] for sample in persons)
    if read == 'labelled' or not dataset.video_frames:
        return list(labelled)
    frames = (frame for video in dataset.video_frames.values() for frame in video)
    return list(dict.fromkeys(frames))


def _check_frames(
    frames: list[str], images: list[dict], workers: int, report: DatasetReport
) -> None:
    expected = {image['img_path']: (image['width'], image['height']) for image in images}
    read = 0
    for path, size, digest in _read_frames(frames, workers):
        read += 1
        if isinstance(size, DataError):
            report.add('unreadable files', str(size))
        elif path in expected:
            report.contents[digest] = path
            if size != expected[path]:
                text = f'{path} is {size}, its labels say {expected[path]} (w, h)'
                report.add('size differs from labels', text)
    report.counts['frames read'] = read


def _check_leakage(reports: list[DatasetReport]) -> None:
    """Find videos and pictures of the training data in the validation or test data."""
    for train in reports:
        for other in reports:
            if train.split != 'train' or other.split == 'train':
                continue
            for sequence in sorted(train.sequences & other.sequences):
                other.add('leakage', f'video {sequence} is in the training data too')
            for digest in train.contents.keys() & other.contents.keys():
                path, twin = other.contents[digest], train.contents[digest]
                other.add('leakage', f'{path} has the same pixels as {twin} of the training data')


def _read_frames(refs: Iterable[str], workers: int = 2) -> Iterator[tuple[str, object, str]]:
    """Decode frames and say how it went.

    Args:
        refs: Frame references, see :func:`split_ref`; the frames of one video file in order.
        workers: Number of threads; decoders release the interpreter lock.

    Yields:
        Reference, size (w, h) in px or the ``ClipReadError``, and a digest of the pixels (empty
        for an unreadable frame), in the order of the references.
    """
    chunks = list(_chunks(refs))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for results in pool.map(_read_chunk, chunks):
            yield from results


def _chunks(refs: Iterable[str]) -> Iterator[list[str]]:
    """Cut image files into small chunks; the frames of a video file stay together."""
    chunk: list[str] = []
    video = None
    for ref in refs:
        path, position = split_ref(ref)
        current = path if position is not None else None
        if chunk and (current != video or (current is None and len(chunk) >= _CHUNK)):
            yield chunk
            chunk = []
        video = current
        chunk.append(ref)
    if chunk:
        yield chunk


def _read_chunk(refs: list[str]) -> list[tuple[str, object, str]]:
    reader = ClipReader(cache_mb=0)  # an open video must not be shared between threads
    results = []
    for ref in refs:
        try:
            frame = reader.read(ref)
        except ClipReadError as error:
            results.append((ref, error, ''))
            continue
        height, width = frame.shape[:2]
        results.append((ref, (width, height), hashlib.blake2b(frame, digest_size=16).hexdigest()))
    return results
