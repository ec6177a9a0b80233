import math

import pytest
import torch

from pose_batches import batch, build, losses_of, predict, star_pose
from star_pose.models import JointMapHead
from star_pose.models.heads.joint_map_head import joint_distributions

STRIDE, SIZE, SIGMA = 4, (6, 8), 1.5  # (w, h) in cells; a frame of 24x32
KEYPOINTS = torch.tensor([[[9.5, 13.5], [20.0, 3.0]], [[3.0, 30.0], [12.0, 16.0]]])  # N K 2
VISIBLE = torch.ones(2, 2)


def transparent_head(**changes) -> JointMapHead:
    """A head whose logits are its input."""
    head = JointMapHead(2, num_keypoints=2, sigma=SIGMA, **changes)
    with torch.no_grad():
        head.final_layer.weight.copy_(torch.eye(2).view(2, 2, 1, 1))
        head.final_layer.bias.zero_()
    return head


def target_maps() -> torch.Tensor:
    return joint_distributions(KEYPOINTS, SIZE, STRIDE, SIGMA).unflatten(2, SIZE[::-1])


def test_a_joint_is_spread_as_a_gaussian_over_the_cells():
    expected = torch.zeros(2, 2, 8, 6)
    for n, k, y, x in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        squared = (torch.tensor([4.0 * x, 4.0 * y]) - KEYPOINTS[n, k]).square().sum() / STRIDE**2
        expected[n, k, y, x] = torch.exp(-squared / (2 * SIGMA**2))
    expected /= expected.sum((2, 3), keepdim=True)
    torch.testing.assert_close(target_maps(), expected)


def test_the_right_maps_cost_nothing():
    loss = transparent_head().loss(target_maps().log(), KEYPOINTS, VISIBLE, STRIDE)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_equal_maps_cost_the_missing_information():
    loss = transparent_head(loss_weight=2.0).loss(torch.zeros(2, 2, 8, 6), KEYPOINTS, VISIBLE, 4)
    target = target_maps()
    entropy = -(target * target.log()).sum((2, 3)).mean()
    assert loss.item() == pytest.approx(2 * (math.log(48) - entropy.item()), rel=1e-5)


@pytest.mark.parametrize('left_out', ['unlabelled', 'outside'])
def test_a_joint_without_a_place_adds_nothing(left_out):
    keypoints, visible = KEYPOINTS.clone(), VISIBLE.clone()
    if left_out == 'unlabelled':
        visible[0, 1] = 0
    else:
        keypoints[0, 1] = torch.tensor([24.5, 3.0])  # past the last pixel, 23
    logits = torch.randn(2, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    loss = transparent_head().loss(logits, keypoints, visible, STRIDE)
    loss.backward()
    assert not logits.grad[0, 1].any()
    kept = [
        transparent_head().loss(logits[n : n + 1], KEYPOINTS[n : n + 1], shown, STRIDE)
        for n, shown in ((0, torch.tensor([[1.0, 0.0]])), (1, torch.ones(1, 2)))
    ]
    # The mean over three joints: one of the first sample, two of the second.
    assert loss.item() == pytest.approx((kept[0].item() + 2 * kept[1].item()) / 3, rel=1e-5)


def test_without_joints_it_is_zero_and_keeps_its_weights_in_the_graph():
    head = JointMapHead(4, num_keypoints=2)
    loss = head.loss(torch.randn(1, 4, 8, 6), None, None, STRIDE)
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_it_reaches_the_front_end_and_is_not_computed_at_inference():
    aux = {'type': 'JointMapHead', 'in_channels': 16, 'num_keypoints': 5}
    model = build(star_pose(aux_head=aux))
    calls = []
    model.head.aux_head.register_forward_hook(lambda *args: calls.append(1))
    losses = losses_of(model, batch())
    losses['loss_aux'].backward()
    assert len(calls) == 1
    reached = dict(model.backbone.named_parameters())
    assert all(reached[name].grad.any() for name in ('stem.weight', 'untokenise.weight'))
    assert all(parameter.grad is None for parameter in model.head.pose_net.parameters())
    predict(model, batch())
    assert len(calls) == 1


def test_bad_arguments_and_another_number_of_joints_are_refused():
    with pytest.raises(ValueError, match='sigma is 0; it must be positive'):
        JointMapHead(sigma=0)
    with pytest.raises(ValueError, match='loss_weight is -1'):
        JointMapHead(loss_weight=-1)
    with pytest.raises(ValueError, match=r'2 joints.*num_keypoints=17'):
        JointMapHead(4).loss(torch.zeros(2, 4, 8, 6), KEYPOINTS, VISIBLE, STRIDE)
