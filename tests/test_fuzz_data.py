"""Random damage to images, videos, labels and boxes: an error of the project's own, or a result.

A small number of mutations runs here; ``STAR_POSE_FUZZ=10000`` asks for that many of each kind.
"""

import copy
import functools
import json
import os
import resource
import signal
import string

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from clip_samples import texture
from posetrack_folder import COCO, JHMDB, POSETRACK18, make_posetrack, make_video, write_json
from star_pose.apis.box_file import FileBoxes
from star_pose.apis.frame_sources import open_source
from star_pose.datasets import (
    ClipReader,
    CocoStillClipDataset,
    DataError,
    JhmdbClipDataset,
    PoseTrackClipDataset,
    VideoClipDataset,
    video_refs,
)
from star_pose.datasets.checks.check_config import check_config
from star_pose.datasets.frames.clip_reader import image_size, video_times

NUMBER = int(os.environ.get('STAR_POSE_FUZZ', 20))
SECONDS = 20  # for one mutation, on a busy machine too
GROWTH_MB = 1500


@pytest.fixture(autouse=True)
def bounded():
    """Quiet logs; no run may take more memory than a few large images."""
    MMLogger.get_current_instance().setLevel('ERROR')
    DefaultScope.get_instance('fuzz_data', scope_name='mmpose')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < GROWTH_MB


def outcome(act):
    """Run something within its time: True, or False where it ended with an error of ours."""

    def too_slow(*_):
        raise AssertionError(f'no end after {SECONDS} s')

    previous = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SECONDS)
    try:
        act()
    except DataError:
        return False
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return True


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut, repeat, insert or blank a stretch of bytes."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(len(data) + 1))
        stop = min(len(data), start + int(2 ** rng.uniform(0, 10)))
        kind = rng.integers(6)
        if kind == 0:
            for place in rng.integers(max(len(data), 1), size=rng.integers(1, 20)):
                if data:
                    data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[start:]
        elif kind == 2:
            del data[start:stop]
        elif kind == 3:
            data[start:start] = data[start:stop]
        elif kind == 4:
            data[start:start] = rng.bytes(stop - start)
        else:
            data[start:stop] = bytes([int(rng.choice([0, 255]))]) * (stop - start)
    return bytes(data)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.bmp', '.tif'])
def test_damaged_images_are_read_or_refused(tmp_path, suffix):
    rng = np.random.default_rng(0)
    path = tmp_path / f'frame{suffix}'
    cv2.imwrite(str(path), texture((60, 44), rng, cell=8))
    whole, results = path.read_bytes(), set()
    for _ in range(NUMBER):
        path.write_bytes(damaged(whole, rng))

        def read():
            frame = ClipReader(cache_mb=0).read(str(path))
            assert frame.dtype == np.uint8
            assert frame.ndim == 3
            image_size(str(path))

        results.add(outcome(read))
    assert False in results


@pytest.mark.parametrize('suffix', ['.mp4', '.avi', '.mkv'])
def test_damaged_videos_are_read_or_refused(tmp_path, suffix):
    rng = np.random.default_rng(1)
    path = tmp_path / f'film{suffix}'
    make_video(path, frames=8)
    whole, results = path.read_bytes(), set()
    for _ in range(NUMBER):
        path.write_bytes(damaged(whole, rng))

        def read():
            refs = video_refs(str(path))
            assert len(refs) == len(video_times(str(path)))
            reader = ClipReader(cache_mb=0)
            for place in rng.permutation(len(refs))[:4]:
                assert reader.read(refs[place]).ndim == 3

        def stream():
            source, numbers = open_source(str(path)), []
            for frame in source.frames():
                assert frame.image.ndim == 3
                assert frame.certain == (not source.bad)
                numbers.append(frame.index)
            assert numbers == sorted(set(numbers))

        results |= {outcome(read), outcome(stream)}
    assert results == {True, False}


VALUES = (
    None, True, -1, 0, 1, 2, 3.5, 1e30, -1e-30, 10**20, float('nan'), float('inf'), '', '0', 'x',
    'a\0b', '../up', '\ud800', [], [1], [[1, 2]], {}, {'id': 1}, [None] * 4, ['1'] * 51,
)  # fmt: skip


def changed(document, rng: np.random.Generator):
    """Change, remove, repeat or exchange a few values anywhere in a json document."""
    root = [copy.deepcopy(document)]
    for _ in range(rng.integers(1, 4)):
        node, key = root, 0
        while isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.85:
            node = node[key]
            keys = list(node) if isinstance(node, dict) else range(len(node))
            key = keys[int(rng.integers(len(keys)))]
        kind = rng.integers(5)
        if kind == 0 and node is not root:
            del node[key]
        elif kind == 1 and isinstance(node, list):
            node.insert(int(rng.integers(len(node))) + 1, copy.deepcopy(node[key]))
        elif kind == 2 and isinstance(node[key], (int, float)):
            node[key] = node[key] * float(rng.choice([-1, 0.5, 1e6])) + float(rng.normal())
        elif kind == 3 and isinstance(node[key], str):
            letters = list(node[key])
            place = int(rng.integers(len(letters) + 1))
            letters[place:place] = str(rng.choice(list(string.printable)))
            node[key] = ''.join(letters)
        else:
            node[key] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
    return root[0]


def visit(dataset) -> None:
    """Load everything, and fetch the first and the last sample."""
    dataset.full_init()
    for index in {0, len(dataset) - 1}:
        sample = dataset[index]
        assert len(sample['img']) == 3
        assert np.isfinite(sample['bbox']).all()
        assert np.isfinite(sample['keypoints']).all()


READ = [dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip', cache_mb=1)]
KINDS = {
    'posetrack': (PoseTrackClipDataset, POSETRACK18),
    'video': (VideoClipDataset, dict(POSETRACK18)),
    'still': (CocoStillClipDataset, POSETRACK18),
    'jhmdb': (JhmdbClipDataset, JHMDB),
    'coco': (VideoClipDataset, COCO),
}


@pytest.mark.parametrize('on_error', ['raise', 'skip'])
@pytest.mark.parametrize('name', KINDS)
def test_damaged_labels_are_read_or_refused(tmp_path, name, on_error):
    rng = np.random.default_rng(2)
    kind, metainfo = KINDS[name]
    digits = 8 if name == 'jhmdb' else 6  # JHMDB's frames count from 1, as PoseTrack17's do
    labels = make_posetrack(
        tmp_path, videos=('000001_test',), frames=4, labelled=(1, 2), digits=digits
    )
    if name == 'jhmdb':
        for annotation in labels['annotations']:
            annotation['keypoints'] = annotation['keypoints'][:45]
    results, file = set(), 'annotations/mutant.json'
    for _ in range(NUMBER):
        if rng.random() < 0.8:
            write_json(tmp_path / file, changed(labels, rng))
        else:
            content = damaged(json.dumps(labels).encode(), rng)
            (tmp_path / file).write_bytes(content)

        def load():
            visit(
                kind(
                    file, data_root=str(tmp_path), metainfo=metainfo, pipeline=READ,
                    on_error=on_error, max_skips=1.0, lazy_init=True,
                )
            )  # fmt: skip

        results.add(outcome(load))
    assert results == {True, False}


def test_damaged_detections_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(3)
    labels = make_posetrack(tmp_path, videos=('000001_test',), frames=4, labelled=(1, 2))
    detections = [
        dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=0.5)
        for a in labels['annotations']
    ]
    results = set()
    for _ in range(NUMBER):
        write_json(tmp_path / 'boxes.json', changed(detections, rng))

        def load():
            visit(
                PoseTrackClipDataset(
                    'annotations/val.json', data_root=str(tmp_path), metainfo=POSETRACK18,
                    bbox_file=str(tmp_path / 'boxes.json'), pipeline=READ, test_mode=True,
                    lazy_init=True,
                )
            )  # fmt: skip

        results.add(outcome(load))
    assert results == {True, False}


def test_damaged_box_files_of_a_video_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(5)
    frames = [f'{tmp_path}/walk/{frame:06d}.jpg' for frame in range(6)]
    boxes = [dict(image_id=n, category_id=1, bbox=[9, 9, 9 + n, 30], score=0.9) for n in range(6)]
    labels = dict(
        images=[dict(id=n, file_name=f'walk/{n:06d}.jpg') for n in range(6)],
        annotations=[dict(box, id=n, iscrowd=int(n == 4)) for n, box in enumerate(boxes)],
        categories=[dict(id=1, name='Person'), dict(id=2, name='ball')],
    )
    results, path = set(), tmp_path / 'boxes.json'
    for number in range(NUMBER):
        whole = (boxes, labels)[number % 2]
        if rng.random() < 0.8:
            write_json(path, changed(whole, rng))
        else:
            path.write_bytes(damaged(json.dumps(whole).encode(), rng))

        def load():
            source = FileBoxes(str(path), frames)
            for index in range(len(frames)):
                found, scores = source(index, None)
                assert found.shape == (len(scores), 4)
                assert np.isfinite(found).all()
                assert (found[:, 2:] >= found[:, :2]).all()

        results.add(outcome(load))
    assert results == {True, False}


def test_check_of_damaged_labels_always_ends_in_a_report(tmp_path):
    rng = np.random.default_rng(4)
    labels = make_posetrack(tmp_path, videos=('000001_test',), frames=4, labelled=(1, 2))
    dataset = dict(
        type='PoseTrackClipDataset', data_root=str(tmp_path), ann_file='annotations/mutant.json',
        metainfo=POSETRACK18,
    )  # fmt: skip
    for _ in range(NUMBER):
        write_json(tmp_path / 'annotations/mutant.json', changed(labels, rng))
        cfg = dict(train_dataloader=dict(dataset=dict(dataset)))
        assert outcome(functools.partial(check_config, cfg, read='labelled'))
