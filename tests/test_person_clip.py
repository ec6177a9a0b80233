import copy

import cv2
import numpy as np
import pytest

from clip_samples import build, random_box, sample, seed_pipeline, texture
from star_pose.datasets import ClipReadError
from star_pose.datasets.cache.person_clip import PersonClip, PersonCutter
from star_pose.datasets.frames.geometry import SourceView, apply_matrix

SIZE = (400, 300)


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
    record = clip.to_bytes(quality=95)
    back = PersonClip.from_bytes(record)
    assert [id(image) for image in back.images[:3]] == [id(back.images[0])] * 3
    assert len({id(image) for image in back.images}) == 3
    for one, other in zip(clip.images, back.images, strict=True):
        assert psnr(one, other) > 38
    np.testing.assert_array_equal(back.view.to_frame, clip.view.to_frame)
    assert back.view.inside == clip.view.inside
    three = PersonCutter().cut(frames, np.array([150, 60, 230, 240])).to_bytes(quality=95)
    assert abs(len(record) - len(three)) < 20


@pytest.mark.parametrize('where', [0, 4, 30, -1])
def test_a_flipped_bit_and_a_cut_record_are_noticed(where):
    record = bytearray(clip_of(np.random.default_rng(2))[1].to_bytes())
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


@pytest.mark.parametrize(
    ('offset', 'inside'),
    [
        ((20, 11), (0, 0, 89, 79)),  # inside the frame on all sides
        ((-4, 11), (4 / 1.5, 0, 89, 79)),  # over its left border: frame pixel 0 lies at 4 / 1.5
        ((20, -5), (0, 5 / 1.25, 89, 79)),
        ((100, 11), (0, 0, (199 - 100) / 1.5, 79)),  # over its right border, at frame pixel 199
        ((20, 90), (0, 0, 89, (149 - 90) / 1.25)),
        ((-4, -5), (4 / 1.5, 5 / 1.25, 89, 79)),
    ],
)
def test_cut_shows_the_frame_up_to_the_border_that_comes_first(offset, inside):
    to_frame = np.array([[1.5, 0, offset[0]], [0, 1.25, offset[1]]])
    view = SourceView.of_cut((200, 150), (90, 80), to_frame)
    np.testing.assert_allclose(view.inside, inside, atol=1e-9)
    assert (view.frame_size, view.image_size) == ((200, 150), (90, 80))
    assert SourceView.of_frame((150, 200, 3)).inside == (0, 0, 199, 149)


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


@pytest.mark.parametrize(
    'options', [dict(reach=0), dict(reach=float('nan')), dict(quality=0), dict(quality=101)]
)
def test_cuts_that_hold_nobody_and_qualities_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must be'):
        PersonCutter(**options)
