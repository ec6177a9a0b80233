"""The terminal of a training begins with its summary; the log file has everything."""

import pathlib

import pytest
import torch
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from star_pose.engine import training_runner
from star_pose.engine.training_runner import TrainingRunner, in_words


class _Toy(BaseModel):
    """Three weights that learn, four that are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.learns = torch.nn.Linear(2, 1)
        self.frozen = torch.nn.Linear(3, 1).requires_grad_(False)

    def forward(self, x: torch.Tensor, mode: str) -> dict[str, torch.Tensor]:
        return {'loss': self.learns(x).sum()}


class _Samples(list):
    metainfo = ()  # that there is one keeps MMEngine from a warning


def _train(folder: pathlib.Path, steps: int, step_seconds: float, monkeypatch) -> None:
    """Train for some steps of two samples, each of which takes as long by the clock."""
    now = iter(step_seconds * step for step in range(10_000))
    monkeypatch.setattr(training_runner.time, 'monotonic', lambda: next(now))
    data = _Samples({'x': torch.ones(2)} for _ in range(2 * steps))
    TrainingRunner(
        _Toy(),
        str(folder),
        train_dataloader=DataLoader(data, batch_size=2),
        train_cfg={'by_epoch': True, 'max_epochs': 1},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.25}},
        experiment_name=folder.name,
        cfg={
            'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.25}},
            'marker': 'of the config',
        },
    ).train()


def test_the_terminal_begins_with_the_summary_and_the_file_has_everything(
    tmp_path, capfd, monkeypatch
):
    _train(tmp_path / 'a', 2, 0.0, monkeypatch)
    shown = ''.join(capfd.readouterr())
    (log,) = (tmp_path / 'a').glob('*/*.log')
    logged = log.read_text()
    first = shown.splitlines()[0]
    assert first.endswith('training')
    assert '3 learn, 4 are frozen' in shown
    assert '4 samples of _Samples' in shown
    assert '2 of 2 samples in 1 epochs' in shown
    assert '0.25 (SGD' in shown
    assert 'a step' not in shown.split('how long')[1]  # fewer than twenty steps
    assert 'marker' not in shown
    assert 'System environment' not in shown
    assert 'marker' in logged
    assert 'System environment' in logged
    assert '3 learn, 4 are frozen' in logged


def test_a_process_that_was_silent_stays_silent(tmp_path, capfd, monkeypatch):
    # MMEngine's logger of a process other than the first shows errors alone
    monkeypatch.setattr('mmengine.logging.logger._get_rank', lambda: 1)
    _train(tmp_path / 'c', 2, 0.0, monkeypatch)
    assert ''.join(capfd.readouterr()) == ''


def test_after_twenty_steps_it_says_how_long_the_rest_takes(tmp_path, capfd, monkeypatch):
    # The clock is read twice, before the first step and after the twentieth: 60 s for 20 steps
    _train(tmp_path / 'b', 50, 60.0, monkeypatch)
    shown = ''.join(capfd.readouterr())
    assert shown.count('a step: ') == 1
    assert '3.00 s a step: about 2 min for the 30 steps that are left' in shown


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(0.4, '0 s'), (89, '89 s'), (90, '2 min'), (5340, '89 min'), (5400, '1 h 30 min'),
     (172_740, '47 h 59 min'), (187_200, '2 days 4 h')],
)  # fmt: skip
def test_durations_are_said_in_words(seconds, words):
    assert in_words(seconds) == words
