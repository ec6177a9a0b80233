import math

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS
from mmpose.structures import PoseDataSample

from star_pose.models import SoftmaxHeatmapHead, SpatialKLLoss

CODEC = dict(
    type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1.5, unbiased=True
)
JOINTS = np.array([[[13.0, 18.0], [22.5, 40.25], [30.0, 9.0]]], dtype=np.float32)  # N K 2


def samples(visible=(1, 1, 1)) -> list[PoseDataSample]:
    encoded = KEYPOINT_CODECS.build(CODEC).encode(JOINTS, np.array([visible], np.float32))
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
    weights = torch.from_numpy(encoded['keypoint_weights'])
    sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
    return [sample]


def transparent_head() -> SoftmaxHeatmapHead:
    """A head whose logits are its input."""
    head = SoftmaxHeatmapHead(3, 3, deconv_out_channels=None, decoder=CODEC)
    with torch.no_grad():
        head.final_layer.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        head.final_layer.bias.zero_()
    return head


def right_logits() -> torch.Tensor:
    """Logits of exact Gaussians about the joints, (1, 3, 16, 12)."""
    rows, columns = torch.arange(16.0)[:, None], torch.arange(12.0)
    maps = [
        -((columns - x / 4) ** 2 + (rows - y / 4) ** 2) / (2 * CODEC['sigma'] ** 2)
        for x, y in JOINTS[0].tolist()
    ]
    return torch.stack(maps)[None]


def test_the_maps_have_the_scale_of_the_targets_and_are_decoded_to_the_joints():
    head = transparent_head()
    logits = right_logits()
    heatmaps = head((logits + 5,)).detach()  # a softmax knows no offset
    assert heatmaps.sum((2, 3)) == pytest.approx(2 * math.pi * CODEC['sigma'] ** 2, rel=1e-5)
    # Inside the map, where the Gaussian is whole.
    torch.testing.assert_close(heatmaps[0, 1], logits[0, 1].exp(), rtol=0.01, atol=1e-4)
    decoded = head.predict((logits,), [PoseDataSample()])[0]
    np.testing.assert_allclose(decoded.keypoints, JOINTS, atol=0.3)
    assert decoded.keypoint_scores == pytest.approx(1, abs=0.1)


def test_the_right_maps_cost_nothing_and_equal_maps_the_missing_information():
    head = transparent_head()
    target = samples()[0].gt_fields.heatmaps
    share = target / target.sum((1, 2), keepdim=True)
    right = head.loss((share[None].clamp(min=1e-30).log(),), samples())['loss_kpt']
    assert right.item() == pytest.approx(0, abs=1e-5)
    entropy = -torch.special.xlogy(share, share).sum((1, 2)).mean().item()
    equal = head.loss((torch.zeros(1, 3, 16, 12),), samples())['loss_kpt']
    assert equal.item() == pytest.approx(math.log(16 * 12) - entropy, rel=1e-5)


def test_it_is_the_divergence_that_torch_computes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.rand(2, 3, 4, 5, generator=generator) * 7
    weights = torch.rand(2, 3, generator=generator)
    share = (target / target.sum((2, 3), keepdim=True)).flatten(2)
    each = torch.nn.functional.kl_div(logits.flatten(2).log_softmax(-1), share, reduction='none')
    expected = (each.sum(-1) * weights).sum() / weights.sum()
    found = SpatialKLLoss(loss_weight=3.0)(logits, target, weights)
    torch.testing.assert_close(found, 3 * expected)


def test_a_joint_that_is_not_labelled_adds_nothing():
    logits = torch.randn(1, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    transparent_head().loss((logits,), samples((1, 0, 1)))['loss_kpt'].backward()
    assert [bool(grad.any()) for grad in logits.grad[0]] == [True, False, True]


def test_maps_without_any_joint_are_zero_and_keep_the_graph():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = SpatialKLLoss()(logits, torch.zeros(1, 3, 4, 4), torch.ones(1, 3))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='loss_weight is -1'):
        SpatialKLLoss(-1)


@pytest.mark.parametrize(
    'decoder',
    [
        None,
        {'type': 'MegviiHeatmap', 'input_size': (48, 64), 'heatmap_size': (12, 16),
         'kernel_size': 5},
        {'type': 'UDPHeatmap', 'input_size': (48, 64), 'heatmap_size': (12, 16),
         'heatmap_type': 'combined'},
        {'type': 'SPR', 'input_size': (48, 64), 'heatmap_size': (12, 16), 'sigma': 1.5},
    ],
)  # fmt: skip
def test_a_codec_that_is_not_one_gaussian_a_joint_is_refused(decoder):
    with pytest.raises(ValueError, match='must be a codec of one Gaussian heatmap a joint'):
        SoftmaxHeatmapHead(3, 3, deconv_out_channels=None, decoder=decoder)


def test_a_gaussian_without_a_width_is_refused():
    decoder = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=-1)
    with pytest.raises(ValueError, match='sigma=-1; it must be above 0'):
        SoftmaxHeatmapHead(3, 3, deconv_out_channels=None, decoder=decoder)


def test_scores_stay_within_one_and_the_peak_in_its_place_however_sharp_the_map():
    logits = 100 * right_logits()
    heatmaps = transparent_head()((logits,)).detach()
    assert heatmaps.amax() <= 1
    assert heatmaps.min() >= 0
    assert torch.equal(heatmaps.flatten(2).argmax(-1), logits.flatten(2).argmax(-1))
    sharp = logits.flatten(2).softmax(-1)
    # Neighbours keep their share of the peak.
    shares = heatmaps.flatten(2) / heatmaps.flatten(2).amax(-1, keepdim=True)
    torch.testing.assert_close(shares, sharp / sharp.amax(-1, keepdim=True))
