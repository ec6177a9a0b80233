"""The front end: what it accepts, what its maps depend on, and that it trains and exports."""

import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage
from mmpose.registry import MODELS
from torch import nn

from star_pose.models import AdaptiveFusionNeck, STARPoseNet
from star_pose.models.data_samples import target_index


def make_net(**kwargs):
    """A narrow front end, (w, h) of tokens half the frame's."""
    torch.manual_seed(0)
    kwargs = dict(embed_channels=16, token_channels=16, depth=2, num_cnn_blocks=1) | kwargs
    net = STARPoseNet(**kwargs)
    torch.nn.init.normal_(net.untokenise.weight, std=0.1)  # it starts at zero
    return net


def make_front_end(**kwargs):
    """Backbone and neck, as the estimator runs them."""
    torch.manual_seed(0)
    neck = AdaptiveFusionNeck(16)
    return nn.Sequential(make_net(**kwargs), neck)


def make_clip(num_frames=3, size=(20, 24), num_clips=2, seed=0):
    """Clips (N, T, 3, h, w) of a size (w, h)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_clips, num_frames, 3, *size[::-1], generator=generator)


@pytest.mark.parametrize('size', [(24, 32), (48, 64), (96, 128), (29, 37), (17, 16)])
@pytest.mark.parametrize('token_stride', [2, 4])
def test_any_size_gives_maps_of_its_own_size(size, token_stride):
    net = make_net(token_stride=token_stride)
    clip = make_clip(2, size, num_clips=1)
    frame, transformer, cnn = net(clip)
    assert torch.equal(frame, clip[:, 1])
    assert transformer.shape == cnn.shape == (1, 16, *size[::-1])


@pytest.mark.parametrize('token_stride', [2, 3, 4])
def test_odd_sizes_are_padded_by_their_border_and_cropped_back(token_stride):
    net = make_net(token_stride=token_stride, num_cnn_blocks=0)
    clip = make_clip(2, (25, 31))
    pad = (0, -25 % token_stride, 0, -31 % token_stride)
    padded = F.pad(clip.flatten(0, 1), pad, mode='replicate').unflatten(0, (2, 2))
    torch.testing.assert_close(net(clip)[1], net(padded)[1][..., :31, :25])


@pytest.mark.parametrize('num_frames', [1, 2, 5, 8])
def test_any_length_goes_through_the_same_weights(num_frames):
    net = make_net()
    frame, transformer, _ = net(make_clip(num_frames))
    assert torch.equal(frame, make_clip(num_frames)[:, num_frames // 2])
    assert torch.isfinite(transformer).all()


def test_an_image_is_a_clip_of_one_frame():
    net = make_net()
    clip = make_clip(1)
    for of_image, of_clip in zip(net(clip[:, 0]), net(clip), strict=True):
        assert torch.equal(of_image, of_clip)


def test_target_index_is_the_later_middle_or_the_last():
    assert [target_index(n, 'centre') for n in (1, 2, 3, 4, 5)] == [0, 1, 1, 2, 2]
    assert [target_index(n, 'last') for n in (1, 2, 5)] == [0, 1, 4]
    with pytest.raises(ValueError, match='0 frames'):
        target_index(0, 'centre')


@pytest.mark.parametrize(('target', 'index'), [('centre', 2), ('last', 4)])
def test_cnn_branch_may_see_the_target_frame_alone_and_the_transformer_sees_all(target, index):
    net = make_net(target=target, num_neighbours=0)
    clip = make_clip(5)
    base = net(clip)
    for frame in range(5):
        changed = clip.clone()
        changed[:, frame] *= -1
        found = net(changed)
        assert (found[1] - base[1]).abs().amax(1).min() > 0  # every pixel of the Transformer's
        assert torch.equal(found[2], base[2]) == (frame != index)
        assert torch.equal(found[0], base[0]) == (frame != index)


@pytest.mark.parametrize(
    ('target', 'num_neighbours', 'seen'),
    [
        ('centre', 2, {1, 2, 3}),
        ('centre', 4, {0, 1, 2, 3, 4}),
        ('centre', 1, {1, 2}),
        ('last', 2, {2, 3, 4}),
    ],
)
def test_cnn_branch_sees_as_many_neighbours_as_are_asked_for(target, num_neighbours, seen):
    net = make_net(target=target, num_neighbours=num_neighbours)
    clip = make_clip(5)
    for frame in range(5):
        changed = clip.clone()
        changed[:, frame] *= -1
        assert torch.equal(net(changed)[2], net(clip)[2]) == (frame not in seen)


def test_where_the_clip_ends_the_nearest_frame_stands_in_for_a_neighbour():
    net = make_net(num_neighbours=4)
    clip = make_clip(3)
    longer = clip[:, [0, 0, 1, 2, 2]]
    torch.testing.assert_close(net(clip)[2], net(longer)[2])


def test_all_frames_at_once_are_a_batch_whose_target_equals_the_centres():
    clip = make_clip(5)
    centre, every = make_net(), make_net(target='all')
    for one, all_frames in zip(centre(clip), every(clip), strict=True):
        assert len(all_frames) == 10
        torch.testing.assert_close(all_frames.unflatten(0, (2, 5))[:, 2], one)


@pytest.mark.parametrize(
    ('kernel', 'normaliser'),
    [
        ('leaky_relu', 'absolute'),
        ('leaky_relu', 'naive'),
        ('relu', 'naive'),
        ('softmax', 'absolute'),
    ],
)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_every_form_stays_finite_under_autocast_for_huge_and_negative_input(
    kernel, normaliser, dtype
):
    front = make_front_end(kernel=kernel, normaliser=normaliser, depth=1)
    for clip in (make_clip(2) * 1e4, -make_clip(2).abs()):
        with torch.autocast('cpu', dtype):
            # fp16 itself ends at 65504: what is beyond is the input's fault, not the attention's.
            _, fused = front(clip if dtype == torch.bfloat16 else clip / 10)
        assert torch.isfinite(fused).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_gives_about_what_fp32_gives_and_trains(dtype):
    front = make_front_end()
    exact = front(make_clip())[1]
    with torch.autocast('cpu', dtype):
        found = front(make_clip())[1]
        loss = found.float().square().mean()
    loss.backward()
    error = (found.float() - exact).norm() / exact.norm()
    assert error < (0.02 if dtype == torch.bfloat16 else 0.003)
    assert all(torch.isfinite(parameter.grad).all() for parameter in front.parameters())


@pytest.mark.parametrize(
    'kwargs',
    [
        {},
        dict(kernel='softmax'),
        dict(normaliser='naive', target='last'),
        dict(target='all'),
        dict(kernel='relu', token_stride=2),
        dict(tokens='stem', num_neighbours=2, global_skip=False),
    ],
)
def test_every_parameter_gets_a_gradient_after_two_optimiser_steps(kwargs):
    front = make_front_end(**kwargs)
    optimiser = torch.optim.SGD(front.parameters(), lr=0.1)
    clip = make_clip(5)
    goal = torch.randn(front(clip)[1].shape, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        optimiser.zero_grad()
        F.mse_loss(front(clip)[1], goal).backward()
        optimiser.step()
    dead = [name for name, p in front.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_it_learns_from_other_frames_what_the_target_does_not_show():
    """The target frame is noise; the frame before it holds the answer."""
    torch.manual_seed(0)
    front = nn.Sequential(make_net(token_stride=2), AdaptiveFusionNeck(16))
    readout = nn.Conv2d(16, 1, 1)
    optimiser = torch.optim.Adam([*front.parameters(), *readout.parameters()], lr=3e-3)
    generator = torch.Generator().manual_seed(3)
    errors = []
    for _ in range(40):
        shade = torch.rand(8, generator=generator) * 2 - 1
        clip = 0.1 * torch.randn(8, 3, 3, 16, 16, generator=generator)
        clip[:, 0] += shade[:, None, None, None]
        found = readout(front(clip)[1])[:, 0].mean((1, 2))
        loss = F.mse_loss(found, shade)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert np.mean(errors[-5:]) < 0.3 * np.mean(errors[:5])


def test_same_seed_gives_the_same_training_step():
    results = []
    for _ in range(2):
        front = make_front_end()
        optimiser = torch.optim.AdamW(front.parameters(), lr=1e-3)
        front(make_clip())[1].square().sum().backward()
        optimiser.step()
        results.append(torch.cat([p.detach().flatten() for p in front.parameters()]))
    assert torch.equal(*results)


def test_moving_average_and_channels_last_and_state_dict_leave_the_maps():
    front = make_front_end().eval()
    clip = make_clip()
    expected = front(clip)[1]
    average = ExponentialMovingAverage(front)
    average.update_parameters(front)
    torch.testing.assert_close(average(clip)[1], expected)
    other = nn.Sequential(make_net(), AdaptiveFusionNeck(16))
    other.load_state_dict(front.state_dict(), strict=True)
    other.to(memory_format=torch.channels_last)
    torch.testing.assert_close(other(clip)[1], expected, atol=1e-5, rtol=1e-4)


def test_forward_writes_nothing_on_the_modules():
    front = make_front_end()
    before = {name: dict(vars(module)) for name, module in front.named_modules()}
    front(make_clip())
    for name, module in front.named_modules():
        assert vars(module).keys() == before[name].keys()
        for key, value in vars(module).items():
            assert value is before[name][key], (name, key)


@pytest.mark.slow
@pytest.mark.parametrize('kwargs', [{}, dict(num_neighbours=0)])
def test_compiles_without_a_graph_break_for_training(kwargs):
    front = make_front_end(depth=1, **kwargs)
    compiled = torch.compile(copy.deepcopy(front), fullgraph=True, backend='aot_eager')
    clip = make_clip(3, (17, 16))
    found, expected = compiled(clip)[1], front(clip)[1]
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for one, other in zip(compiled.parameters(), front.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize('kwargs', [{}, dict(target='last')])
@pytest.mark.filterwarnings('ignore')
def test_onnx_export_equals_torch_for_other_batch_sizes(kwargs):
    front = make_front_end(**kwargs).eval()
    buffer = io.BytesIO()
    torch.onnx.export(
        front,
        (make_clip(3, (17, 24), num_clips=1),),
        buffer,
        input_names=['clip'],
        output_names=['frame', 'fused'],
        dynamic_axes={name: {0: 'batch'} for name in ('clip', 'frame', 'fused')},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=['CPUExecutionProvider'])
    for num_clips in (1, 3):
        clip = make_clip(3, (17, 24), num_clips, seed=num_clips)
        found = session.run(None, {'clip': clip.numpy()})
        for array, tensor in zip(found, front(clip), strict=True):
            np.testing.assert_allclose(array, tensor.detach().numpy(), atol=1e-4)


def test_builds_from_the_registry_with_the_width_of_a_pose_stem():
    net = MODELS.build(dict(type='STARPoseNet'))
    neck = MODELS.build(dict(type='AdaptiveFusionNeck'))
    frame, fused = neck(net(make_clip(5, (48, 64), num_clips=1)))
    assert frame.shape == (1, 3, 64, 48)
    assert fused.shape == (1, 32, 64, 48)
    assert net.eval() is net


def test_the_transformers_map_starts_at_zero_and_the_front_end_as_the_cnn_alone():
    net = STARPoseNet(embed_channels=16, num_cnn_blocks=1)
    _, transformer, cnn = net(make_clip(3))
    assert not transformer.any()
    alone = STARPoseNet(embed_channels=16, num_cnn_blocks=1, depth=0)
    alone.load_state_dict(net.state_dict(), strict=False)
    maps = alone(make_clip(3))
    assert len(maps) == 2
    assert torch.equal(maps[1], cnn)


def test_the_cnn_branch_is_its_blocks_about_a_skip():
    net = make_net()
    clip = make_clip(3)
    x = F.leaky_relu(net.stem(clip[:, 1]), 0.1)
    x = F.leaky_relu(net.texture.mix(x), 0.1)
    torch.testing.assert_close(net(clip)[2], x + net.cnn(x))
    plain = make_net(global_skip=False)
    x = plain.texture.mix(F.leaky_relu(plain.stem(clip[:, 1]), 0.1))
    torch.testing.assert_close(plain(clip)[2], plain.cnn(x))


@pytest.mark.parametrize('tokens', ['pixels', 'stem'])
def test_tokens_are_cells_of_pixels_or_of_what_the_stem_sees(tokens):
    net, clip = make_net(tokens=tokens), make_clip(3, (20, 24))
    frames = clip.flatten(0, 1)
    if tokens == 'stem':
        frames = F.leaky_relu(net.stem(frames), 0.1)
    cells = F.pixel_unshuffle(frames, 4).permute(0, 2, 3, 1).unflatten(0, (2, 3))
    mixed = net.transformer(net.tokenise(cells), torch.arange(3) - 1)[:, 1]
    expected = F.pixel_shuffle(net.untokenise(mixed).permute(0, 3, 1, 2), 4)
    torch.testing.assert_close(net(clip)[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('tokens', ['pixels', 'stem'])
def test_the_stem_runs_on_the_target_alone_where_nothing_else_needs_it(tokens):
    net, seen = make_net(tokens=tokens), []
    net.stem.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    net(make_clip(3))
    assert seen == [2 if tokens == 'pixels' else 6]


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((2, 3, 24), r'\(2, 3, 24\).*\(N, T >= 1, 3, h, w\)'),
        ((1, 2, 3, 3, 24, 20), r'must be a batch of clips'),
        ((2, 0, 3, 24, 20), r'\(2, 0, 3, 24, 20\).*T >= 1'),
        ((2, 3, 4, 24, 20), r'\(2, 3, 4, 24, 20\).*3, h, w'),
        ((2, 1, 24, 20), r'\(2, 1, 24, 20\).*3, h, w'),
        ((2, 3, 3, 24, 15), r'15x24.*at least 16'),
    ],
)
def test_wrong_inputs_are_refused_with_what_is_allowed(shape, message):
    with pytest.raises(ValueError, match=message):
        make_net()(torch.zeros(shape))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(kernel='tanh'), "kernel is 'tanh'"),
        (dict(normaliser='l2'), "normaliser is 'l2'"),
        (dict(target='first'), "target is 'first'.*centre"),
        (dict(token_stride=0), 'token_stride is 0'),
        (dict(tokens='frames'), "tokens is 'frames'.*'pixels'"),
        (dict(num_neighbours=-1), 'num_neighbours is -1'),
        (dict(num_heads=5), 'num_heads is 5'),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_net(**kwargs)
