"""The spatial-temporal Transformer: its blocks and positions."""

import pytest
import torch
import torch.nn.functional as F

from star_pose.models.layers.st_transformer import (
    ConvFeedForward,
    SinusoidalPosition,
    STTransformer,
    STTransformerBlock,
)

OFFSETS = torch.arange(4) - 2


def make_clip(num_frames=4, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_frames, 5, 3, 8, generator=generator, dtype=dtype)


def make_transformer(**kwargs):
    torch.manual_seed(0)
    return STTransformer(8, depth=2, num_heads=2, **kwargs)


def test_feed_forward_equals_convolutions_frame_by_frame():
    torch.manual_seed(0)
    ffn = ConvFeedForward(8)
    x = make_clip()
    frame = x[1, 2].permute(2, 0, 1)[None]  # 1 C h w
    hidden = F.conv2d(frame, ffn.expand.weight[..., None, None], ffn.expand.bias)
    hidden = F.gelu(hidden + ffn.depthwise(hidden))
    expected = F.conv2d(hidden, ffn.reduce.weight[..., None, None], ffn.reduce.bias)
    torch.testing.assert_close(ffn(x)[1, 2], expected[0].permute(1, 2, 0))


def test_scales_of_zero_make_a_block_the_identity():
    block = STTransformerBlock(8, num_heads=2)
    x = make_clip()
    with torch.no_grad():
        block.attention_scale.zero_()
        assert not torch.equal(block(x), x)
        block.ffn_scale.zero_()
    assert torch.equal(block(x), x)


def test_attention_sees_other_places_of_other_frames():
    block = STTransformerBlock(8, num_heads=2)
    x = make_clip()
    changed = x.clone()
    changed[:, 0, 0, 0] *= -1
    difference = (block(changed) - block(x)).abs()
    assert difference[:, 3, 4, 2].min() > 0  # another frame, the opposite corner


def test_frames_that_are_not_shown_are_left_out_without_changing_the_others():
    model = make_transformer()
    x = make_clip()
    torch.testing.assert_close(
        model(x, OFFSETS, slice(2, 3)), model(x, OFFSETS)[:, 2:3], atol=1e-6, rtol=1e-5
    )


def test_permuting_frames_with_their_positions_permutes_the_output():
    model = make_transformer().double()
    x = make_clip(dtype=torch.float64)
    order = torch.tensor([3, 0, 2, 1])
    permuted = model(x[:, order], OFFSETS[order])
    torch.testing.assert_close(permuted, model(x, OFFSETS)[:, order])
    # Without their positions the output is another one: positions matter.
    assert (model(x[:, order], OFFSETS) - permuted).abs().max() > 1e-4


def test_positions_differ_between_all_places_and_frames():
    position = SinusoidalPosition(32)
    table = position(16, 12, torch.arange(5) - 2).flatten(0, 2)  # T h w, C
    distance = torch.cdist(table, table) + torch.eye(len(table))
    assert distance.min() > 1e-3


def test_positions_are_those_of_the_same_place_at_any_size():
    position = SinusoidalPosition(32)
    small, large = position(2, 2, torch.zeros(1)), position(6, 6, torch.zeros(1))
    # The centre of a third of the larger grid is the centre of a cell of the small one.
    torch.testing.assert_close(large[:, 1::3, 1::3], small)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: STTransformer(8, depth=0), 'depth is 0.*at least 1'),
        (lambda: SinusoidalPosition(6), 'channels is 6.*multiple of 4'),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(build, message):
    with pytest.raises(ValueError, match=message):
        build()
