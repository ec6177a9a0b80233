import argparse
import importlib.util
import sys

import pytest
import torch
from mmengine.registry import LOOPS, PARAM_SCHEDULERS

from tiny_runs import REPO

CONFIG = REPO / 'configs' / 'star_pose_tiny_64x48_posetrack.py'


@pytest.fixture(scope='module')
def accuracy():
    sys.path.insert(0, str(REPO / 'benchmarks'))
    spec = importlib.util.spec_from_file_location('accuracy', REPO / 'benchmarks' / 'accuracy.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(REPO / 'benchmarks'))
    return module


@pytest.mark.parametrize('steps', [2, 1500])
def test_every_budget_gives_a_loop_and_schedules_that_can_be_built(accuracy, tmp_path, steps):
    args = argparse.Namespace(steps=steps, batch=4, val_every=1, cfg_options=None)
    cfg = accuracy.prepare(CONFIG, 3, tmp_path, args)
    loader = torch.utils.data.DataLoader([0])
    loop = LOOPS.build(cfg.train_cfg, default_args=dict(runner=None, dataloader=loader))
    assert loop.max_iters == steps
    assert (cfg.train_dataloader.batch_size, cfg.randomness.seed) == (4, 3)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedules = [
        PARAM_SCHEDULERS.build(one, default_args=dict(optimizer=optimiser))
        for one in cfg.param_scheduler
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]['lr'])
        optimiser.step()
        for schedule in schedules:
            schedule.step()
    assert rates[0] == pytest.approx(0.01)
    if steps == 1500:
        assert max(rates) == pytest.approx(1, abs=1e-3)
        assert rates.index(max(rates)) == pytest.approx(100, abs=2)
        assert rates[-1] < 1e-4


def test_of_a_step_validated_twice_the_last_counts(accuracy, tmp_path):
    path = tmp_path / 'curve.jsonl'
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 2, "a": 3}\n')
    assert accuracy.read_curve(path) == [{'step': 1, 'a': 1}, {'step': 2, 'a': 3}]


def test_the_table_holds_the_mean_and_deviation_over_seeds(accuracy):
    runs = [{'system': 'x', 'metrics': {'AP': value}} for value in (1.0, 3.0)]
    assert accuracy.table(runs, ['AP']).splitlines()[-1] == '| x | 2 | 2.0 +- 1.4 |'
