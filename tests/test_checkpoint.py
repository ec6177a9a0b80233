"""A checkpoint fits, or the error says why; the same under MMEngine's own loading."""

import types

import pytest
import torch
from torch import nn

from star_pose.checkpoint import CheckpointError, load_weights
from star_pose.engine import CheckpointFitHook


class _Net(nn.Module):
    """Two parts that inference needs and one that only training uses."""

    optional_parts = ('auxiliary',)

    def __init__(self, width=3, auxiliary=True):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(2, width, 1), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, 4)
        if auxiliary:
            self.auxiliary = nn.Linear(width, 1)


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return _Net().state_dict()


def _load(content, tmp_path, **kwargs):
    torch.save(content, tmp_path / 'some.pth')
    model = _Net(**kwargs)
    load_weights(model, str(tmp_path / 'some.pth'))
    return model


@pytest.mark.parametrize('container', [None, 'state_dict', 'model', 'model_state_dict'])
@pytest.mark.parametrize('prefix', ['', 'module.', 'model.', '_orig_mod.', 'model.module.'])
def test_weights_are_found_in_any_container_behind_any_wrapper(
    weights, container, prefix, tmp_path
):
    content = {f'{prefix}{name}': value for name, value in weights.items()}
    model = _load(content if container is None else {container: content}, tmp_path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_a_part_that_was_compiled_alone_is_recognised(weights, tmp_path):
    content = {name.replace('backbone.', 'backbone._orig_mod.'): v for name, v in weights.items()}
    assert torch.equal(_load(content, tmp_path).backbone[0].weight, weights['backbone.0.weight'])


def test_a_model_with_a_part_of_a_wrappers_name_keeps_it(tmp_path):
    model = nn.ModuleDict({'model': nn.Linear(2, 2)})
    content = {name: torch.full_like(value, 7) for name, value in model.state_dict().items()}
    torch.save(content, tmp_path / 'some.pth')
    load_weights(model, str(tmp_path / 'some.pth'))
    assert (model['model'].weight == 7).all()


def test_one_part_of_a_larger_checkpoint_is_taken_by_its_prefix(weights, tmp_path):
    torch.save({'state_dict': weights}, tmp_path / 'some.pth')
    head = nn.Linear(3, 4)
    load_weights(head, str(tmp_path / 'some.pth'), prefix='head.')
    assert torch.equal(head.weight, weights['head.weight'])


def test_parts_of_training_may_be_absent_or_left_over(weights, tmp_path):
    lean = {name: value for name, value in weights.items() if not name.startswith('auxiliary')}
    assert torch.equal(_load(lean, tmp_path).head.bias, weights['head.bias'])
    assert torch.equal(_load(weights, tmp_path, auxiliary=False).head.bias, weights['head.bias'])


def test_the_error_counts_what_misfits_and_names_five(weights, tmp_path):
    del weights['backbone.0.bias'], weights['backbone.1.weight']
    weights |= {'head.weight': torch.zeros(5, 3), 'a': torch.ones(1), 'b': torch.ones(1)}
    content = {'state_dict': weights, 'meta': {'config': 'small.py'}}
    before = _Net().state_dict()
    with pytest.raises(CheckpointError) as caught:
        _load(content, tmp_path)
    message = str(caught.value)
    assert 'of 11 weights 2 are missing, 1 have another shape, and 2 are unexpected' in message
    named = ('missing backbone.0.bias', 'unexpected a', 'head.weight is (5, 3) instead of (4, 3)',
             'missing backbone.1.weight', 'unexpected b')  # fmt: skip
    assert '; '.join(named) in message
    assert 'made for small.py' in message
    assert 'some.pth' in message
    assert message.count('\n') == 0
    assert before.keys() == _Net().state_dict().keys()


def test_a_misfit_loads_nothing_at_all(weights, tmp_path):
    del weights['head.bias']
    torch.save(weights, tmp_path / 'some.pth')
    model = _Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match='1 are missing'):
        load_weights(model, str(tmp_path / 'some.pth'))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_one_name_behind_two_prefixes_is_refused(weights, tmp_path):
    weights['module.head.bias'] = weights['head.bias'] + 1
    with pytest.raises(CheckpointError, match=r'head\.bias twice'):
        _load(weights, tmp_path)


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        (b'', 'cannot be read'),
        (b'good day', 'cannot be read'),
        ([1, 2], 'holds a list'),
        ({'state_dict': {}, 'meta': {}}, r"no weights; its keys are \['meta', 'state_dict'\]"),
        ({'epoch': 3}, 'no weights'),
    ],
)
def test_a_file_without_weights_is_refused_in_one_line(content, match, tmp_path):
    path = tmp_path / 'some.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=match) as caught:
        load_weights(_Net(), str(path))
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


class _Hostile:
    def __reduce__(self):
        return (print, ('run',))


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path, capsys):
    torch.save({'state_dict': _Hostile()}, tmp_path / 'some.pth')
    with pytest.raises(CheckpointError, match=r'GLOBAL .*print.*plain values only'):
        load_weights(_Net(), str(tmp_path / 'some.pth'))
    assert 'run' not in capsys.readouterr().out


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'checkpoint not found: .*gone\.pth'):
        load_weights(_Net(), str(tmp_path / 'gone.pth'))


def test_the_runner_gets_the_weights_under_the_names_that_it_looks_for(weights):
    runner = types.SimpleNamespace(model=_Net(auxiliary=False), _load_from='some.pth')
    checkpoint = {'model': {f'module.{name}': value for name, value in weights.items()}}
    CheckpointFitHook().after_load_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict'].keys() == runner.model.state_dict().keys()
    assert checkpoint['state_dict']['head.bias'] is weights['head.bias']


def test_the_runner_ends_where_a_checkpoint_misfits(weights):
    runner = types.SimpleNamespace(model=_Net(width=5), _load_from='some.pth')
    with pytest.raises(CheckpointError, match=r'some\.pth does not fit _Net'):
        CheckpointFitHook().after_load_checkpoint(runner, {'state_dict': weights})
