"""Adaptive fusion: per-pixel, per-channel weights between branches, and what it passes through."""

import pytest
import torch
from mmpose.registry import MODELS

from star_pose.models import AdaptiveFusionNeck


def make_neck(num_branches=2, weight_scale=1.0, **kwargs):
    """A neck whose last layer has spread weights, so that pixels and channels differ."""
    torch.manual_seed(0)
    neck = AdaptiveFusionNeck(16, num_branches, **kwargs)
    torch.nn.init.normal_(neck.excite.weight, std=weight_scale)
    return neck


def make_branches(num_branches=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 16, 6, 5, generator=generator) for _ in range(num_branches)]


@pytest.mark.parametrize('num_branches', [1, 2, 3])
def test_weights_sum_to_one_at_every_pixel_and_channel(num_branches):
    weights = make_neck(num_branches).fusion_weights(make_branches(num_branches))
    assert weights.shape == (2, num_branches, 16, 6, 5)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 16, 6, 5))


def test_weights_vary_between_pixels_and_between_channels():
    weights = make_neck().fusion_weights(make_branches())[:, 0]
    assert weights.flatten(2).std(-1).min() > 0.01
    assert weights.std(1).min() > 0.01


@pytest.mark.parametrize('num_branches', [2, 3])
def test_a_normalised_map_is_the_weighted_sum_normalised_and_rectified(num_branches):
    neck = make_neck(num_branches, norm_cfg=dict(type='GN', num_groups=8))
    branches = make_branches(num_branches)
    weights = neck.fusion_weights(branches)
    blend = num_branches * sum(weights[:, i] * branch for i, branch in enumerate(branches))
    groups = blend.view(2, 8, -1)
    groups = (groups - groups.mean(-1, keepdim=True)) / (
        groups.var(-1, unbiased=False, keepdim=True) + 1e-5
    ).sqrt()
    (fused,) = neck(branches)
    torch.testing.assert_close(fused, groups.view_as(blend).clamp(min=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('num_branches', [1, 2, 3])
def test_without_a_norm_it_is_as_many_times_the_weighted_sum(num_branches):
    neck, branches = make_neck(num_branches), make_branches(num_branches)
    weights = neck.fusion_weights(branches)
    (fused,) = neck(branches)
    expected = num_branches * sum(weights[:, i] * branch for i, branch in enumerate(branches))
    torch.testing.assert_close(fused, expected)


def test_equal_branches_are_summed_whatever_the_weights():
    branch = make_branches(1)[0]
    (fused,) = make_neck()([branch, branch])
    torch.testing.assert_close(fused, 2 * branch)


def test_it_starts_as_the_sum_and_without_weights_it_is_the_sum():
    branches = make_branches()
    torch.manual_seed(0)
    learned, plain = AdaptiveFusionNeck(16), AdaptiveFusionNeck(16, weighted=False)
    torch.testing.assert_close(plain(branches)[0], sum(branches))
    assert not list(plain.parameters())
    error = (learned(branches)[0] - sum(branches)).norm() / sum(branches).norm()
    assert 0 < error < 0.01


def test_built_from_the_registry_it_starts_with_equal_weights():
    neck = MODELS.build(dict(type='AdaptiveFusionNeck', in_channels=16))
    weights = neck.fusion_weights(make_branches())
    assert (weights - 0.5).abs().max() < 0.01
    assert weights.std() > 0


def test_one_map_before_the_branches_is_passed_through_untouched():
    frame = torch.randn(2, 3, 6, 5)
    neck = make_neck()
    passed, fused = neck((frame, *make_branches()))
    assert passed is frame
    assert torch.equal(fused, neck(make_branches())[0])


def test_other_norms_are_a_config_switch():
    neck = make_neck(norm_cfg=dict(type='BN'))
    assert isinstance(neck.norm, torch.nn.BatchNorm2d)
    assert neck(make_branches())[0].min() == 0


@pytest.mark.parametrize(
    ('feats', 'message'),
    [
        (make_branches(1), 'got 1 maps; num_branches=2'),
        (make_branches(4), 'got 4 maps; num_branches=2'),
        ([torch.zeros(2, 16, 6, 5), torch.zeros(2, 16, 6, 4)], r'6, 4.*must be equal'),
        ([torch.zeros(2, 8, 6, 5), torch.zeros(2, 8, 6, 5)], 'in_channels=16'),
    ],
)
def test_wrong_inputs_are_refused_with_what_was_given(feats, message):
    with pytest.raises(ValueError, match=message):
        make_neck()(feats)


def test_no_branch_is_refused():
    with pytest.raises(ValueError, match='num_branches is 0'):
        AdaptiveFusionNeck(16, num_branches=0)
