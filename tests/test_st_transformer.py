"""The spatial-temporal Transformer: its blocks, positions, causality and checkpointing."""

import copy

import pytest
import torch
import torch.nn.functional as F

from star_pose.models.layers.position_encoding import (
    LearnedPosition,
    SinusoidalPosition,
    build_position,
)
from star_pose.models.layers.st_transformer import (
    ConvFeedForward,
    STTransformer,
    STTransformerBlock,
    TemporalConv,
)

OFFSETS = torch.arange(4) - 2


def make_clip(num_frames=4, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_frames, 5, 3, 8, generator=generator, dtype=dtype)


def make_transformer(**kwargs):
    torch.manual_seed(0)
    return STTransformer(8, depth=2, num_heads=2, **kwargs)


@pytest.mark.parametrize('causal', [False, True])
def test_temporal_convolution_equals_conv3d(causal):
    torch.manual_seed(0)
    conv = TemporalConv(8, kernel_size=3, causal=causal)
    torch.nn.init.normal_(conv.weight)
    x = make_clip()
    frames = x.permute(0, 4, 1, 2, 3)  # N C T h w
    padding = (2, 0) if causal else (1, 1)
    padded = F.pad(frames, (0, 0, 0, 0, *padding), mode='replicate')
    kernel = conv.weight.T.reshape(8, 1, 3, 1, 1)
    expected = x + F.conv3d(padded, kernel, groups=8).permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(conv(x), expected)


def test_temporal_convolution_starts_as_the_identity_and_refuses_even_kernels():
    x = make_clip()
    assert torch.equal(TemporalConv(8, 5)(x), x)
    with pytest.raises(ValueError, match=r'temporal_kernel is 2.*odd'):
        TemporalConv(8, 2)


def test_feed_forward_equals_convolutions_frame_by_frame():
    torch.manual_seed(0)
    ffn = ConvFeedForward(8, ratio=2)
    x = make_clip()
    frame = x[1, 2].permute(2, 0, 1)[None]  # 1 C h w
    hidden = F.conv2d(frame, ffn.expand.weight[..., None, None], ffn.expand.bias)
    hidden = F.gelu(hidden + ffn.depthwise(hidden))
    expected = F.conv2d(hidden, ffn.reduce.weight[..., None, None], ffn.reduce.bias)
    torch.testing.assert_close(ffn(x)[1, 2], expected[0].permute(1, 2, 0))


def test_residual_scale_zero_makes_a_block_the_identity():
    x = make_clip()
    for attention in ('joint', 'factorised'):
        block = STTransformerBlock(8, num_heads=2, attention=attention, residual_scale=0.0)
        assert torch.equal(block(x), x)


def test_joint_attention_sees_other_places_of_other_frames():
    block = STTransformerBlock(8, num_heads=2)
    x = make_clip()
    changed = x.clone()
    changed[:, 0, 0, 0] *= -1
    difference = (block(changed) - block(x)).abs()
    assert difference[:, 3, 4, 2].min() > 0  # another frame, the opposite corner


def test_factorised_attention_sees_places_and_frames_in_two_steps():
    torch.manual_seed(0)
    block = STTransformerBlock(8, num_heads=2, attention='factorised')
    tokens = make_clip().flatten(2, 3)  # N T L C
    # In time, a place sees itself only.
    changed = tokens.clone()
    changed[:, 0, 3] *= -1
    difference = block._attend_at_each_place(changed, slice(None))
    difference = (difference - block._attend_at_each_place(tokens, slice(None))).abs().amax((0, 3))
    assert (difference[:, 3] > 0).all()
    difference[:, 3] = 0
    assert difference.max() < 1e-6  # rounding, on processors that sum by the place in memory
    # In space, a frame sees itself only.
    difference = (block.spatial(changed) - block.spatial(tokens)).abs().amax((0, 3))
    assert (difference[0] > 0).all()
    difference[0] = 0
    assert difference.max() < 1e-6


@pytest.mark.parametrize('attention', ['joint', 'factorised'])
@pytest.mark.parametrize('causal', [False, True])
def test_frames_that_are_not_shown_are_left_out_without_changing_the_others(attention, causal):
    model = make_transformer(attention=attention, causal=causal, temporal_kernel=3)
    x = make_clip()
    torch.testing.assert_close(
        model(x, OFFSETS, slice(2, 3)), model(x, OFFSETS)[:, 2:3], atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize('attention', ['joint', 'factorised'])
def test_causal_frames_do_not_see_later_ones(attention):
    model = make_transformer(attention=attention, causal=True, temporal_kernel=3)
    torch.nn.init.normal_(model.blocks[0].temporal.weight)
    x = make_clip()
    changed = x.clone()
    changed[:, 2:] *= -1
    difference = (model(changed, OFFSETS) - model(x, OFFSETS)).abs().amax((0, 2, 3, 4))
    assert (difference[:2] == 0).all()
    assert (difference[2:] > 0.01).all()


def test_a_causal_clip_extends_to_a_longer_one():
    """What a stream keeps of past frames stays valid when a frame is added."""
    model = make_transformer(causal=True).double()
    x = make_clip(dtype=torch.float64)
    shorter = model(x[:, :3], OFFSETS[:3])
    torch.testing.assert_close(model(x, OFFSETS)[:, :3], shorter)


@pytest.mark.parametrize('attention', ['joint', 'factorised'])
def test_permuting_frames_with_their_positions_permutes_the_output(attention):
    model = make_transformer(attention=attention).double()
    x = make_clip(dtype=torch.float64)
    order = torch.tensor([3, 0, 2, 1])
    permuted = model(x[:, order], OFFSETS[order])
    torch.testing.assert_close(permuted, model(x, OFFSETS)[:, order])
    # Without their positions the output is another one: positions matter.
    assert (model(x[:, order], OFFSETS) - permuted).abs().max() > 1e-4


@pytest.mark.parametrize('kwargs', [{}, dict(attention='factorised', temporal_kernel=3)])
def test_checkpointing_gives_equal_outputs_and_gradients(kwargs):
    plain = make_transformer(**kwargs)
    saving = copy.deepcopy(plain)
    saving.with_cp = True
    gradients = []
    for model in (plain, saving):
        out = model(make_clip(), OFFSETS, slice(2, 3))
        out.square().sum().backward()
        gradients.append([out, *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize('name', ['sinusoidal', 'learned'])
def test_positions_differ_between_all_places_and_frames(name):
    torch.manual_seed(0)
    position = build_position(name, 32)
    table = position(16, 12, torch.arange(5) - 2).flatten(0, 2)  # T h w, C
    distance = torch.cdist(table, table) + torch.eye(len(table))
    assert distance.min() > 1e-3


def test_positions_are_those_of_the_same_place_at_any_size():
    torch.manual_seed(0)
    offsets = torch.zeros(1)
    for position in (SinusoidalPosition(32), LearnedPosition(32, grid=(2, 2))):
        small, large = position(2, 2, offsets), position(6, 6, offsets)
        # The centre of a third of the larger grid is the centre of a cell of the small one.
        torch.testing.assert_close(large[:, 1::3, 1::3], small)


def test_learned_time_is_interpolated_between_offsets_and_held_beyond():
    position = LearnedPosition(4, grid=(1, 1), max_offset=2)
    torch.nn.init.zeros_(position.spatial)
    offsets = torch.tensor([-7.0, -2.0, 0.5, 2.0, 9.0])
    found = position(1, 1, offsets)[:, 0, 0]
    table = position.temporal
    expected = torch.stack((table[0], table[0], (table[2] + table[3]) / 2, table[4], table[4]))
    torch.testing.assert_close(found, expected)


def test_a_still_has_one_learned_time():
    position = LearnedPosition(4, grid=(1, 1), max_offset=0)
    found = position(1, 1, torch.tensor([-1, 0, 1]))[:, 0, 0]
    torch.testing.assert_close(
        found, (position.spatial[..., 0, 0] + position.temporal).repeat(3, 1)
    )


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: make_transformer(position='rotary'), r"position is 'rotary'.*sinusoidal"),
        (lambda: make_transformer(attention='full'), r"attention is 'full'.*factorised"),
        (lambda: STTransformer(8, depth=0), 'depth is 0.*at least 1'),
        (lambda: SinusoidalPosition(6), 'channels is 6.*multiple of 4'),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(build, message):
    with pytest.raises(ValueError, match=message):
        build()
