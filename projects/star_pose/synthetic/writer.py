"""Writes synthetic videos as a PoseTrack18 data set: images, masks and both forms of labels."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import pathlib
import shutil

import cv2
import numpy as np

from ..posetrack.joints import CATEGORY
from .scene import Frame, Scene, SceneOptions

__all__ = ['DatasetOptions', 'labelled_frames', 'make_dataset']

_MARK = 'synthetic_posetrack.json'
_MAX_FRAMES = 10000  # PoseTrack's image ids have four digits for the frame


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """What `make_dataset` writes.

    Args:
        videos: Number of videos, training and validation together.
        seed: Seed of everything random; video i depends on it and on i alone.
        scene: Choices that hold for every video.
        val_videos: How many of the videos, the last ones, are for validation.
        label_span: Length of the labelled run in the middle of a video; PoseTrack has 30.
        dense: Label every frame instead of PoseTrack's choice.
    """

    videos: int
    seed: int
    scene: SceneOptions
    val_videos: int = 1
    label_span: int = 30
    dense: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        scene = self.scene
        for name, value, low, high in (
            ('videos', self.videos, 1, 899_999), ('frames', scene.frames, 1, _MAX_FRAMES),
            ('width', scene.size[0], 64, 4096), ('height', scene.size[1], 64, 4096),
            ('people', 1 if scene.people is None else scene.people, 1, 90),
            ('seed', self.seed, 0, 2**63),
            ('val_videos', self.val_videos, 0, self.videos),
            ('label_span', self.label_span, 1, 10**6),
        ):  # fmt: skip
            if not low <= value <= high:
                raise ValueError(f'{name} must be between {low} and {high}, got {value}')
        if scene.size[0] % 2 or scene.size[1] % 2:
            raise ValueError(f'width and height must be even, got {scene.size[0]}x{scene.size[1]}')


def labelled_frames(options: DatasetOptions, train: bool) -> set[int]:
    """Indices of the frames that carry labels, chosen as PoseTrack chooses them.

    A run in the middle of the video is labelled, in validation videos every fourth frame besides.
    In videos too short for the full run it takes three quarters of the frames.
    """
    frames = options.scene.frames
    if options.dense:
        return set(range(frames))
    span = min(options.label_span, max(1, round(0.75 * frames)))
    begin = (frames - span) // 2
    chosen = set(range(begin, begin + span))
    return chosen if train else chosen | set(range(0, frames, 4))


def _name(options: DatasetOptions, index: int) -> tuple[str, str, bool]:
    """Video id, folder name and whether it is for training."""
    train = index < options.videos - options.val_videos
    vid = f'{index + 1:06d}'
    return vid, f'{vid}_mpii_{"train" if train else "test"}', train


def _write_video(root: str, options: DatasetOptions, index: int) -> dict:
    """Render one video and write it; returns its per-video json plus `detections`."""
    cv2.setNumThreads(1)  # the videos are spread over processes
    vid, name, train = _name(options, index)
    split = 'train' if train else 'val'
    scene_options, (w, h) = options.scene, options.scene.size
    labelled = labelled_frames(options, train)
    ids = [int(f'1{vid}{frame:04d}') for frame in range(scene_options.frames)]
    base = pathlib.Path(root)
    for kind in ('images', 'mask'):
        (base / kind / split / name).mkdir(parents=True, exist_ok=True)
    images, annotations, detections = [], [], []
    scene = Scene(scene_options, np.random.default_rng([options.seed, index]))
    for number, frame in enumerate(scene.frames(labelled, ids)):
        relative = f'{split}/{name}/{number:06d}.jpg'
        _write_jpeg(base / 'images' / relative, frame.image, frame.quality)
        _write_jpeg(base / 'mask' / relative, _mask(frame), 95)
        annotations += frame.annotations
        detections += frame.detections
        images.append({
            'has_no_densepose': True, 'is_labeled': number in labelled,
            'file_name': f'images/{relative}', 'nframes': scene_options.frames,
            'frame_id': ids[number], 'vid_id': vid, 'ignore_regions_y': frame.ignore_y,
            'ignore_regions_x': frame.ignore_x, 'id': ids[number], 'width': w, 'height': h,
            'mask_file': f'mask/{relative}',
        })  # fmt: skip
    labels = {'categories': [CATEGORY], 'images': images, 'annotations': annotations}
    _write_json(base / 'annotations' / split / f'{name}.json', labels)
    return {**labels, 'detections': detections}


def _mask(frame: Frame) -> np.ndarray:
    """White where the frame is to be ignored, (h, w) uint8."""
    mask = np.zeros(frame.image.shape[:2], np.uint8)
    for x, y in zip(frame.ignore_x, frame.ignore_y, strict=True):
        cv2.fillPoly(mask, [np.stack([x, y], 1).astype(np.int32)], 255)
    return mask


def _write_jpeg(path: pathlib.Path, image: np.ndarray, quality: int) -> None:
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(data.tobytes())


def _write_json(path: pathlib.Path, content: dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def make_dataset(
    out: str | pathlib.Path, options: DatasetOptions, workers: int = 1, overwrite: bool = False,
    progress=None,
) -> dict[str, dict[str, int]]:  # fmt: skip
    """Write a data set; nothing appears under `out` before all of it is complete.

    Args:
        out: Folder to write; it may exist when it is empty.
        options: What to write.
        workers: Processes that render; the bytes do not depend on it.
        overwrite: Replace an earlier synthetic data set at `out`. Any other folder is refused.
        progress: Called without arguments after every finished video.

    Returns:
        Numbers of `videos`, `frames`, `labelled_frames` and `persons` of `train` and `val`.

    Raises:
        FileExistsError: `out` holds something that must not be lost.
        ValueError: A number of workers below 1.
    """
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    out = pathlib.Path(out)
    _check_target(out, overwrite)
    partial = out.with_name(out.name + '.partial')
    for leftover in (partial, out.with_name(out.name + '.old')):  # of a killed run
        if leftover.exists():
            if not (leftover / _MARK).is_file():
                raise FileExistsError(f'{leftover} is in the way and not ours; move it away')
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    _write_json(partial / _MARK, {'seed': options.seed, 'videos': options.videos,
                                  'frames': options.scene.frames})  # fmt: skip
    try:
        results = _render_all(partial, options, workers, progress)
        counts = _write_merged(partial, options, results)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _replace(out, partial)
    return counts


def _replace(out: pathlib.Path, complete: pathlib.Path) -> None:
    """Put the complete data set in place; at no moment is there neither the old nor the new."""
    old = out.with_name(out.name + '.old')
    if out.exists():
        out.rename(old)
    complete.rename(out)
    if old.exists():
        shutil.rmtree(old)


def _check_target(out: pathlib.Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f'{out} is a file; name a new folder')
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(f'{out} is not empty; name a new folder or overwrite it explicitly')
    if not (out / _MARK).is_file():
        raise FileExistsError(
            f'{out} was not made by this tool (it holds no {_MARK}) and is not overwritten;'
            ' name a new folder'
        )


def _render_all(root, options, workers, progress) -> list[dict]:
    """Labels of every video, in order."""
    jobs = [(str(root), options, index) for index in range(options.videos)]
    results = []
    if workers == 1 or options.videos == 1:
        threads = cv2.getNumThreads()
        try:
            for job in jobs:
                results.append(_write_video(*job))
                if progress:
                    progress()
        finally:
            cv2.setNumThreads(threads)
        return results
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, options.videos), _clean_processes()
    ) as pool:
        futures = [pool.submit(_write_video, *job) for job in jobs]
        try:
            for future in futures:
                results.append(future.result())
                if progress:
                    progress()
        except BaseException:  # do not render on for a data set that is given up
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _clean_processes() -> multiprocessing.context.BaseContext:
    """Return how to start workers that are no forks of this process.

    A fork has none of the threads that OpenCV, a decoder or a runtime started here, and may wait
    for them for ever. They are forks of a process that has only imported this module instead.
    """
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    return context


def _write_merged(root, options, results) -> dict[str, dict[str, int]]:
    """Write the merged files that MMPose's configs name, and count."""
    counts = {}
    for split, wanted in (('train', True), ('val', False)):
        chosen = [r for i, r in enumerate(results) if _name(options, i)[2] is wanted]
        merged = {
            'categories': [CATEGORY],
            'images': [image for r in chosen for image in r['images']],
            'annotations': [entry for r in chosen for entry in r['annotations']],
        }
        if chosen:
            _write_json(root / 'annotations' / f'posetrack18_{split}.json', merged)
            found = [entry for r in chosen for entry in r['detections']]
            name = f'posetrack18_{split}_human_detections.json'
            _write_json(root / 'annotations' / name, found)
        counts[split] = {
            'videos': len(chosen),
            'frames': len(merged['images']),
            'labelled_frames': sum(image['is_labeled'] for image in merged['images']),
            'persons': len(merged['annotations']),
        }
    return counts
