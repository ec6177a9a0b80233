import copy

import numpy as np
import pytest

from clip_samples import blob, build, centroid, sample, seed_pipeline, texture
from star_pose.datasets.cache.person_clip import PersonCutter
from star_pose.datasets.frames.geometry import apply_matrix

SIZE = (160, 120)
BOX = (40, 20, 100, 100)


def still(rng, image, **fields):
    return sample([image] * 5, BOX, rng, **fields)


def test_target_frame_is_untouched_and_the_others_move():
    rng = np.random.default_rng(0)
    image = texture(SIZE, rng)
    made = build(dict(type='PseudoClip'))(still(rng, image))
    assert made['img'][2] is image
    for t in (0, 1, 3, 4):
        assert not np.array_equal(made['img'][t], image)
    np.testing.assert_array_equal(made['camera_motion'][2], np.eye(2, 3))
    assert made['camera_gain'][2] == 1


def test_ground_truth_stays_that_of_the_target_frame():
    rng = np.random.default_rng(1)
    start = still(rng, texture(SIZE, rng))
    made = build(dict(type='PseudoClip'))(copy.deepcopy(start))
    for key in ('keypoints', 'keypoints_visible', 'bbox', 'img_path', 'frame_paths'):
        np.testing.assert_array_equal(start[key], made[key])


def test_a_keypoint_is_in_every_frame_where_the_motion_says():
    rng = np.random.default_rng(2)
    seed_pipeline(4)
    for _ in range(5):
        spot = rng.uniform([60, 45], [95, 75])
        start = still(rng, blob(SIZE, spot, sigma=4.0))
        made = build(dict(type='PseudoClip', translation=0.03, exposure=0.0))(start)
        for t in range(5):
            expected = apply_matrix(made['camera_motion'][t], spot)
            np.testing.assert_allclose(centroid(made['img'][t]), expected, atol=0.05)


def test_cuts_of_a_cache_move_as_the_frames_do():
    rng = np.random.default_rng(8)
    spot = np.array([72.0, 61.0])
    start = still(rng, blob(SIZE, spot, sigma=3.0))
    clip = PersonCutter(input_size=(36, 48), reach=1.2).cut(start['img'], start['bbox'])
    assert clip.view.image_size[1] < SIZE[1] / 1.5  # made smaller, too
    start.update(img=clip.images, source_view=clip.view)
    made = build(dict(type='PseudoClip', exposure=0.0))(start)
    for t in range(5):
        expected = apply_matrix(made['camera_motion'][t], spot)
        found = apply_matrix(clip.view.to_frame, centroid(made['img'][t]))
        np.testing.assert_allclose(found, expected, atol=0.15)


def test_motion_is_smooth_small_and_not_on_whole_pixels():
    rng = np.random.default_rng(3)
    image = texture(SIZE, rng)
    pipeline = build(dict(type='PseudoClip', translation=0.02, zoom=0.01, rotation=1.0))
    shifts = []
    centre = np.array([70.0, 60.0])  # of the box
    for _ in range(50):
        motion = pipeline(still(rng, image))['camera_motion']
        path = np.stack([apply_matrix(matrix, centre) for matrix in motion]) - centre  # T 2
        # Second differences are the constant acceleration, third ones vanish
        np.testing.assert_allclose(np.diff(path, n=3, axis=0), 0, atol=1e-4)
        assert np.abs(np.diff(path, axis=0)).max() <= 80 * 0.02 * (1 + 0.5 * 1.5) + 1e-4
        shifts.append(path[3])
    fraction = np.abs(shifts - np.round(shifts))
    assert 0.15 < fraction.mean() < 0.35  # 0.25 where all fractions are alike likely


def test_exposure_changes_grey_values_by_the_recorded_gain():
    rng = np.random.default_rng(5)
    grey = np.full((120, 160, 3), 120, np.uint8)
    made = build(dict(type='PseudoClip', exposure=0.05))(still(rng, grey))
    for frame, gain in zip(made['img'], made['camera_gain'], strict=True):
        assert np.abs(frame.astype(float) - 120 * gain).max() <= 0.51


def test_videos_are_left_alone_unless_asked_for():
    rng = np.random.default_rng(6)
    frames = [texture(SIZE, rng) for _ in range(5)]
    start = sample(frames, BOX, rng, video_frames=['a', 'b'])
    kept = build(dict(type='PseudoClip'))(copy.copy(start))
    assert all(one is other for one, other in zip(kept['img'], frames, strict=True))
    moved = build(dict(type='PseudoClip', videos=True))(copy.copy(start))
    assert moved['img'][2] is frames[2]
    assert not np.array_equal(moved['img'][0], frames[0])
    unmoved = build(dict(type='PseudoClip', videos=True, prob=0.0))(copy.copy(start))
    assert unmoved['img'][0] is frames[0]


def test_without_speed_nothing_moves():
    rng = np.random.default_rng(7)
    image = texture(SIZE, rng)
    still_camera = dict(translation=0.0, zoom=0.0, rotation=0.0, exposure=0.0)
    made = build(dict(type='PseudoClip', **still_camera))(still(rng, image))
    for frame in made['img']:
        np.testing.assert_array_equal(frame, image)


@pytest.mark.parametrize('name', ['translation', 'zoom', 'rotation', 'exposure', 'acceleration'])
def test_negative_speed_is_refused(name):
    with pytest.raises(ValueError, match=name):
        build(dict(type='PseudoClip', **{name: -0.1}))
