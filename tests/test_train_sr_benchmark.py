"""benchmarks/train_sr.py runs and trains what super-resolves, in ours and in a cascade."""

import copy
import importlib.util

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from pose_batches import HEATMAP, batch, cascade, star_pose
from tiny_runs import REPO, load_benchmark


@MODELS.register_module()
class SubPixelConv(torch.nn.Sequential):
    """The smallest network that learns to upsample x4."""

    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 48, 3, padding=1), torch.nn.PixelShuffle(4))


@pytest.fixture(scope='module')
def train_sr():
    return load_benchmark('train_sr')


@pytest.mark.parametrize('kind', ['ours', 'cascade'])
def test_it_trains_all_that_super_resolves_and_nothing_of_the_pose_network(train_sr, kind):
    config = star_pose() if kind == 'ours' else cascade()
    if kind == 'cascade':
        config['data_preprocessor'] = star_pose()['data_preprocessor']
        config['backbone'].update(sr={'type': 'SubPixelConv'}, frozen=True)
    with DefaultScope.overwrite_default_scope('mmpose'):
        net = train_sr.SuperResolver(ConfigDict(config))
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    losses = []
    for _ in range(8):
        data = net.data_preprocessor(batch(), True)
        losses.append(net(**data, mode='loss')['loss'])
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < losses[0]
    after, trained = net.state_dict(), net.trained()
    assert trained
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved <= set(trained)
    first = 'backbone.stem.weight' if kind == 'ours' else 'backbone.sr.0.weight'
    assert first in moved


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('mmagic') is None, reason='mmagic is not installed')
@pytest.mark.parametrize('name', ['basicvsr', 'edsr', 'srresnet'])
def test_a_cascade_before_the_frozen_network_is_trained_by_pixels_and_then_loaded(
    train_sr, name, tmp_path
):
    path = REPO / f'configs/cascades/{name}_movenet-lightning_64x48_coco.py'
    config = Config.fromfile(path).model
    config.backbone.sr.update(num_blocks=1, mid_channels=8)
    codec = {**HEATMAP, 'input_size': (192, 256), 'heatmap_size': (48, 64)}
    data = batch(codec, num=1, num_frames=5)
    with DefaultScope.overwrite_default_scope('mmpose'):
        net = train_sr.SuperResolver(copy.deepcopy(config))
        optimiser = torch.optim.SGD(net.backbone.parameters(), 1e-2)
        before = {key: value.clone() for key, value in net.trained().items()}
        net(**net.data_preprocessor(data, True), mode='loss')['loss'].backward()
        optimiser.step()
        torch.save({'state_dict': net.trained()}, tmp_path / 'sr.pth')
        config.backbone.checkpoint = str(tmp_path / 'sr.pth')
        model = MODELS.build(config)
        model.init_weights()
    trained = {key: value for key, value in net.trained().items() if key.startswith('backbone.sr.')}
    assert any(not torch.equal(value, before[key]) for key, value in trained.items())
    for key, value in trained.items():
        assert torch.equal(model.state_dict()[key], value)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        heatmaps = model.eval()(torch.randn(1, 5, 3, 64, 48), None)
    assert heatmaps.shape == (1, 17, 64, 48)
