import copy

import pytest
import torch
from mmpose.registry import MODELS

from pose_batches import build, cascade, estimator, heatmap_head, hrnet, resnet, star_pose
from star_pose.checkpoint import CheckpointError
from star_pose.models.backbones.stem_map import find_stem, run_stem, run_trunk
from star_pose.models.layers.pixel_grid import move_grid

FAMILIES = {
    'hrnet': hrnet(),
    'resnet': resnet(),
    'resnet with a deep stem': resnet(type='ResNetV1d'),
    'se-resnet': resnet(type='SEResNet', depth=50),
}


def randomise_statistics(model):
    """Give the batch norms something to lose."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
    return model


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('family', FAMILIES)
def test_stem_then_trunk_is_the_backbones_own_forward(family, training):
    backbone = randomise_statistics(build(FAMILIES[family]))
    backbone.train(training)
    image = torch.randn(2, 3, 64, 96)
    levels = run_trunk(backbone, run_stem(backbone, image))
    expected = copy.deepcopy(backbone)(image)
    assert len(levels) == len(expected)
    for level, wanted in zip(levels, expected, strict=True):
        assert torch.equal(level, wanted)


@pytest.mark.parametrize('family', FAMILIES)
def test_the_trunk_leaves_the_map_and_the_backbone_alone(family):
    backbone = build(FAMILIES[family])
    before = backbone.state_dict().keys(), dict(backbone.named_modules()).keys()
    stem_map = torch.randn(1, 64, 16, 24, requires_grad=True)
    kept = stem_map.detach().clone()
    sum(level.sum() for level in run_trunk(backbone, stem_map)).backward()
    assert torch.equal(stem_map, kept)
    assert stem_map.grad.any()
    assert before == (backbone.state_dict().keys(), dict(backbone.named_modules()).keys())


@pytest.mark.parametrize(
    'backbone',
    [
        {'type': 'MobileNetV2'},
        {'type': 'RegNet', 'arch': 'regnetx_400mf'},
    ],
)
@pytest.mark.parametrize('handoff', ['residual', 'feature'])
def test_another_stem_is_refused_and_image_is_named(backbone, handoff):
    net = estimator(backbone, heatmap_head(in_channels=8))
    with pytest.raises(ValueError, match="handoff='image'"):
        build(star_pose(handoff, pose_net=net))


def test_image_takes_any_backbone():
    net = estimator(
        {'type': 'MobileNetV2', 'widen_factor': 0.25, 'out_indices': (7,)},
        heatmap_head(1280, deconv_out_channels=(8,) * 3, deconv_kernel_sizes=(4,) * 3),
    )
    model = build(star_pose('image', pose_net=net)).eval()
    assert model(torch.randn(1, 3, 3, 32, 24), None).shape == (1, 5, 32, 24)


def test_a_scale_that_misses_the_stem_is_refused():
    with pytest.raises(ValueError, match=r'scale=2.*image'):
        build(star_pose('feature', scale=2))


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('handoff', ['image', 'residual'])
def test_the_model_starts_as_the_bicubic_baseline(family, handoff):
    channels = {'hrnet': 8, 'se-resnet': 512}.get(family, 128)
    net = estimator(FAMILIES[family], heatmap_head(channels))
    ours = build(star_pose(handoff, pose_net=net)).eval()
    baseline = build(cascade(pose_net=net)).eval()
    randomise_statistics(baseline.head.pose_net)
    ours.head.pose_net.load_state_dict(baseline.head.pose_net.state_dict())
    clip = torch.randn(2, 3, 3, 32, 24)
    with torch.no_grad():
        heatmaps, expected = ours(clip, None), baseline(clip, None)
    # MMPose's initial heatmaps are tiny; the bound is relative to them.
    assert (heatmaps - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert expected.abs().max() > 0


@pytest.mark.parametrize('handoff', ['image', 'residual', 'feature'])
def test_a_checkpoint_of_mmposes_own_hrnet_moves_in_whole(handoff, tmp_path):
    stock = randomise_statistics(build(estimator())).eval()
    path = tmp_path / 'hrnet.pth'
    torch.save({'state_dict': stock.state_dict()}, path)
    net = estimator(init_cfg={'type': 'Pretrained', 'checkpoint': str(path)})
    model = build(star_pose(handoff, pose_net=net), seed=1).eval()
    loaded = model.head.pose_net.state_dict()
    assert loaded.keys() == stock.state_dict().keys()
    assert all(torch.equal(loaded[key], value) for key, value in stock.state_dict().items())
    frame = torch.randn(1, 3, 32, 24)
    upsampled = torch.nn.functional.interpolate(
        frame, scale_factor=4, mode='bicubic', align_corners=False
    )
    with torch.no_grad():
        if handoff == 'feature':
            stem_map = run_stem(stock.backbone, upsampled)
            levels = run_trunk(model.head.pose_net.backbone, stem_map)
            activations = model.head.pose_net.head(levels)
        else:
            activations = model(frame, None)
        expected = stock(upsampled, None)
    torch.testing.assert_close(activations, expected, rtol=1e-6, atol=1e-7)


def test_a_checkpoint_of_another_network_is_refused_under_mmengines_name_too(tmp_path):
    path = tmp_path / 'wide.pth'
    wide = build(estimator(hrnet(16), heatmap_head(16)))
    torch.save({'state_dict': wide.state_dict()}, path)
    net = estimator(init_cfg={'type': 'Pretrained', 'checkpoint': str(path)})
    with pytest.raises(CheckpointError, match=r'wide\.pth does not fit TopdownPoseEstimator'):
        build(star_pose('image', pose_net=net))


def test_feature_freezes_the_stem_it_does_not_run():
    model = build(star_pose('feature'))
    backbone = model.head.pose_net.backbone
    frozen = {name for name, item in backbone.named_parameters() if not item.requires_grad}
    stem = {name.split('.')[0] for name in frozen}
    assert stem == set(find_stem(backbone).modules) - {'relu'}
    calls = []
    backbone.conv1.register_forward_hook(lambda *args: calls.append(args))
    model(torch.randn(1, 3, 3, 32, 24), None)
    assert not calls


def test_a_handoff_may_be_a_dict_of_a_registered_type():
    model = build(star_pose({'type': 'ImageHandoff'}))
    assert isinstance(model.head.handoff, MODELS.get('ImageHandoff'))
    with pytest.raises(ValueError, match=r"handoff is 'stem'.*'image', 'residual', 'feature'"):
        build(star_pose('stem'))


@pytest.mark.slow
def test_stem_and_trunk_are_the_same_when_compiled():
    backbone = build(hrnet())
    backbone.eval()  # HRNet's returns None
    image = torch.randn(1, 3, 64, 96)
    compiled = torch.compile(lambda x: run_trunk(backbone, run_stem(backbone, x)), backend='eager')
    for level, wanted in zip(compiled(image), backbone(image), strict=True):
        torch.testing.assert_close(level, wanted)


def test_residual_adds_the_normalised_map_whatever_its_scale():
    handoff = build(star_pose('residual')).head.handoff
    net = build(estimator())
    frame, fused = torch.randn(4, 3, 16, 12), torch.randn(4, 16, 16, 12)
    torch.nn.init.ones_(handoff.norm.weight)
    entering = handoff.enter(net, frame, fused, None)
    upsampled = torch.nn.functional.interpolate(
        frame, scale_factor=4, mode='bicubic', align_corners=False
    )
    added = entering - run_stem(net.backbone, upsampled)
    projected = torch.einsum(
        'oc,nchw->nohw', handoff.project.weight.flatten(1), move_grid(fused, 4)
    )
    deviation, mean = torch.std_mean(projected, (0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(added, (projected - mean) / deviation, rtol=1e-3, atol=1e-3)
    handoff.project.weight.data *= 10
    torch.testing.assert_close(
        handoff.enter(net, frame, fused, None), entering, rtol=1e-3, atol=1e-3
    )


def test_the_first_step_moves_the_scale_of_the_residual_and_the_second_the_map():
    handoff = build(star_pose('residual')).head.handoff
    net = build(estimator())
    frame, fused = torch.randn(4, 3, 16, 12), torch.randn(4, 16, 16, 12)
    weights = torch.randn(4, 64, 16, 12)
    optimiser = torch.optim.AdamW(handoff.parameters(), lr=1e-3)
    reached = []
    for _ in range(2):
        optimiser.zero_grad()
        (handoff.enter(net, frame, fused, None) * weights).sum().backward()
        reached.append((handoff.norm.weight.grad.any(), handoff.project.weight.grad.any()))
        optimiser.step()
    assert reached == [(True, False), (True, True)]
