"""The debug switch that names the first layer that produces NaN or Inf."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import nn

from star_pose.engine import NonFiniteHook, watch_non_finite
from star_pose.models import STARPoseNet
from tiny_runs import REPO


class _Root(nn.Module):
    """A layer whose output is NaN for negative input."""

    def forward(self, x):
        return x.sqrt()


def make_model():
    return nn.Sequential(nn.Identity(), nn.Sequential(_Root(), nn.ReLU()), nn.Identity())


def test_names_the_layer_that_makes_nan_of_finite_input():
    model = make_model()
    message = r'2 NaN or Inf in the output of 1\.0 \(_Root\); its input and weights are finite'
    with watch_non_finite(model), pytest.raises(FloatingPointError, match=message):
        model(torch.tensor([1.0, -1.0, -2.0]))


def test_says_when_the_input_holds_it_already():
    net = STARPoseNet(embed_channels=8, depth=1, num_cnn_blocks=1)
    clip = torch.zeros(1, 2, 3, 16, 16)
    clip[0, 1, 0, 3, 3] = float('inf')
    message = r'of stem \(Conv2d\); its input holds 1 already'
    with watch_non_finite(net), pytest.raises(FloatingPointError, match=message):
        net(clip)


def test_says_when_the_weights_hold_it():
    net = STARPoseNet(embed_channels=8, depth=1, num_cnn_blocks=1)
    net.transformer.blocks[0].ffn.reduce.bias.data[2] = float('nan')
    message = r'of transformer\.blocks\.0\.ffn\.reduce \(Linear\); its weights hold them.*bias'
    with watch_non_finite(net), pytest.raises(FloatingPointError, match=message):
        net(torch.zeros(1, 2, 3, 16, 16))


def test_finite_runs_pass_and_nothing_is_left_behind():
    model = make_model()
    x = torch.tensor([1.0, 4.0])
    with watch_non_finite(model):
        assert model(x).tolist() == [1.0, 2.0]
    assert not any(module._forward_hooks for module in model.modules())
    model(-x)  # no longer watched


class _Model(BaseModel):
    """Its loss turns NaN where the data do."""

    def __init__(self):
        super().__init__()
        self.root = _Root()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=(self.scale * self.root(torch.stack(inputs))).mean())


def make_runner(tmp_path, values, hook):
    runner = Runner(
        _Model(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.tensor(value)) for value in values],
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=lambda batch: dict(inputs=[sample['inputs'] for sample in batch]),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=OptimWrapper(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)),
        default_hooks=dict(checkpoint=None),
        default_scope='mmpose',
        experiment_name=f'{hook}_{values}',
        log_level='ERROR',
    )
    runner.register_hook(HOOKS.build(dict(type=hook)))
    return runner


@pytest.mark.parametrize('value', [1.0, -1.0])
def test_switched_on_in_a_config_it_watches_a_run(value, tmp_path):
    runner = make_runner(tmp_path, [value], 'NonFiniteHook')
    assert any(isinstance(hook, NonFiniteHook) for hook in runner.hooks)
    if value > 0:
        runner.train()
        assert not any(module._forward_hooks for module in runner.model.modules())
    else:
        with pytest.raises(FloatingPointError, match=r'of root \(_Root\)'):
            runner.train()


@pytest.mark.parametrize(
    ('values', 'step'),
    [([1.0, -1.0, 1.0, -1.0, 4.0], None), ([1.0, -1.0, -1.0, 1.0], 3)],
)
def test_a_loss_that_stays_nan_ends_the_training(values, step, tmp_path):
    runner = make_runner(tmp_path, values, 'FiniteLossHook')
    if step is None:
        runner.train()
        assert runner.iter == len(values)
    else:
        with pytest.raises(FloatingPointError, match=f'loss is nan at step {step}.*lower optim'):
            runner.train()


def test_every_recipe_that_trains_ends_where_the_loss_is_no_number():
    names = 'star_pose_64x48_posetrack', 'star_pose_tiny_64x48_posetrack'
    names += 'adapt/movenet-lightning_64x48_coco', 'adapt/rtmpose-m_64x48_coco'
    for name in names:
        hooks = Config.fromfile(REPO / 'configs' / f'{name}.py').custom_hooks
        assert dict(type='FiniteLossHook') in hooks, name
