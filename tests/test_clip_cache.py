import copy
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

from clip_samples import build, random_box, sample, seed_pipeline, texture
from star_pose.datasets import ClipReadError
from star_pose.datasets.clip_cache import ClipCache, ClipCacheWriter
from star_pose.datasets.fill_clip_cache import clip_sources, cutter_of, fill_cache
from star_pose.datasets.geometry import apply_matrix
from star_pose.datasets.person_clip import PersonClip, PersonCutter, clip_key
from star_pose.datasets.source_view import SourceView

SIZE = (400, 300)
META = dict(reach=1.4, codec='jpeg')
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((np.float64(one) - np.float64(other)) ** 2))


def clip_of(rng, number=3, box=(150, 60, 230, 240), **cut):
    frames = [texture(SIZE, rng) for _ in range(number)]
    return frames, PersonCutter(**cut).cut(frames, np.array([box], np.float32))


def test_clip_returns_from_its_record_and_repeated_frames_are_stored_once():
    rng = np.random.default_rng(0)
    frames = [texture(SIZE, rng) for _ in range(3)]
    border = [frames[0], frames[0], frames[0], frames[1], frames[2]]
    clip = PersonCutter().cut(border, np.array([150, 60, 230, 240]))
    record = clip.to_bytes('jpeg', quality=95)
    back = PersonClip.from_bytes(record)
    assert [id(image) for image in back.images[:3]] == [id(back.images[0])] * 3
    assert len({id(image) for image in back.images}) == 3
    for one, other in zip(clip.images, back.images, strict=True):
        assert psnr(one, other) > 38
    np.testing.assert_array_equal(back.view.to_frame, clip.view.to_frame)
    assert back.view.inside == clip.view.inside
    three = PersonCutter().cut(frames, np.array([150, 60, 230, 240])).to_bytes('jpeg', quality=95)
    assert abs(len(record) - len(three)) < 20


def test_uncompressed_codec_loses_chroma_only():
    _, clip = clip_of(np.random.default_rng(1))
    back = PersonClip.from_bytes(clip.to_bytes('i420'))
    for one, other in zip(clip.images, back.images, strict=True):
        grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(int) for image in (one, other)]
        assert np.abs(grey[0] - grey[1]).mean() < 1
        assert psnr(one, other) > 36


@pytest.mark.parametrize('where', [0, 4, 30, -1])
def test_a_flipped_bit_and_a_cut_record_are_noticed(where):
    record = bytearray(clip_of(np.random.default_rng(2))[1].to_bytes('jpeg'))
    record[where] ^= 1
    with pytest.raises(ClipReadError):
        PersonClip.from_bytes(bytes(record))
    record[where] ^= 1
    for length in (0, 3, 40, len(record) - 1):
        with pytest.raises(ClipReadError):
            PersonClip.from_bytes(bytes(record[:length]))


def test_cut_says_where_its_pixels_lie_in_the_frame():
    for box, limit in (((150, 60, 230, 240), 256), ((5, 5, 390, 290), 400)):
        frames, clip = clip_of(np.random.default_rng(3), box=box)
        to_frame, (width, height) = clip.view.to_frame, clip.view.image_size
        assert max(width, height) <= 1.4 * limit
        x, y = np.meshgrid(np.arange(4, width - 4, 7.0), np.arange(4, height - 4, 7.0))
        places = apply_matrix(to_frame, np.stack([x, y], axis=-1)).astype(np.float32)
        expected = cv2.remap(frames[1], places[..., 0], places[..., 1], cv2.INTER_CUBIC)
        found = clip.images[1][4 : height - 4 : 7, 4 : width - 4 : 7]
        assert psnr(found, expected) > 36


def test_small_persons_are_stored_as_they_are_and_large_ones_at_the_crops_scale():
    rng = np.random.default_rng(4)
    frames = [texture((1280, 960), rng)]
    small = PersonCutter().cut(frames, np.array([600, 400, 640, 500]))
    np.testing.assert_array_equal(small.view.to_frame[:, :2], np.eye(2))
    x, y = small.view.to_frame[:, 2].astype(int)
    width, height = small.view.image_size
    np.testing.assert_array_equal(small.images[0], frames[0][y : y + height, x : x + width])
    large = PersonCutter().cut(frames, np.array([500, 280, 700, 680]))
    # 400 pixels and padding become 256, so the square of reach 1.4 becomes 358
    assert abs(large.view.image_size[1] - 1.4 * 256) <= 2


@pytest.mark.parametrize('box', [(-300, -300, -200, -200), (398, 298, 399, 299), (0, 0, 400, 300)])
def test_boxes_at_and_over_the_border_can_be_cut(box):
    _, clip = clip_of(np.random.default_rng(5), box=box)
    width, height = clip.view.image_size
    assert width >= 2
    assert height >= 2
    assert clip.images[0].shape == (height, width, 3)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flipped_view_maps_flipped_images_to_the_flipped_frame(direction):
    to_frame = np.array([[1.5, 0, 20.0], [0, 1.25, 11.0]])
    view = SourceView.of_cut((200, 150), (90, 80), to_frame)
    flipped = view.flipped(direction)
    axes = {'horizontal': (0,), 'vertical': (1,), 'diagonal': (0, 1)}[direction]
    point = np.array([13.0, 31.0])
    mirrored, expected = point.copy(), apply_matrix(to_frame, point)
    for axis in axes:
        mirrored[axis] = view.image_size[axis] - 1 - point[axis]
        expected[axis] = view.frame_size[axis] - 1 - expected[axis]
    np.testing.assert_allclose(apply_matrix(flipped.to_frame, mirrored), expected)
    np.testing.assert_allclose(flipped.flipped(direction).to_frame, to_frame)
    assert flipped.flipped(direction).inside == view.inside


AUGMENTATION = (
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', rotate_factor=40.0, scale_factor=(0.75, 1.25)),
    dict(type='ClipAffine', input_size=(192, 256), use_udp=True),
    dict(type='GenerateLRClip'),
)


@pytest.mark.parametrize('scale', [1.0, 3.0])
def test_augmented_crops_from_cuts_are_those_from_frames(scale):
    rng = np.random.default_rng(6)
    size = (int(SIZE[0] * scale), int(SIZE[1] * scale))
    pipeline, flips = build(*AUGMENTATION), 0
    for seed in range(12):
        frames = [texture(size, rng, cell=int(16 * scale)) for _ in range(3)]
        start = sample(frames, random_box(rng, size), rng)
        clip = PersonCutter(reach=1.8).cut(frames, start['bbox'])
        cut = dict(copy.copy(start), img=clip.images, source_view=clip.view)
        seed_pipeline(seed)
        expected = pipeline(copy.deepcopy(start))
        seed_pipeline(seed)
        found = pipeline(copy.deepcopy(cut))
        flips += expected['flip']
        for key in ('transformed_keypoints', 'input_center', 'input_scale', 'warp_mat'):
            np.testing.assert_array_equal(found[key], expected[key])
        inside = (expected['gt_mask'] & found['gt_mask']).astype(bool)
        assert np.mean(expected['gt_mask'] != found['gt_mask']) < 0.01
        if inside.sum() > 1000:
            assert psnr(found['gt_img'][inside], expected['gt_img'][inside]) > 38
        if inside.all():
            assert psnr(found['img'], expected['img']) > 40
    assert 0 < flips < 12


def test_mask_is_zero_where_the_cut_ends_inside_the_frame():
    rng = np.random.default_rng(7)
    frames = [np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)] * 3
    start = sample(frames, (170, 110, 230, 190), rng)
    clip = PersonCutter(reach=1.0).cut(frames, start['bbox'])
    start.update(img=clip.images, source_view=clip.view)
    start['bbox_rotation'] = np.array([45.0], np.float32)
    made = build(AUGMENTATION[0], *AUGMENTATION[4:])(start)
    mask = made['gt_mask'].astype(bool)
    assert 0.5 < mask.mean() < 0.95
    assert (made['gt_img'][mask] == 255).all()


def test_stock_affine_refuses_the_cuts_of_a_cache():
    rng = np.random.default_rng(8)
    frames, clip = clip_of(rng)
    start = sample(frames, (150, 60, 230, 240), rng)
    start.update(img=clip.images, source_view=clip.view)
    stock = dict(type='TopdownAffine', input_size=(192, 256))
    with pytest.raises(ValueError, match='use ClipAffine with a cache'):
        build(AUGMENTATION[0], stock, dict(type='GenerateLRClip'))(start)


def test_key_changes_with_everything_that_changes_the_clip_and_not_with_the_place():
    base = dict(frame_paths=['/a/v/x/1.jpg', '/a/v/x/2.jpg'], target_idx=1, bbox=np.ones((1, 4)))
    key = clip_key(base)
    assert clip_key(dict(base, frame_paths=['b/c/v/x/1.jpg', 'b/c/v/x/2.jpg'])) == key
    for change in (
        dict(frame_paths=['/a/v/x/2.jpg', '/a/v/x/1.jpg']),
        dict(frame_paths=['/a/w/x/1.jpg', '/a/w/x/2.jpg']),
        dict(target_idx=0),
        dict(bbox=np.full((1, 4), 1.01)),
    ):
        assert clip_key(dict(base, **change)) != key


def test_cache_gives_back_what_was_written_and_refuses_other_settings(tmp_path):
    path = str(tmp_path / 'a.lmdb')
    clip = clip_of(np.random.default_rng(9))[1]
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
    clip = clip_of(np.random.default_rng(10))[1]
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
    monkeypatch.setattr('star_pose.datasets.clip_cache._FIRST_MAP_SIZE', 2**16)
    path = str(tmp_path / 'a.lmdb')
    values = {bytes([key]): os.urandom(50_000) for key in range(8)}
    with ClipCacheWriter(path, META) as writer:
        writer.write(values.items())
    assert len(ClipCache(path)) == 8
    assert os.path.getsize(path) > 400_000


# ------------------------------------------------------------------ filling it from a config


@pytest.fixture
def data(tmp_path):
    """Two videos of eight frames with two persons each, in PoseTrack18's form, and a config."""
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
    cutter = cutter_of(cfg, 'train')
    with ClipCacheWriter(path, vars(cutter)) as writer:
        return fill_cache(clip_sources(cfg, 'train', cutter), writer, **options)


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
    head = dict(type='SampleClipFrames', num_frames=3, stride=2)
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


def test_random_stride_cannot_be_cached(data):
    data.train_dataloader.dataset.pipeline[0]['stride'] = (1, 3)
    with pytest.raises(ValueError, match='fixed one'):
        clip_sources(data, 'train', cutter_of(data, 'train'))


def _fill_and_die(cfg, path):
    def dying(records, total):
        for number, record in enumerate(records):
            if number == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            yield record

    fill(cfg, path, track=dying)


def test_killed_filling_leaves_a_sound_cache_and_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr('star_pose.datasets.fill_clip_cache._BATCH', 4)
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
    place = content.find(b'SPC1', len(content) // 2) + 2000  # inside the pixels of some clip
    out.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    code, text = run('--verify')
    assert code == 1
    assert '32 clips, 1 damaged' in text
    assert '31 clips were there, 1 written' in run()[1]
