"""Small people by one model, others by another, in one batch: each as by his model alone."""

import cv2
import numpy as np
import pytest

from blob_videos import clip_config, make_checkpoint
from star_pose import VideoPose
from star_pose.apis.pose_by_size import PoseBySize
from star_pose.apis.pose_model import PoseModel
from star_pose.apis.shipped_models import BY_SIZE, SMALL_BELOW, find_model, shipped_models

# x1 y1 x2 y2: small, tall, small, and low but so wide that the crop about it is tall
BOXES = np.array([[10, 10, 40, 70], [60, 5, 110, 115], [120, 40, 150, 100], [100, 60, 190, 90]])
SMALL = [True, False, True, False]


@pytest.fixture(scope='module')
def frames():
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (5, 12, 20, 3), dtype=np.uint8)
    return [cv2.resize(frame, (200, 120), interpolation=cv2.INTER_CUBIC) for frame in coarse]


@pytest.fixture(scope='module')
def pair():
    names = 'star_pose_movenet-lightning', 'movenet-lightning'
    return [PoseModel(*find_model(name), backend='torch') for name in names]


def test_everybody_is_posed_as_by_his_model_alone(frames, pair):
    both = PoseBySize(*pair, SMALL_BELOW)
    assert both.is_small(BOXES).tolist() == SMALL
    crops = both.cut(frames, BOXES)
    (heatmaps,) = both.run(crops.pixels)
    keypoints, scores = both.decode((heatmaps,), crops.centres, crops.scales)
    for row, is_small in enumerate(SMALL):
        model = pair[0] if is_small else pair[1]
        alone = model.cut(frames if is_small else frames[2:3], BOXES[row : row + 1])
        assert np.array_equal(crops.pixels[row], alone.pixels[0])
        outputs = model.run(alone.pixels)
        np.testing.assert_allclose(heatmaps[row], outputs[0][0], atol=1e-5)
        wanted = model.decode(outputs, alone.centres, alone.scales)
        np.testing.assert_allclose(keypoints[row], wanted[0][0], atol=0.01)
        np.testing.assert_allclose(scores[row], wanted[1][0], atol=1e-4)


def test_a_video_of_people_of_both_sizes_is_posed_by_default(frames):
    poser = VideoPose(backend='torch', evidence=1, smoothing=False)
    assert isinstance(poser.model, PoseBySize)
    assert set(BY_SIZE) < set(shipped_models())
    for boxes in (BOXES, BOXES[:1], BOXES[1:2], np.zeros((0, 4))):
        results = list(poser(frames, boxes))
        assert len(results) == len(frames)
        for result in results:
            assert result.keypoints.shape == (len(boxes), 17, 2)
            assert np.isfinite(result.keypoints).all()


def test_a_file_of_one_model_is_not_for_two(tmp_path):
    with pytest.raises(ValueError, match='name it'):
        VideoPose(network=str(tmp_path / 'int8.onnx'))


def test_models_that_cannot_stand_for_each_other_are_refused(tmp_path, pair):
    blobs = PoseModel(clip_config(), make_checkpoint(tmp_path), backend='torch')
    for small, large in ((blobs, pair[1]), pair[::-1]):
        with pytest.raises(ValueError, match='same joints'):
            PoseBySize(small, large, SMALL_BELOW)
