"""The recipes train, resume and are evaluated through tools/, on real photographs and frames."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from star_pose.checkpoint import CheckpointError
from star_pose.engine.outputs import OutputError
from tiny_runs import ADAPTED_WEIGHTS, QUICK, REPO, last_log, run_tool

LSPE = REPO / 'configs/star_pose_tiny_64x48_lspe.py'
FLAGSHIP = REPO / 'configs/star_pose_64x48_posetrack.py'

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def trained(lspe_root, tmp_path_factory):
    """The work folder of a training of one epoch."""
    work_dir = tmp_path_factory.mktemp('work')
    options = [f'data_root={lspe_root}', *QUICK]
    run_tool('train', LSPE, '--amp', '--work-dir', work_dir, '--cfg-options', *options)
    return work_dir


def test_the_tiny_recipe_trains_on_photographs(trained):
    lines = [line for line in last_log(trained) if 'loss' in line]
    assert len(lines) == 2  # four photographs, two a batch
    for line in lines:
        assert {'loss_kpt', 'loss_sr_pixel', 'loss_sr_structure', 'psnr'} <= line.keys()
        parts = [line[key] for key in line if key.startswith('loss_')]
        assert line['loss'] == pytest.approx(sum(parts), rel=1e-4)
        assert np.isfinite(line['loss'])
    weights = torch.load(trained / 'epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
    assert {value.dtype for value in weights.values()} <= {torch.float32, torch.int64}


def test_the_best_checkpoint_is_kept_by_a_metric_that_exists(trained):
    (best,) = trained.glob('best_posetrack_AP_epoch_1.pth')
    kept = torch.load(best)['state_dict']
    last = torch.load(trained / 'epoch_1.pth')['state_dict']
    assert all(torch.equal(kept[name], last[name]) for name in last)


def test_a_checkpoint_gives_what_the_training_measured(trained, lspe_root, tmp_path):
    measured = [line for line in last_log(trained) if 'posetrack/AP' in line][-1]
    out, dump = tmp_path / 'metrics.json', tmp_path / 'predictions.pkl'
    run_tool(
        'test', LSPE, trained / 'epoch_1.pth', '--work-dir', tmp_path, '--out', out, '--dump', dump,
        '--show-dir', 'pictures', '--interval', '2',
        '--cfg-options', f'data_root={lspe_root}', *QUICK,
    )  # fmt: skip
    assert json.loads(out.read_text())['posetrack/AP'] == pytest.approx(measured['posetrack/AP'])
    predictions = pickle.loads(dump.read_bytes())
    assert len(predictions) == 4
    assert all(one['pred_instances']['keypoints'].shape == (1, 17, 2) for one in predictions)
    assert len(list(tmp_path.glob('*/pictures/*'))) == 2  # every second of four


def test_a_training_resumes_where_it_ended(trained, lspe_root, tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(trained / 'epoch_1.pth'))
    options = [f'data_root={lspe_root}', *QUICK, 'train_cfg.max_epochs=2']
    run_tool(
        'train', LSPE, '--resume', '--no-validate', '--work-dir', tmp_path,
        '--cfg-options', *options,
    )  # fmt: skip
    lines = [line for line in last_log(tmp_path) if 'loss' in line]
    assert [(line['epoch'], line['iter']) for line in lines] == [(2, 3), (2, 4)]
    steps = torch.load(tmp_path / 'epoch_2.pth')['optimizer']['state'][0]['step']
    assert steps == 4  # the optimizer went on counting


def refusal(capsys, tool: str, *line) -> str:
    """What a tool says when it ends with code 1."""
    with pytest.raises(SystemExit) as ended:
        run_tool(tool, *line)
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_missing_data_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = refusal(capsys, 'train', FLAGSHIP)
    assert 'data/posetrack18/annotations/posetrack18_train.json' in said
    assert 'Expected layout' in said
    assert 'make_synthetic_posetrack.py' in said
    assert 'posetrack.net' in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_a_checkpoint_of_another_model_ends_a_run_with_one_line(
    tool, synthetic_root, tmp_path, capsys
):
    options = [f'data_root={synthetic_root}', 'pretrained=None', *QUICK]
    weights = [ADAPTED_WEIGHTS] if tool == 'test' else []
    options += [f'load_from={ADAPTED_WEIGHTS}'] if tool == 'train' else []
    said = refusal(
        capsys, tool, FLAGSHIP, *weights, '--work-dir', tmp_path, '--cfg-options', *options
    )
    (line,) = (line for line in said.splitlines() if 'does not fit' in line)
    assert 'star_pose_movenet-lightning_64x48.pth does not fit TopdownPoseEstimator' in line
    assert 'it was made for movenet-lightning_64x48_evidence.py' in line


def test_published_weights_are_the_same_in_half_precision(trained, tmp_path, capsys):
    out = tmp_path / 'weights' / 'tiny.pth'
    run_tool('publish_model', trained / 'epoch_1.pth', out, '--config', LSPE)
    assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out
    whole, half = (torch.load(path)['state_dict'] for path in (trained / 'epoch_1.pth', out))
    assert whole.keys() == half.keys()
    for name, value in half.items():
        torch.testing.assert_close(value.to(whole[name].dtype), whole[name], rtol=1e-3, atol=1e-6)
        if value.is_floating_point():
            assert ('running_' in name) == (value.dtype == torch.float32)
    assert torch.load(out)['meta']['dataset_meta']['keypoint_id2name'][0] == 'nose'


def test_the_mean_of_several_checkpoints_is_published(trained, tmp_path):
    first = torch.load(trained / 'epoch_1.pth')['state_dict']
    other = {k: v + 0.25 if v.is_floating_point() else v for k, v in first.items()}
    torch.save({'state_dict': other}, tmp_path / 'other.pth')
    options = '--config', LSPE, '--average-with', tmp_path / 'other.pth'
    run_tool('publish_model', trained / 'epoch_1.pth', tmp_path / 'mean.pth', *options)
    mean = torch.load(tmp_path / 'mean.pth')['state_dict']
    assert mean.keys() == first.keys()
    for name, value in mean.items():
        wanted = first[name] + 0.125 if value.is_floating_point() else first[name]
        torch.testing.assert_close(value.to(wanted.dtype), wanted, rtol=1e-3, atol=1e-3)
    name = next(iter(other))
    torch.save({'state_dict': {k: v for k, v in other.items() if k != name}}, tmp_path / 'part.pth')
    options = '--config', LSPE, '--average-with', tmp_path / 'part.pth'
    with pytest.raises(CheckpointError, match='does not fit'):
        run_tool('publish_model', trained / 'epoch_1.pth', tmp_path / 'x.pth', *options)


def test_posetracks_joints_stay_beside_cocos_in_what_is_published(tmp_path):
    config = REPO / 'configs' / 'adapt' / 'movenet-lightning_64x48_evidence.py'
    run_tool('publish_model', ADAPTED_WEIGHTS, tmp_path / 'again.pth', '--config', config)
    before, after = (
        torch.load(path)['state_dict'] for path in (ADAPTED_WEIGHTS, tmp_path / 'again.pth')
    )
    assert 'head.pose_net.head.neck_and_head_top.weight' in before
    assert before.keys() == after.keys()
    assert all(value.equal(after[name]) for name, value in before.items())


def test_published_weights_never_replace_what_they_are_made_of(trained):
    path = trained / 'epoch_1.pth'
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r'epoch_1.pth is an input'):
        run_tool('publish_model', path, path, '--config', LSPE)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_model_is_not_published(trained, tmp_path):
    with pytest.raises(CheckpointError, match='does not fit'):
        run_tool('publish_model', trained / 'epoch_1.pth', tmp_path / 'x.pth', '--config', FLAGSHIP)
    assert not (tmp_path / 'x.pth').exists()
