"""The close-ups show the very crops, frames and poses that the model has."""

import numpy as np
import pytest
import torch

from star_pose.apis.closeups import CloseUps
from star_pose.apis.pose_run import VideoPoseFrame
from star_pose.apis.synthetic_demo import longest_track
from star_pose.datasets.errors import LabelError

SIZE = (96, 128)  # h, w of the frames


@pytest.fixture(scope='module')
def closeups() -> CloseUps:
    return CloseUps('star_pose_movenet-lightning')


def _frame(index: int, image: np.ndarray, box: list[float], track: int = 3) -> VideoPoseFrame:
    centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    return VideoPoseFrame(
        index, index / 25, str(index), image, np.array([[centre] * 17]), np.ones((1, 17)),
        np.array([box], float), np.ones(1), np.array([track]),
    )  # fmt: skip


def test_each_tile_is_of_its_colour_and_the_pose_is_where_it_belongs(closeups):
    image = np.full((*SIZE, 3), (40, 80, 160), np.uint8)  # BGR
    frames = [_frame(index, image, [40, 20, 80, 70]) for index in range(5)]
    squares, bicubic, made, pose = closeups.person(frames, 2, 0)
    for tile in (squares, bicubic, made, pose):
        assert tile.shape == (256, 192, 3)
    assert (squares == (160, 80, 40)).all()
    assert (bicubic == (160, 80, 40)).all()
    # The front end adds to the bicubic frame, which it was trained to leave recognisable
    assert np.abs(made.mean((0, 1)) - (160, 80, 40)).max() < 16
    # All joints lie in the middle of the box, and so of the crop: nothing else is drawn
    ys, xs = np.nonzero((pose != squares).any(-1))
    assert abs(ys.mean() - 127.5) < 2
    assert abs(xs.mean() - 95.5) < 2
    assert len(ys) < 400


def test_the_frame_for_the_network_is_the_one_that_a_test_returns(closeups):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 3, 64, 48), np.uint8)
    model = closeups.model.model
    norm = model.data_preprocessor
    values = torch.from_numpy(pixels).flip(2).float()
    with torch.no_grad():
        feats = model.extract_feat((values - norm.mean) / norm.std)
        frame = (model.head.super_resolve(feats) * norm.std + norm.mean)[0].clamp(0, 255)
    shown = closeups.super_resolved(pixels).astype(float)
    assert np.abs(shown - frame.permute(1, 2, 0).numpy()).max() <= 0.5


def test_frames_beyond_the_ends_repeat_and_people_who_are_gone_leave_the_size(closeups):
    images = [np.full((*SIZE, 3), 50 * index, np.uint8) for index in range(3)]
    frames = [_frame(index, image, [40, 20, 80, 70]) for index, image in enumerate(images)]
    values = closeups._cut(frames, 0, 0).pixels[0, :, 0, 30, 20]
    assert values.tolist() == [0, 0, 0, 50, 100]
    there, gone = (closeups.panel(frames, 1, track) for track in (3, 4))
    assert there.shape == gone.shape
    assert closeups.sheet(frames, 1).shape[1] == there.shape[1]
    assert closeups.fusion(frames, 1, 0).ndim == 3


def test_the_longest_track_is_that_of_most_frames():
    image = np.zeros((*SIZE, 3), np.uint8)
    ids = [4, 2, 2, -1, -1, -1]
    assert longest_track([_frame(0, image, [0, 0, 9, 9], track) for track in ids]) == 2
    assert longest_track([_frame(0, image, [0, 0, 9, 9], -1)]) == -1


def test_a_model_without_a_front_end_is_refused_with_one_that_has_one():
    with pytest.raises(LabelError, match=r'has no front end .* try star_pose_movenet-lightning'):
        CloseUps('movenet-lightning')
