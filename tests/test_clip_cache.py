import importlib
import json
import multiprocessing
import os
import signal
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from clip_samples import build, seed_pipeline, texture, use_mmpose_scope
from star_pose.datasets import ClipReadError
from star_pose.datasets.cache.clip_cache import ClipCache, ClipCacheWriter
from star_pose.datasets.cache.fill_clip_cache import (
    cache_meta,
    clip_sources,
    cutter_of,
    fill_cache,
)
from star_pose.datasets.cache.person_clip import PersonCutter, clip_key

META = dict(reach=1.4, quality=90)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((np.float64(one) - np.float64(other)) ** 2))


def clip_of(rng):
    frames = [texture((400, 300), rng) for _ in range(3)]
    return PersonCutter().cut(frames, np.array([150, 60, 230, 240]))


AUGMENTATION = (
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', rotate_factor=40.0, scale_factor=(0.75, 1.25)),
    dict(type='ClipAffine', input_size=(192, 256), use_udp=True),
    dict(type='GenerateLRClip'),
)


def test_key_changes_with_everything_that_changes_the_clip_and_not_with_the_place(tmp_path):
    for folder in ('a/v/x', 'a/w/x', 'b/c/v/x'):
        os.makedirs(tmp_path / folder)
        for name in ('1.jpg', '2.jpg'):
            (tmp_path / folder / name).write_bytes(b'picture')
            os.utime(tmp_path / folder / name, (10**9, 10**9))

    def key(folder='a/v/x', names=('1.jpg', '2.jpg'), **change):
        paths = [str(tmp_path / folder / name) for name in names]
        base = dict(frame_paths=paths, target_idx=1, bbox=np.ones((1, 4)))
        return clip_key({**base, **change})

    first = key()
    assert key('b/c/v/x') == first
    assert key(names=('2.jpg', '1.jpg')) != first
    assert key('a/w/x') != first
    assert key(target_idx=0) != first
    assert key(bbox=np.full((1, 4), 1.01)) != first
    path = tmp_path / 'a/v/x/2.jpg'
    os.utime(path, (10**9 + 2, 10**9 + 2))
    assert key() != first
    path.write_bytes(b'another picture')
    os.utime(path, (10**9, 10**9))
    assert key() != first
    path.unlink()
    with pytest.raises(ClipReadError, match=r'no frame file .*2\.jpg'):
        key()


def test_cache_gives_back_what_was_written_and_refuses_other_settings(tmp_path):
    path = str(tmp_path / 'a.lmdb')
    clip = clip_of(np.random.default_rng(9))
    with ClipCacheWriter(path, META) as writer:
        writer.write([(b'k', clip.to_bytes())])
        assert b'k' in writer
    cache = ClipCache(path)
    assert len(cache) == 1
    assert cache.read(b'other') is None
    np.testing.assert_array_equal(cache.read(b'k').view.to_frame, clip.view.to_frame)
    cache.close()
    with pytest.raises(ValueError, match='same settings'):
        ClipCacheWriter(path, dict(META, reach=2.0))


def test_missing_foreign_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'tools/cache_clips.py'):
        ClipCache(str(tmp_path / 'none.lmdb'))
    text = tmp_path / 'text.lmdb'
    text.write_text('no database')
    with pytest.raises(ClipReadError, match=r'text\.lmdb'):
        ClipCache(str(text))


def test_damage_in_the_file_is_found_when_reading_and_by_verifying(tmp_path):
    path = tmp_path / 'a.lmdb'
    clip = clip_of(np.random.default_rng(10))
    with ClipCacheWriter(str(path), META) as writer:
        writer.write([(bytes([key]), clip.to_bytes()) for key in range(3)])
    content = bytearray(path.read_bytes())
    record = clip.to_bytes()
    place = content.find(record[: len(record) // 2]) + len(record) // 2
    content[place] ^= 255
    path.write_bytes(bytes(content))
    cache = ClipCache(str(path))
    faults = {key: fault for key, fault in cache.verify() if fault}
    assert len(faults) == 1
    (key,) = faults
    with pytest.raises(ClipReadError, match=r'check sum.*--verify'):
        cache.read(key)
    cache.close()
    with ClipCacheWriter(str(path), META) as writer:
        writer.remove(faults)
    assert len(ClipCache(str(path))) == 2


def test_map_grows_with_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr('star_pose.datasets.cache.clip_cache._FIRST_MAP_SIZE', 2**16)
    path = str(tmp_path / 'a.lmdb')
    values = {bytes([key]): os.urandom(50_000) for key in range(8)}
    with ClipCacheWriter(path, META) as writer:
        writer.write(values.items())
    assert len(ClipCache(path)) == 8
    assert os.path.getsize(path) > 400_000


@pytest.fixture
def data(tmp_path):
    """Two videos of eight frames with two persons each, in PoseTrack18's form, and a config."""
    use_mmpose_scope()
    rng = np.random.default_rng(11)
    images, annotations = [], []
    for video in (1, 2):
        folder = f'images/train/{video:06d}_test'
        os.makedirs(tmp_path / folder)
        for t in range(8):
            name, image_id = f'{folder}/{t:06d}.jpg', 10000000000 + video * 10000 + t
            cv2.imwrite(str(tmp_path / name), texture((160, 120), rng))
            images.append(
                dict(file_name=name, id=image_id, frame_id=image_id, vid_id=f'{video:06d}')
                | dict(nframes=8, is_labeled=True, width=160, height=120)
            )
            for person in (0, 1):
                x, y = 20 + 60 * person, 20 + t
                joints = rng.uniform([x, y], [x + 40, y + 80], (17, 2)).round(1)
                values = np.concatenate([joints, np.full((17, 1), 1.0)], axis=1)
                annotations.append(
                    dict(id=image_id * 100 + person, image_id=image_id, track_id=person)
                    | dict(bbox=[x, y, 40, 80], category_id=1, keypoints=values.ravel().tolist())
                )
    labels = dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])
    (tmp_path / 'train.json').write_text(json.dumps(labels))
    head = [dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip')]
    tail = [*AUGMENTATION, dict(type='PackClipInputs')]
    dataset = dict(
        type='PoseTrackClipDataset',
        data_root=str(tmp_path),
        ann_file='train.json',
        data_prefix=dict(img=''),
        pipeline=head + tail,
    )
    loader = dict(dataset=dataset)
    return Config(dict(train_dataloader=loader, val_dataloader=loader))


def fill(cfg, path, **options):
    sources = clip_sources(cfg, 'train', cutter_of(cfg, 'train'))
    with ClipCacheWriter(path, cache_meta(sources)) as writer:
        return fill_cache(sources, writer, **options)


def test_config_trains_from_the_cache_as_from_the_frames(data, tmp_path):
    path = str(tmp_path / 'train.lmdb')
    report = fill(data, path)
    assert (report.present, report.written, report.faults) == (0, 32, [])
    again = fill(data, path)
    assert (again.present, again.written) == (32, 0)
    (plain,) = clip_sources(data, 'train', cutter_of(data, 'train'))
    cfg = data.train_dataloader.dataset
    cfg.pipeline[1].update(cache=path, cache_miss='raise')
    cached = build(*cfg.pipeline)
    cfg.pipeline[1] = dict(type='LoadClip')
    frames = build(*cfg.pipeline)
    for index in (0, 9, 31):
        packed = []
        for pipeline in (frames, cached):
            seed_pipeline(index)
            packed.append(pipeline(plain.dataset.get_data_info(index)))
        one, other = packed
        assert psnr(one['inputs'], other['inputs']) > 25  # halved chroma, and the border of the cut
        for key in ('input_center', 'input_scale', 'ori_shape', 'img_path', 'frame_paths'):
            np.testing.assert_array_equal(
                one['data_samples'].metainfo[key], other['data_samples'].metainfo[key]
            )
        np.testing.assert_array_equal(
            one['data_samples'].gt_instances.keypoints,
            other['data_samples'].gt_instances.keypoints,
        )


def test_other_frames_than_the_caches_are_decoded_or_refused(data, tmp_path):
    path = str(tmp_path / 'train.lmdb')
    fill(data, path)
    (source,) = clip_sources(data, 'train', cutter_of(data, 'train'))
    head = dict(type='SampleClipFrames', num_frames=3, target='last')
    results = build(head, dict(type='LoadClip', cache=path))(source.dataset.get_data_info(9))
    assert 'source_view' not in results
    assert results['img'][0].shape == (120, 160, 3)
    strict = build(head, dict(type='LoadClip', cache=path, cache_miss='raise'))
    with pytest.raises(ClipReadError, match=r'run tools/cache_clips\.py again'):
        strict(source.dataset.get_data_info(9))


def test_unreadable_frames_are_reported_and_made_when_they_are_mended(data, tmp_path):
    path, frame = str(tmp_path / 'train.lmdb'), tmp_path / 'images/train/000001_test/000003.jpg'
    content = frame.read_bytes()
    frame.write_bytes(content[:300])
    report = fill(data, path)
    assert len(report.faults) == 6  # three targets of two persons have this frame
    assert all('000003.jpg' in fault for fault in report.faults)
    assert report.written == 26
    frame.write_bytes(content)
    mended = fill(data, path)
    assert (mended.present, mended.written, mended.faults) == (26, 6, [])


def test_cut_is_as_wide_as_the_pipeline_needs(data):
    pipeline = data.train_dataloader.dataset.pipeline
    assert cutter_of(data, 'train') == PersonCutter((192, 256), 1.25, 1.4)
    affine, low = AUGMENTATION[-2:]
    pipeline[:] = [*pipeline[:2], dict(type='GetBBoxCenterScale', padding=1.1), affine, low]
    assert cutter_of(data, 'train', quality=80) == PersonCutter((192, 256), 1.1, 1.1, 80)
    assert cutter_of(data, 'train', reach=1.2) == PersonCutter((192, 256), 1.1, 1.2)


def test_other_files_under_the_same_names_are_not_served_from_the_cache(data, tmp_path):
    path = str(tmp_path / 'train.lmdb')
    fill(data, path)
    (source,) = clip_sources(data, 'train', cutter_of(data, 'train'))
    strict = build(
        dict(type='SampleClipFrames', num_frames=3),
        dict(type='LoadClip', cache=path, cache_miss='raise'),
    )
    assert 'source_view' in strict(source.dataset.get_data_info(9))
    frame = source.dataset.get_data_info(9)['img_path']
    cv2.imwrite(frame, texture((160, 120), np.random.default_rng(12)))
    with pytest.raises(ClipReadError, match='is not in cache'):
        strict(source.dataset.get_data_info(9))


def test_cache_made_otherwise_than_the_pipeline_reads_is_refused(data, tmp_path):
    path = str(tmp_path / 'train.lmdb')
    fill(data, path)
    cfg = data.train_dataloader.dataset
    cfg.pipeline[1] = dict(type='LoadClip', cache=path)

    def fetch(**changes):
        pipeline = [dict(step, **changes.get(step['type'], {})) for step in cfg.pipeline]
        return DATASETS.build(dict(cfg, pipeline=pipeline))[9]

    assert fetch()['inputs'].shape == (3, 3, 64, 48)
    with pytest.raises(ValueError, match=r'crops of \(192, 256\).*input_size=\(144, 192\)'):
        fetch(ClipAffine=dict(input_size=(144, 192)))
    with pytest.raises(ValueError, match=r'padding=1.25, GetBBoxCenterScale has 1.5'):
        fetch(GetBBoxCenterScale=dict(padding=1.5))
    with pytest.raises(ValueError, match=r"color_type='color', LoadClip has 'grayscale'"):
        fetch(LoadClip=dict(color_type='grayscale'))


def test_float_frames_are_float_from_the_cache_too(data, tmp_path):
    path = str(tmp_path / 'train.lmdb')
    fill(data, path)
    (source,) = clip_sources(data, 'train', cutter_of(data, 'train'))
    head = dict(type='SampleClipFrames', num_frames=3)
    load = dict(type='LoadClip', cache=path, cache_miss='raise')
    for to_float32, kind in ((True, np.float32), (False, np.uint8)):
        made = build(head, dict(load, to_float32=to_float32))(source.dataset.get_data_info(9))
        assert 'source_view' in made
        assert {frame.dtype for frame in made['img']} == {np.dtype(kind)}


def test_pipeline_without_clip_affine_is_refused(data):
    pipeline = data.train_dataloader.dataset.pipeline
    pipeline[-3] = dict(type='TopdownAffine', input_size=(192, 256))
    with pytest.raises(ValueError, match='no ClipAffine'):
        cutter_of(data, 'train')


def _fill_and_die(cfg, path):
    def dying(records, total):
        for number, record in enumerate(records):
            if number == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            yield record

    fill(cfg, path, track=dying)


def test_killed_filling_leaves_a_sound_cache_and_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr('star_pose.datasets.cache.fill_clip_cache._BATCH', 4)
    path = str(tmp_path / 'train.lmdb')
    process = multiprocessing.get_context('fork').Process(target=_fill_and_die, args=(data, path))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    cache = ClipCache(path)
    assert len(cache) == 12  # three whole transactions of four
    assert not any(fault for _, fault in cache.verify())
    cache.close()
    report = fill(data, path)
    assert (report.present, report.written) == (12, 20)


def test_tool_fills_goes_on_and_mends_what_is_damaged(data, tmp_path, monkeypatch, capsys):
    data.dump(str(tmp_path / 'config.py'))
    out = tmp_path / 'train.lmdb'
    monkeypatch.syspath_prepend(f'{ROOT}/tools')
    tool = importlib.import_module('cache_clips')

    def run(*options):
        arguments = [str(tmp_path / 'config.py'), '--out', str(out), '--workers', '0', *options]
        monkeypatch.setattr(sys, 'argv', ['cache_clips.py', *arguments])
        code = tool.main()
        return code, capsys.readouterr().out

    code, text = run()
    assert code == 0
    assert '0 clips were there, 32 written' in text
    assert run('--verify')[0] == 0
    content = out.read_bytes()
    place = content.find(b'SPC2', len(content) // 2) + 2000  # inside the pixels of some clip
    out.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    code, text = run('--verify')
    assert code == 1
    assert '32 clips, 1 damaged' in text
    assert '31 clips were there, 1 written' in run()[1]
