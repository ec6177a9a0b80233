"""benchmarks/train_sr.py runs and trains what super-resolves, in ours and in a cascade."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from pose_batches import batch, cascade, star_pose
from tiny_runs import load_benchmark


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
