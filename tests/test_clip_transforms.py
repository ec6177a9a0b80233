import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import worker_init_fn
from mmpose.datasets.transforms import PhotometricDistortion

from clip_samples import NUM_KEYPOINTS, build, random_box, sample, seed_pipeline, texture
from star_pose.datasets.frames.geometry import apply_matrix, invert
from star_pose.datasets.transforms.degradations import fetch_rng
from star_pose.models.data_samples import target_index

SIZE = (120, 100)


def video(length, index):
    frames = [f'v/{t:06d}.jpg' for t in range(length)]
    return dict(img_path=frames[index], video_frames=frames, frame_index=index)


def positions(results):
    return [results['video_frames'].index(path) for path in results['frame_paths']]


@pytest.mark.parametrize(
    ('options', 'index', 'expected', 'target'),
    [
        (dict(num_frames=5), 5, [3, 4, 5, 6, 7], 2),
        (dict(num_frames=5), 0, [0, 0, 0, 1, 2], 2),
        (dict(num_frames=5), 9, [7, 8, 9, 9, 9], 2),
        (dict(num_frames=4), 5, [3, 4, 5, 6], 2),
        (dict(num_frames=3, target='last'), 5, [3, 4, 5], 2),
        (dict(num_frames=3, target='last'), 1, [0, 0, 1], 2),
        (dict(num_frames=1), 4, [4], 0),
    ],
)
def test_frames_are_in_time_order_and_borders_repeat(options, index, expected, target):
    made = build(dict(type='SampleClipFrames', **options))(video(10, index))
    assert positions(made) == expected
    assert made['target_idx'] == target
    assert made['frame_paths'][target] == made['img_path']
    assert made['nframes'] == 10


@pytest.mark.parametrize('target', ['centre', 'last'])
@pytest.mark.parametrize('num_frames', [1, 2, 3, 4, 5, 8])
def test_target_is_where_the_models_expect_it(num_frames, target):
    made = build(dict(type='SampleClipFrames', num_frames=num_frames, target=target))(video(20, 9))
    assert made['target_idx'] == target_index(num_frames, target)


def test_workers_repeat_by_seed_and_differ_from_each_other():
    def draws(worker, seed):
        worker_init_fn(worker, num_workers=2, rank=0, seed=seed)
        return fetch_rng().integers(0, 9, 12).tolist()

    assert draws(0, 5) == draws(0, 5)
    assert draws(0, 5) != draws(1, 5)
    assert draws(0, 5) != draws(0, 50)


@pytest.mark.parametrize(
    'options',
    [dict(num_frames=0), dict(target='first')],
)
def test_impossible_sampling_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(dict(type='SampleClipFrames', **options))


def test_frame_index_outside_the_video_is_refused():
    with pytest.raises(ValueError, match='outside its video of 4 frames'):
        build(dict(type='SampleClipFrames'))(dict(video(4, 0), frame_index=4))


def test_still_becomes_the_same_path_in_every_frame():
    made = build(dict(type='SampleClipFrames', num_frames=3))(dict(img_path='a.jpg'))
    assert made['frame_paths'] == ['a.jpg'] * 3


def test_given_image_is_repeated_and_given_clip_is_taken():
    rng = np.random.default_rng(0)
    images = np.stack([texture(SIZE, rng) for _ in range(3)])
    pipeline = build(dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip'))
    single = pipeline(dict(img=images[0]))
    assert single['img_path'] is None
    assert single['ori_shape'] == (100, 120)
    for given in (images, list(images)):
        made = pipeline(dict(img=given))
        for t in range(3):
            np.testing.assert_array_equal(single['img'][t], images[0])
            np.testing.assert_array_equal(made['img'][t], images[t])


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        ([np.zeros((4, 4, 3), np.uint8)] * 2, '2 images are given for a clip of 3'),
        ([np.zeros((4, 4), np.uint8)] * 3, r'shape \(H, W, 3\)'),
        ([np.zeros((4, n, 3), np.uint8) for n in (4, 5, 4)], 'differ in size'),
    ],
)
def test_wrong_images_are_refused(images, message):
    pipeline = build(dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip'))
    with pytest.raises(ValueError, match=message):
        pipeline(dict(img=images))


def test_colours_change_alike_in_all_frames():
    rng = np.random.default_rng(1)
    image = texture(SIZE, rng)
    seed_pipeline(3)
    pipeline = build(dict(type='ClipPhotometricDistortion'))
    changed = 0
    for _ in range(6):
        made = pipeline(dict(img=[image] * 4))['img']
        for frame in made[1:]:
            np.testing.assert_array_equal(made[0], frame)
        changed += not np.array_equal(made[0], image)
    assert changed > 2
    off = build(dict(type='ClipPhotometricDistortion', prob=0.0))(dict(img=[image]))
    np.testing.assert_array_equal(off['img'][0], image)


def test_colours_of_a_clip_of_one_frame_are_those_of_mmpose():
    image = texture(SIZE, np.random.default_rng(2))
    ours, stock = build(dict(type='ClipPhotometricDistortion')), PhotometricDistortion()
    for seed in range(5):
        seed_pipeline(seed)
        fetch_rng()  # the draw for prob
        expected = stock(dict(img=image))['img']
        seed_pipeline(seed)
        np.testing.assert_array_equal(ours(dict(img=[image]))['img'][0], expected)


def bordered(rotation=0.0, labelled=slice(None), **options):
    """A white clip before and after RandomFrameBorder, its joints well inside the box."""
    rng = np.random.default_rng(6)
    frames = [np.full((100, 120, 3), 255, np.uint8)] * 3
    start = sample(frames, (20, 10, 80, 90), rng, bbox_rotation=np.float32([rotation]))
    start['keypoints'] = rng.uniform((40, 30), (60, 70), (1, NUM_KEYPOINTS, 2)).astype(np.float32)
    start['keypoints_visible'] = np.zeros((1, NUM_KEYPOINTS), np.float32)
    start['keypoints_visible'][:, labelled] = 1
    cut = build(
        dict(type='GetBBoxCenterScale'),
        dict(type='ClipAffine', input_size=(192, 256)),
    )(start)
    seed_pipeline(0)
    return cut, build(dict(type='RandomFrameBorder', **options))(copy.deepcopy(cut))


@pytest.mark.parametrize('rotation', [0.0, 25.0])
@pytest.mark.parametrize('gap', [0.0, 0.2])
def test_frame_ends_at_the_given_distance_from_the_outermost_joints(rotation, gap):
    before, after = bordered(rotation, prob=1.0, gap=(gap, gap))
    joints = before['keypoints'][0]
    low, high = joints.min(axis=0), joints.max(axis=0)
    room = gap * (high - low).max()
    grid = np.stack(np.meshgrid(np.arange(192), np.arange(256)), axis=-1)
    places = apply_matrix(invert(before['warp_mat']), grid)  # the oracle: each pixel, in the frame
    margin = np.minimum(places - (low - room), (high + room) - places).min(axis=-1)
    np.testing.assert_array_equal(after['gt_mask'], (margin >= -1e-4) & (before['gt_mask'] > 0))
    for old, new in zip(before['img'], after['img'], strict=True):
        np.testing.assert_array_equal(new, old * after['gt_mask'][..., None])
        assert new.dtype == np.uint8
    assert 0 < after['gt_mask'].mean() < 0.8


def test_frame_border_spares_unlabelled_clips_and_those_not_drawn():
    for options in (dict(prob=0.0), dict(prob=1.0, labelled=slice(0))):
        before, after = bordered(**options)
        for old, new in zip(before['img'], after['img'], strict=True):
            np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(before['gt_mask'], after['gt_mask'])


def test_frame_border_moves_each_side_as_often_as_asked():
    before, _ = bordered(prob=0.0)
    transform = build(dict(type='RandomFrameBorder', prob=0.25))
    changed = [
        not np.array_equal(transform(copy.deepcopy(before))['gt_mask'], before['gt_mask'])
        for _ in range(200)
    ]
    assert abs(np.mean(changed) - (1 - 0.75**4)) < 0.1  # three standard deviations


def test_frame_border_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match='prob must be in'):
        build(dict(type='RandomFrameBorder', prob=1.5))
    with pytest.raises(ValueError, match='gap must be'):
        build(dict(type='RandomFrameBorder', gap=(0.3, 0.1)))
    with pytest.raises(KeyError, match='after ClipAffine'):
        build(dict(type='RandomFrameBorder'))(dict(img=[np.zeros((8, 8, 3), np.uint8)]))


HEAD = (
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=(192, 256), use_udp=True),
)
CODEC = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)


def test_packed_sample_has_the_form_that_the_model_reads():
    rng = np.random.default_rng(4)
    frames = [texture(SIZE, rng) for _ in range(5)]
    start = sample(
        frames, (20, 20, 70, 90), rng, track_id=4, vid_id='0012', skeleton_links=[(0, 1)]
    )
    target = dict(type='GenerateTarget', encoder=CODEC)
    made = build(*HEAD, target, dict(type='GenerateLRClip'))(start)
    packed = build(dict(type='PackClipInputs'))(made)
    inputs, data = packed['inputs'], packed['data_samples']
    assert inputs.dtype == torch.uint8
    assert tuple(inputs.shape) == (5, 3, 64, 48)
    for t in range(5):
        np.testing.assert_array_equal(inputs[t].numpy().transpose(1, 2, 0), made['img'][t])
    np.testing.assert_array_equal(data.gt_sr.img.numpy().transpose(1, 2, 0), made['gt_img'])
    np.testing.assert_array_equal(data.gt_sr.mask.numpy()[0], made['gt_mask'])
    assert data.gt_sr.img.dtype == data.gt_sr.mask.dtype == torch.uint8
    assert tuple(data.gt_fields.heatmaps.shape) == (NUM_KEYPOINTS, 64, 48)
    keypoints = data.gt_instances.transformed_keypoints
    assert keypoints.shape == (1, NUM_KEYPOINTS, 2)
    assert keypoints.dtype == np.float32
    np.testing.assert_array_equal(keypoints, made['transformed_keypoints'])
    assert data.gt_instances.keypoints_visible.shape == (1, NUM_KEYPOINTS)
    meta = data.metainfo
    assert meta['input_size'] == (192, 256)
    assert meta['target_idx'] == 2
    assert meta['img_path'] == 'video/000002.jpg'
    assert meta['frame_paths'][0] == 'video/000000.jpg'
    assert (meta['track_id'], meta['vid_id']) == (4, '0012')
    assert meta['degradation']['downsample'] == 'bicubic'
    assert 'head_box' not in meta


def test_sample_without_keypoints_or_truth_can_be_packed():
    rng = np.random.default_rng(5)
    start = sample([texture(SIZE, rng)] * 3, (20, 20, 70, 90), rng)
    del start['keypoints'], start['keypoints_visible']
    low = dict(type='GenerateLRClip', keep_hr=False)
    data = build(*HEAD, low, dict(type='PackClipInputs'))(start)['data_samples']
    assert 'gt_sr' not in data
    assert 'transformed_keypoints' not in data.gt_instances


def test_whole_training_pipeline_repeats_by_seed_and_differs_between_fetches():
    rng = np.random.default_rng(6)
    start = sample([texture(SIZE, rng)] * 5, random_box(rng, SIZE), rng)
    pipeline = build(
        dict(type='PseudoClip'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform'),
        dict(type='ClipAffine', input_size=(192, 256)),
        dict(type='ClipPhotometricDistortion'),
        dict(type='GenerateLRClip', after=[dict(type='ClipNoise'), dict(type='ClipJPEG')]),
        dict(type='PackClipInputs'),
    )

    def fetch(seed=None):
        if seed is not None:
            seed_pipeline(seed)
        return pipeline(copy.deepcopy(start))['inputs']

    first, again = fetch(1), fetch()
    assert not torch.equal(first, again)
    assert torch.equal(first, fetch(1))
    assert torch.equal(again, fetch())
