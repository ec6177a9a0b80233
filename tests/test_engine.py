"""Mixed precision without a scaler, channels-last weights, distributed set-up, entry points."""

import argparse
import types

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from star_pose.checkpoint import CheckpointError
from star_pose.datasets.errors import DataNotFoundError, LabelError
from star_pose.engine import AutocastOptimWrapper, ChannelsLastHook, command_line
from star_pose.engine.config_options import ConfigError


class _Line(BaseModel):
    """y = w x, and the loss of one step."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1, bias=False)
        nn.init.constant_(self.layer.weight, 0.25)
        self.seen = None

    def forward(self, inputs, mode='loss'):
        out = self.layer(inputs)
        self.seen = out.dtype
        return dict(loss=(out.float() - 3.0).square().mean())


def _wrapper(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    return AutocastOptimWrapper(optimizer=optimizer, device_type='cpu', **kwargs)


def test_autocast_computes_in_bfloat16_and_updates_float32_weights():
    model = _Line()
    inputs = dict(inputs=torch.ones(2, 4))
    model.train_step(inputs, _wrapper(model))
    assert model.seen == torch.bfloat16
    # loss = (4w - 3)^2, dw = 2 (4w - 3) = -4 at w = 0.25: w becomes 0.25 + 0.125 * 4.
    assert model.layer.weight.dtype == torch.float32
    assert model.layer.weight.flatten().tolist() == [0.75] * 4


def test_autocast_accumulates_gradients_as_the_base_class_does():
    model = _Line()
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    inputs = dict(inputs=torch.ones(2, 4))
    model.train_step(inputs, wrapper)
    assert model.layer.weight.flatten().tolist() == [0.25] * 4
    model.train_step(inputs, wrapper)
    assert model.layer.weight.flatten().tolist() == [0.75] * 4


def test_autocast_refuses_float16_and_names_the_alternative():
    with pytest.raises(ValueError, match=r"'float16'.*AmpOptimWrapper"):
        AutocastOptimWrapper(dtype='float16')


def test_channels_last_changes_the_layout_and_no_value():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)).eval()
    image = torch.randn(1, 3, 8, 8)
    parameters, before = list(model.parameters()), model(image)
    ChannelsLastHook().before_run(types.SimpleNamespace(model=model))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model(image).is_contiguous(memory_format=torch.channels_last)
    # The optimizer holds these objects.
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    torch.testing.assert_close(model(image), before)


@pytest.fixture
def cfg():
    return Config(
        dict(
            data_root='data/a/',
            model=dict(
                head=dict(type='STARPoseHead', sr_decoder=dict(type='PixelShuffleSRDecoder')),
                test_cfg=dict(flip_test=True),
            ),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(visualization=dict(type='ClipVisualizationHook', enable=False)),
            train_dataloader=dict(
                dataset=dict(type='A', data_root='data/a/', ann_file='a.json', pipeline=[])
            ),
            val_dataloader=dict(
                dataset=dict(
                    type='CombinedDataset',
                    datasets=[dict(type='A', data_root='data/a/', ann_file='x.json', pipeline=[])],
                )
            ),
            val_evaluator=dict(type='CocoMetric', ann_file='data/a/x.json'),
        )
    )


def _arguments(*line):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    command_line.add_common_arguments(parser)
    return parser.parse_args(['configs/some.py', *line])


def test_the_work_folder_is_named_after_the_config_unless_given(cfg):
    command_line.apply_common_arguments(cfg, _arguments())
    assert cfg.work_dir == 'work_dirs/some'
    command_line.apply_common_arguments(cfg, _arguments('--work-dir', 'elsewhere'))
    assert cfg.work_dir == 'elsewhere'


def test_pictures_are_switched_on_by_their_folder(cfg):
    command_line.apply_common_arguments(
        cfg, _arguments('--show-dir', 'pictures', '--interval', '7')
    )
    assert cfg.model.test_cfg == dict(flip_test=True, output_sr=True)
    hook = cfg.default_hooks.visualization
    assert (hook.enable, hook.out_dir, hook.interval) == (True, 'pictures', 7)


def test_either_spelling_of_the_local_rank_is_accepted(cfg, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    assert _arguments('--local-rank', '1').local_rank == 1
    assert _arguments('--local_rank=2').local_rank == 2


def test_amp_means_bfloat16_without_scaler_on_a_cpu(cfg, monkeypatch):
    monkeypatch.setattr(command_line, 'get_device', lambda: 'cpu')
    cfg.optim_wrapper.loss_scale = 'dynamic'
    command_line.use_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == 'AutocastOptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper


def test_amp_means_mmengines_own_on_an_accelerator(cfg, monkeypatch):
    monkeypatch.setattr(command_line, 'get_device', lambda: 'cuda')
    command_line.use_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_refuses_a_wrapper_it_does_not_know(cfg):
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ConfigError, match='ApexOptimWrapper'):
        command_line.use_mixed_precision(cfg)


def test_missing_labels_are_found_in_combined_data_sets_of_the_splits_in_use(cfg):
    for dataset in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset.datasets[0]):
        dataset.update(type='PoseTrackClipDataset', data_root='nowhere/')
    with pytest.raises(DataNotFoundError, match=r'nowhere/x\.json') as caught:
        command_line.check_data(cfg, ('val', 'test'))
    message = str(caught.value)
    assert 'Expected layout' in message
    assert 'make_synthetic_posetrack.py' in message


def test_missing_labels_of_a_stock_data_set_are_named_with_their_loader(cfg, tmp_path):
    root = str(tmp_path)
    cfg.train_dataloader.dataset.update(type='CocoDataset', data_root=root, ann_file='gone.json')
    with pytest.raises(DataNotFoundError, match=r'train_dataloader: CocoDataset: .*gone\.json'):
        command_line.check_data(cfg, ('train',))


@pytest.mark.parametrize('length', [0, -1, 'x', 2.5])
def test_a_training_without_length_is_refused(cfg, length):
    cfg.train_cfg = dict(by_epoch=True, max_epochs=length)
    with pytest.raises(ConfigError, match=f'max_epochs={length!r} trains nothing'):
        command_line.check_data(cfg, ('train',))


@pytest.mark.parametrize(('line', 'said'), [('0', 'at least 1, got 0'), ('x', 'invalid')])
def test_numbers_of_a_command_line_have_a_range(line, said, capsys):
    with pytest.raises(SystemExit):
        _arguments('--interval', line)
    assert said in capsys.readouterr().err


def test_options_without_a_value_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        _arguments('--cfg-options', 'data_root')
    assert ended.value.code == 2
    assert '--cfg-options data_root: give NAME=VALUE' in capsys.readouterr().err


def test_labels_that_are_there_pass(cfg, tmp_path):
    (tmp_path / 'a.json').write_text('{}')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    command_line.check_data(cfg, ('train',))


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), command_line.readable_errors():
        print(1 / 0)


@pytest.mark.parametrize('kind', [CheckpointError, ConfigError, LabelError])
def test_a_fault_of_the_users_ends_with_its_text_and_code_1(kind, capsys):
    with pytest.raises(SystemExit) as caught, command_line.readable_errors():
        raise kind('labels.json: annotation 7: bbox has no area')
    assert caught.value.code == 1
    assert capsys.readouterr().err == '\nlabels.json: annotation 7: bbox has no area\n'


def test_what_cannot_be_built_names_config_cause_and_place():
    match = r"a\.py cannot be built: TypeError: .*'wide' \(test_engine\.py, line \d+\)"
    with pytest.raises(ConfigError, match=match), command_line.building('a.py'):
        _Line(wide=3)
    with pytest.raises(LabelError), command_line.building('a.py'):
        raise LabelError('of the data')


def test_workers_that_persist_and_are_none_are_refused(cfg, tmp_path):
    (tmp_path / 'a.json').write_text('{}')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=True)
    with pytest.raises(ConfigError, match=r'train_dataloader: .*num_workers=0.*set train_data'):
        command_line.check_data(cfg, ('train',))


@pytest.mark.parametrize('nesting', ['pose_net', 'head', None])
def test_a_data_set_of_other_keypoints_than_the_models_is_refused(cfg, nesting, tmp_path):
    (tmp_path / 'a.json').write_text('{}')
    cfg.train_dataloader.dataset.update(type='PoseTrackClipDataset', data_root=str(tmp_path))
    head = dict(type='HeatmapHead', out_channels=14)
    cfg.model.head = {'pose_net': dict(pose_net=dict(head=head)), 'head': dict(head=head)}.get(
        nesting, head
    )
    match = r'14 keypoints \(out_channels of HeatmapHead\).*PoseTrackClipDataset has 17'
    with pytest.raises(ConfigError, match=match):
        command_line.check_data(cfg, ('train',))
    converter = dict(type='KeypointConverter', num_keypoints=14, mapping=[(0, 0)])
    cfg.train_dataloader.dataset.pipeline = [converter]
    command_line.check_data(cfg, ('train',))
