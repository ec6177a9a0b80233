"""Joints are looked for in the person's box and close by."""

import numpy as np
import pytest

from blob_videos import heatmap_config, make_checkpoint
from star_pose import VideoPose
from star_pose.apis.box_prior import damp_outside


def test_the_weight_is_one_in_the_box_and_falls_as_a_gaussian_outside():
    boxes = np.array([[100.0, 50, 200, 150]])  # its size is 100: a margin of 5, a sigma of 10
    centres, scales = np.array([[150.0, 100]]), np.array([[200.0, 200]])
    weight = damp_outside(np.ones((1, 2, 20, 20), np.float32), boxes, centres, scales)[0]
    places = 50 + 10 * (np.arange(20) + 0.5)  # of columns; 50 less for rows
    outside = np.maximum(np.maximum(100 - places, places - 200) - 5, 0)
    expected = np.exp(-0.5 * (outside / 10) ** 2)
    np.testing.assert_allclose(weight[1], np.outer(expected, expected), rtol=1e-5)
    assert (weight[:, 5:15, 5:15] == 1).all()


def test_what_is_not_positive_stays():
    maps = np.full((1, 1, 4, 4), -2.0, np.float32)
    box = np.array([[0.0, 0, 1, 1]])
    np.testing.assert_array_equal(damp_outside(maps, box, np.ones((1, 2)), box[:, 2:] * 9), maps)


def test_a_brighter_neighbour_takes_no_joints(tmp_path):
    rows, columns = np.mgrid[:160, :240]
    picture = np.full((160, 240), 20.0)
    for x, light in ((100, 120), (132, 220)):  # the second stands outside the box, in the crop
        picture += light * np.exp(-((columns - x) ** 2 + (rows - 80) ** 2) / (2 * 4**2))
    image = np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    poser = VideoPose(heatmap_config(), make_checkpoint(tmp_path), backend='torch')
    crop = poser.model.cut([image], [[80, 40, 120, 120]])
    assert crop.pixels[0, 0].max() > 230, 'the neighbour is seen'
    (frame,) = poser(image, [[80, 40, 120, 120]])
    assert frame.keypoints[0] == pytest.approx(np.tile([100, 80], (3, 1)), abs=1.5)
