"""The linear-attention block as a neck on MMPose's backbones."""

import pytest
import torch
from mmpose.registry import MODELS

from pose_batches import hrnet, resnet
from star_pose.models import LinearAttentionNeck


def make_neck(**kwargs):
    torch.manual_seed(0)
    return LinearAttentionNeck(**(dict(in_channels=12, embed_channels=16) | kwargs))


def trained(neck):
    """The neck as after some training: its projection is no longer zero."""
    torch.nn.init.normal_(neck.project_out.weight, std=0.1)
    return neck


@pytest.mark.parametrize(('backbone', 'channels'), [(hrnet(), 8), (resnet(), 128)])
def test_starts_as_the_identity_on_any_backbone(backbone, channels):
    backbone = MODELS.build(backbone)
    backbone.eval()
    neck = MODELS.build(dict(type='LinearAttentionNeck', in_channels=channels, index=0))
    feats = backbone(torch.randn(2, 3, 64, 96))
    refined = neck(feats)
    assert len(refined) == len(feats)
    assert torch.equal(refined[0], feats[0])


def test_refines_the_chosen_map_only():
    feats = [torch.randn(2, 6, 8, 6), torch.randn(2, 12, 4, 3), torch.randn(2, 7, 2, 2)]
    refined = trained(make_neck(index=1))(feats)
    assert refined[0] is feats[0]
    assert refined[2] is feats[2]
    assert (refined[1] - feats[1]).abs().amax(1).min() > 0


def test_every_place_sees_every_other():
    neck = trained(make_neck(depth=1))
    x = torch.randn(1, 12, 9, 9)
    changed = x.clone()
    changed[..., 0, 0] *= -1
    difference = (neck(changed)[0] - neck(x)[0]).abs().amax(1)
    assert difference[0, 8, 8] > 0


def test_every_parameter_gets_a_gradient_after_two_optimiser_steps():
    neck = make_neck()
    optimiser = torch.optim.SGD(neck.parameters(), lr=0.1)
    x, goal = torch.randn(2, 2, 12, 6, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        optimiser.zero_grad()
        (neck(x)[0] - goal).square().mean().backward()
        optimiser.step()
    # One frame only: the tables of the other offsets stay as they are.
    assert [name for name, p in neck.named_parameters() if not p.grad.any()] == []


@pytest.mark.parametrize(
    ('feats', 'message'),
    [
        ([torch.zeros(1, 11, 4, 4)], r'\(1, 11, 4, 4\).*in_channels=12'),
        ([torch.zeros(1, 12, 4)], r'\(1, 12, 4\)'),
        ([], r'index is -1.*0 maps'),
    ],
)
def test_wrong_inputs_are_refused_with_what_was_given(feats, message):
    with pytest.raises(ValueError, match=message):
        make_neck()(feats)
