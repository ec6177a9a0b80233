import cv2
import numpy as np
import pytest
from PIL import Image

from clip_samples import blob, build, sample, seed_pipeline, texture
from star_pose.datasets.frames.geometry import DOWNSAMPLING, downsample
from star_pose.datasets.transforms import ClipMotionBlur, ClipNoise

INPUT_SIZE = (192, 256)
SIZE = (320, 240)


def crops(rng, number=3):
    return [texture(INPUT_SIZE, rng, cell=12) for _ in range(number)]


def generate(frames, run=0, **options):
    seed_pipeline(run)
    start = dict(img=list(frames), input_size=INPUT_SIZE, target_idx=len(frames) // 2, id=11)
    return build(dict(type='GenerateLRClip', **options))(start)


@pytest.mark.parametrize(
    ('method', 'filter_'), [('bicubic', Image.BICUBIC), ('bilinear', Image.BILINEAR)]
)
def test_default_is_pillows_anti_aliased_kernel(method, filter_):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (256, 192, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((48, 64), filter_))
    found = downsample([noise], (48, 64), method)[0]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_fine_stripes_turn_grey_and_do_not_alias():
    stripes = np.zeros((256, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    for method in ('bicubic', 'bilinear', 'area'):
        found = downsample([stripes], (48, 64), method)[0]
        assert np.abs(found[4:-4, 4:-4].astype(int) - 127).max() <= 2
    assert downsample([stripes], (48, 64), 'nearest')[0].max() in (0, 255)


def test_area_is_the_mean_and_nearest_picks_beside_the_centre():
    image = texture(INPUT_SIZE, np.random.default_rng(1), cell=9)
    mean = image.reshape(64, 4, 48, 4, 3).mean(axis=(1, 3))  # H W C -> h 4 w 4 C -> h w C
    assert np.abs(downsample([image], (48, 64), 'area')[0] - mean).max() <= 0.5
    np.testing.assert_array_equal(downsample([image], (48, 64), 'nearest')[0], image[2::4, 2::4])


@pytest.mark.parametrize('method', DOWNSAMPLING)
def test_clip_and_truth_have_their_sizes_and_input_size_stays(method):
    frames = crops(np.random.default_rng(2))
    made = generate(frames, downsample=method)
    assert [frame.shape for frame in made['img']] == [(64, 48, 3)] * 3
    assert all(frame.dtype == np.uint8 for frame in made['img'])
    assert made['input_size'] == INPUT_SIZE
    np.testing.assert_array_equal(made['gt_img'], frames[1])
    assert made['degradation'] == dict(scale=4, downsample=method, steps=[])


def test_truth_is_taken_before_any_degradation():
    frames = crops(np.random.default_rng(3))
    strong = dict(type='ClipBlur', sigma=6.0)
    made = generate(frames, before=[strong], after=[dict(type='ClipNoise', sigma=40.0)])
    np.testing.assert_array_equal(made['gt_img'], frames[1])
    names = [name for name, _ in made['degradation']['steps']]
    assert names == ['ClipBlur', 'ClipNoise']
    assert made['degradation']['steps'][0][1] == dict(sigma=6.0)


def test_drawn_parameters_reproduce_the_clip_and_are_drawn_once_a_clip():
    frames = crops(np.random.default_rng(4), 5)
    made = generate(frames, run=1, before=[dict(type='ClipMotionBlur', length=(3, 12))])
    parameters = made['degradation']['steps'][0][1]
    assert 3 <= parameters['length'] <= 12
    blurred = ClipMotionBlur().apply(frames, None, **parameters)
    for one, other in zip(downsample(blurred, (48, 64), 'bicubic'), made['img'], strict=True):
        np.testing.assert_array_equal(one, other)


def test_validation_seed_gives_one_clip_for_ever_and_another_for_another_sample():
    frames = crops(np.random.default_rng(5))
    options = dict(seed=3, after=[dict(type='ClipNoise', sigma=(2, 20))])
    first, again = generate(frames, 0, **options), generate(frames, 1, **options)
    np.testing.assert_array_equal(first['img'], again['img'])
    start = dict(img=list(frames), input_size=INPUT_SIZE, target_idx=1, id='other')
    other = build(dict(type='GenerateLRClip', **options))(start)
    assert not np.array_equal(first['img'], other['img'])
    drawn = dict(after=options['after'])
    assert not np.array_equal(
        generate(frames, 0, **drawn)['img'], generate(frames, 1, **drawn)['img']
    )


def test_motion_blur_spreads_along_its_direction_only_and_keeps_place_and_light():
    image = blob(INPUT_SIZE, (90.0, 120.0), sigma=3.0)
    for angle in (0.0, 90.0, 45.0):
        (moved,) = ClipMotionBlur().apply([image], None, length=12.0, angle=angle)
        grey = moved[..., 0].astype(np.float64)
        y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
        weight = grey / grey.sum()
        mean = np.array([(weight * x).sum(), (weight * y).sum()])
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        along = (weight * ((x - mean[0]) * cos + (y - mean[1]) * sin) ** 2).sum()
        across = (weight * ((y - mean[1]) * cos - (x - mean[0]) * sin) ** 2).sum()
        np.testing.assert_allclose(mean, (90, 120), atol=0.05)
        np.testing.assert_allclose(along, 9 + 12**2 / 12, rtol=0.06)  # uniform on 12 pixels
        np.testing.assert_allclose(across, 9, rtol=0.08)


def test_noise_has_its_variance_and_differs_between_frames():
    grey = [np.full((64, 48, 3), 100, np.uint8)] * 2
    step = ClipNoise()
    rng = np.random.default_rng(0)
    one, two = (f.astype(float) - 100 for f in step.apply(grey, rng, 5.0, 0.5, False))
    assert abs(one.std() - np.sqrt(25 + 50)) < 0.4
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.05
    (same,) = step.apply(grey[:1], rng, 5.0, 0.0, True)
    np.testing.assert_array_equal(same[..., 0], same[..., 2])


def test_low_light_darkens_by_gain_and_gamma_and_adds_noise_that_the_shadows_drown_in():
    frames = [np.full((64, 48, 3), value, np.uint8) for value in (200, 50)]
    step = build(dict(type='ClipLowLight', gain=0.4, gamma=1.5, sigma=3.0, shot=0.2))
    seed_pipeline(0)
    dark = step(dict(img=frames))['img']
    for frame, value in zip(dark, (200, 50), strict=True):
        expected = 255 * 0.4 * (value / 255) ** 1.5
        assert abs(frame.mean() - expected) < 0.3
        assert abs(frame.std() - np.sqrt(9 + 0.2 * expected)) < 0.2
    made = generate(crops(np.random.default_rng(16)), after=[dict(type='ClipLowLight')])
    ((name, drawn),) = made['degradation']['steps']
    assert name == 'ClipLowLight'
    assert 0.15 <= drawn['gain'] <= 0.7
    assert 1 <= drawn['gamma'] <= 1.8


def psnr(one, other):
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return 10 * np.log10(255**2 / error)


@pytest.mark.parametrize(
    ('step', 'good', 'bad'),
    [('ClipJPEG', dict(quality=95), dict(quality=10)), ('ClipH264', dict(crf=5), dict(crf=45))],
)
def test_coding_is_real_repeats_exactly_and_worsens_with_its_factor(step, good, bad):
    rng = np.random.default_rng(6)
    small = downsample([texture(INPUT_SIZE, rng, cell=12)], (48, 64), 'bicubic')[0]
    small = np.repeat(small[..., :1], 3, axis=2)  # grey: both coders halve the chroma's resolution
    frames = [np.roll(small, t, axis=1) for t in range(5)]
    coded = {}
    for name, factor in dict(good=good, bad=bad).items():
        results = [build(dict(type=step, **factor))(dict(img=frames))['img'] for _ in range(2)]
        np.testing.assert_array_equal(*results)
        assert [frame.shape for frame in results[0]] == [(64, 48, 3)] * 5
        coded[name] = results[0]
    assert psnr(coded['good'], frames) > psnr(coded['bad'], frames) + 5
    assert psnr(coded['good'], frames) > 28
    # Frame t comes back in place t: it is nearest to the original at the same time
    for t in range(5):
        nearest = max(range(5), key=lambda s: psnr(coded['good'][t], frames[s]))
        assert nearest == t


def test_h264_takes_odd_sides():
    frame = texture((47, 63), np.random.default_rng(7))
    (coded,) = build(dict(type='ClipH264', crf=10))(dict(img=[frame]))['img']
    assert coded.shape == frame.shape
    assert psnr(coded, frame) > 28


def test_probability_zero_leaves_and_probability_half_mixes():
    frames = crops(np.random.default_rng(8), 1)
    step = dict(type='ClipBlur', sigma=2.0)
    assert generate(frames, before=[dict(step, prob=0.0)])['degradation']['steps'] == []
    blurred = sum(
        len(generate(frames, seed, before=[dict(step, prob=0.5)])['degradation']['steps'])
        for seed in range(40)
    )
    assert 10 < blurred < 30


def test_some_clips_stay_clean_of_all_degradations():
    frames = crops(np.random.default_rng(8))
    noise = dict(after=[dict(type='ClipNoise', sigma=5.0)])
    steps = [generate(frames, run, prob=0.7, **noise)['degradation']['steps'] for run in range(100)]
    assert 20 <= sum(not step for step in steps) <= 40
    clean = steps.index([])
    made = generate(frames, clean, prob=0.7, **noise)['img']
    np.testing.assert_array_equal(made, generate(frames)['img'])


def test_box_outside_the_frame_gives_black_and_an_empty_mask():
    rng = np.random.default_rng(13)
    start = sample([texture(SIZE, rng)] * 3, (900, 900, 960, 980), rng)
    warp = dict(type='ClipAffine', input_size=INPUT_SIZE)
    made = build(dict(type='GetBBoxCenterScale'), warp, dict(type='GenerateLRClip'))(start)
    assert max(frame.max() for frame in made['img']) == 0
    assert made['gt_mask'].max() == 0


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(prob=1.5), ValueError, r'prob must be in \[0, 1\], got 1.5'),
        (dict(scale=0), ValueError, 'scale'),
        (dict(downsample='lanczos'), ValueError, 'lanczos'),
        (dict(downsample=[]), ValueError, 'downsample'),
        (dict(before=[dict(type='RandomFlip')]), TypeError, 'RandomFlip'),
        (dict(after=[dict(type='ClipJPEG', quality=120)]), ValueError, 'quality'),
        (dict(after=[dict(type='ClipBlur', sigma=(3, 1))]), ValueError, 'sigma'),
        (dict(after=[dict(type='ClipNoise', prob=2)]), ValueError, 'prob'),
        (dict(after=[dict(type='ClipLowLight', gain=1.2)]), ValueError, 'gain'),
        (dict(after=[dict(type='ClipLowLight', gamma=0.5)]), ValueError, 'gamma'),
    ],
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        build(dict(type='GenerateLRClip', **options))


def test_frames_that_were_not_warped_are_refused():
    with pytest.raises(ValueError, match='put ClipAffine or TopdownAffine before'):
        generate([cv2.resize(f, (64, 64)) for f in crops(np.random.default_rng(14))])
    with pytest.raises(ValueError, match='multiple of scale 5'):
        generate(crops(np.random.default_rng(15)), scale=5)
