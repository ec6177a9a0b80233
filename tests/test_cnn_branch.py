"""The CNN branch: the texture of the frames next to the target, and its residual blocks."""

import pytest
import torch
import torch.nn.functional as F

from star_pose.models.layers.cnn_branch import NeighbourTexture, ResidualBlock


def make_features(num_frames=4):
    return torch.randn(2, num_frames, 8, 5, 6, generator=torch.Generator().manual_seed(0))


def test_equals_a_convolution_of_the_frames_side_by_side():
    torch.manual_seed(0)
    module = NeighbourTexture(8, 12, 2)
    features = make_features()
    window = torch.cat([features[:, 1], features[:, 2], features[:, 3]], 1)
    expected = F.conv2d(window, module.mix.weight, module.mix.bias, padding=1)
    found = module(features, slice(2, 3))
    torch.testing.assert_close(found, expected)


def test_the_frame_itself_weighs_most_at_the_start():
    torch.manual_seed(0)
    before, own, after = NeighbourTexture(8, 64, 2).mix.weight.detach().split(8, 1)
    # Kaiming's deviation over a window of 3 x 8 channels, and 0.3 of it for the neighbours.
    kaiming = (2 / (24 * 9)) ** 0.5
    assert own.std() == pytest.approx(kaiming, rel=0.03)
    for neighbour in (before, after):
        assert neighbour.std() == pytest.approx(0.3 * kaiming, rel=0.03)


@pytest.mark.parametrize(
    ('num_neighbours', 'past_only', 'steps'),
    [
        (0, False, (0,)),
        (1, False, (-1, 0)),
        (2, False, (-1, 0, 1)),
        (3, False, (-2, -1, 0, 1)),
        (3, True, (-3, -2, -1, 0)),
    ],
)
def test_half_are_before_and_half_after_or_all_before(num_neighbours, past_only, steps):
    assert NeighbourTexture(8, 8, num_neighbours, past_only).steps == steps


def test_a_still_is_its_own_neighbour():
    torch.manual_seed(0)
    module = NeighbourTexture(8, 8, 2)
    still = make_features(1)
    repeated = still.expand(-1, 3, -1, -1, -1)
    found = module(still, slice(None))
    torch.testing.assert_close(found, module(repeated, slice(1, 2)))


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match='num_neighbours is -1'):
        NeighbourTexture(8, 8, -1)


def test_a_residual_block_is_its_two_convolutions_and_starts_near_the_identity():
    torch.manual_seed(0)
    block = ResidualBlock(8)
    x = make_features()[:, 0]
    expected = x + block.conv2(block.conv1(x).relu())
    torch.testing.assert_close(block(x), expected)
    assert (block(x) - x).norm() < 0.15 * x.norm()
