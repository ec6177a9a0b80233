import logging
import types

from mmpose.registry import HOOKS

from star_pose.datasets.skipping_dataset import SkipPolicy


class Part:
    """What the hook looks at in a data set."""

    def __init__(self, name, bad):
        self.skips = SkipPolicy(name, 'skip', max_skips=1)
        self.skips.start(10)
        for index in bad:
            self.skips.reject_sample(index, OSError('gone'))


def lines_of(dataset):
    lines = []
    logger = types.SimpleNamespace(log=lambda level, text: lines.append((level, text)))
    runner = types.SimpleNamespace(
        logger=logger, train_dataloader=types.SimpleNamespace(dataset=dataset)
    )
    HOOKS.build(dict(type='SkipSummaryHook')).after_train_epoch(runner)
    return lines


def test_every_data_set_that_skipped_gets_a_line():
    wrapper = types.SimpleNamespace(
        dataset=types.SimpleNamespace(datasets=[Part('a', [3]), Part('b', []), Part('c', [1, 2])])
    )
    assert lines_of(wrapper) == [
        (logging.WARNING, 'a skipped 1 of 10 samples while reading (3)'),
        (logging.WARNING, 'c skipped 2 of 10 samples while reading (1, 2)'),
    ]


def test_nothing_skipped_nothing_said():
    assert lines_of(Part('a', [])) == []


def test_data_sets_of_other_kinds_are_passed_over():
    mixed = types.SimpleNamespace(datasets=[object(), Part('a', [0])])
    assert [text.split()[0] for _, text in lines_of(mixed)] == ['a']
