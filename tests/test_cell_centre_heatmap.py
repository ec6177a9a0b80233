import numpy as np
import pytest
from mmpose.registry import KEYPOINT_CODECS

SIZE, CELLS = (48, 64), (12, 16)


def codec(**options):
    return KEYPOINT_CODECS.build(
        {'type': 'CellCentreHeatmap', 'input_size': SIZE, 'heatmap_size': CELLS, 'sigma': 2}
        | options
    )


def test_a_joint_at_a_cells_centre_is_a_gaussian_about_that_cell():
    joints = np.array([[[4 * 5 + 1.5, 4 * 7 + 1.5]]], np.float32)
    heatmap = codec(unbiased=True).encode(joints)['heatmaps'][0]
    rows, columns = np.mgrid[:16, :12]
    wanted = np.exp(-((columns - 5) ** 2 + (rows - 7) ** 2) / (2 * 2**2))
    np.testing.assert_allclose(heatmap, wanted, atol=1e-6)


@pytest.mark.parametrize('options', [{'unbiased': True, 'blur_kernel_size': 3}, {}])
def test_joints_are_found_again_and_seen(options):
    joints = np.random.default_rng(0).uniform((16, 16), (31, 47), (1, 20, 2)).astype(np.float32)
    one = codec(**options)
    encoded = one.encode(joints, np.ones((1, 20), np.float32))
    keypoints, scores = one.decode(encoded['heatmaps'])
    # Quarter shifts leave up to a quarter of a cell, Taylor's expansion next to nothing.
    np.testing.assert_allclose(keypoints, joints, atol=0.1 if options else 2.6)
    assert abs((keypoints - joints).mean()) < (0.02 if options else 0.6)
    assert scores.min() > 0.85
    assert encoded['keypoint_weights'].shape == (1, 20)


def test_mirrored_joints_have_mirrored_heatmaps():
    joints = np.array([[[9.3, 20.0], [30.25, 41.7]]], np.float32)
    mirrored = joints.copy()
    mirrored[..., 0] = SIZE[0] - 1 - joints[..., 0]
    one = codec(unbiased=True)
    plain, other = (one.encode(each)['heatmaps'] for each in (joints, mirrored))
    np.testing.assert_allclose(plain, other[..., ::-1], atol=1e-5)


def test_a_joint_outside_has_no_weight():
    encoded = codec(unbiased=True).encode(np.array([[[-40.0, 10.0]]], np.float32))
    assert encoded['keypoint_weights'].tolist() == [[0]]


def test_of_two_peaks_the_prior_finds_the_one_in_the_middle_and_leaves_place_and_score():
    one = codec(unbiased=True, blur_kernel_size=3)
    beside, middle = (
        one.encode(np.array([[joint]], np.float32))['heatmaps']
        for joint in ((5.5, 9.5), (25.5, 33.5))
    )
    both = beside + 0.9 * middle  # a neighbour is as clear, a little farther from the middle
    found, score = one.decode(both)
    np.testing.assert_allclose(found, [[[5.5, 9.5]]], atol=0.2)
    assert score == pytest.approx(1, abs=0.01)
    found, score = codec(unbiased=True, blur_kernel_size=3, centre_prior=6).decode(both)
    np.testing.assert_allclose(found, [[[25.5, 33.5]]], atol=0.4)
    assert score == pytest.approx(0.9, abs=0.02)
