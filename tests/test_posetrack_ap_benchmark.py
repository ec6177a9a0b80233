"""The benchmark of AP measures every model alike, and keeps one row of each."""

import json
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from star_pose.posetrack.joints import GROUPS
from tiny_runs import REPO, load_benchmark

CONFIG = REPO / 'configs' / 'baselines' / 'bicubic_movenet-lightning_64x48_posetrack.py'


@pytest.fixture(scope='module')
def benchmark():
    return load_benchmark('posetrack_ap')


@pytest.fixture
def weights(tmp_path):
    """MoveNet as published; neck and head top are seen nowhere."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(Config.fromfile(CONFIG).model)
    model.init_weights()
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def test_a_config_is_changed_in_a_copy_and_degraded_by_one_seed(benchmark):
    config = Config.fromfile(CONFIG)
    before = config.pretty_text
    prepared = benchmark.prepare(config, 'here', benchmark.DEGRADATION, 'there')
    assert config.pretty_text == before
    assert prepared.test_dataloader.dataset.data_root == 'here/'
    assert prepared.test_evaluator.ann_file == 'here/annotations/posetrack18_val.json'
    assert not prepared.model.test_cfg.flip_test
    (step,) = (
        one for one in prepared.test_dataloader.dataset.pipeline if one['type'] == 'GenerateLRClip'
    )
    assert step['seed'] == 0
    assert [one['type'] for one in step['after']] == ['ClipNoise', 'ClipH264']


@pytest.mark.slow
def test_every_model_has_one_row(benchmark, weights, synthetic_root, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, 'RESULTS', tmp_path)
    monkeypatch.setattr(sys.modules['harness'], 'RESULTS', tmp_path)
    workers = [f'test_dataloader.{name}' for name in ('num_workers=0', 'persistent_workers=False')]
    for title in ('a', 'b', 'a'):
        line = [CONFIG, weights, '--data', synthetic_root, '--title', title]
        line += ['--work-dir', tmp_path / 'logs', '--cfg-options', *workers]
        monkeypatch.setattr(sys, 'argv', ['posetrack_ap.py', *map(str, line)])
        benchmark.main()
    rows = json.loads((tmp_path / 'posetrack_ap.json').read_text())['rows']
    assert [row['title'] for row in rows] == ['b', 'a']
    b, a = rows
    for kind in ('clean', 'degraded'):
        assert set(b[kind]) == {'AP', *(f'{group} AP' for group in GROUPS)}
        np.testing.assert_equal(a[kind], b[kind])  # a group that nobody is labelled with is NaN
        assert 0 < b[kind]['AP'] <= 100
