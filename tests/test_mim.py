"""The installed package works under mim and on several processes, from any directory."""

import json
import pathlib
import pickle
import re
import sys
import tarfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from tiny_runs import QUICK, REPO, run_command

TINY = 'star_pose_tiny_64x48_posetrack.py'
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def options(synthetic_root) -> list[str]:
    """Overrides that the stock scripts of MMPose understand too: every path where it stands."""
    labels = 'annotations/posetrack18_{}.json'
    root = [f'{split}_dataloader.dataset.data_root={synthetic_root}/'
            for split in ('train', 'val', 'test')]  # fmt: skip
    ground_truth = synthetic_root / labels.format('val')
    evaluators = [f'{split}_evaluator.ann_file={ground_truth}' for split in ('val', 'test')]
    few = [f'{split}_dataloader.dataset.indices=3' for split in ('train', 'val', 'test')]
    return ['--cfg-options', *QUICK, *root, *evaluators, *few]


@pytest.fixture(scope='module')
def checkpoint(installed, options, tmp_path_factory) -> pathlib.Path:
    """What ``mim train star_pose`` gives on two processes, by the bare name of the config.

    It goes on from random weights whose heatmaps have peaks: of flat ones the decoder makes more of
    the rounding than the comparison of one and two processes forgives.
    """
    folder = tmp_path_factory.mktemp('anywhere')
    start = folder / 'start.pth'
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(Config.fromfile(REPO / 'configs' / TINY).model)
    model.init_weights()
    with torch.no_grad():
        model.head.pose_net.head.final_layer.weight *= 100
    torch.save({'state_dict': model.state_dict()}, start)
    done = run_command(
        'mim', 'train', 'star_pose', TINY, '--launcher', 'pytorch', '--gpus', '2',
        '--work-dir', folder / 'work', *options, f'load_from={start}', cwd=folder,
        python_path=str(installed),
    )  # fmt: skip
    assert 'Training finished successfully' in done.stdout
    assert str(installed / 'star_pose' / '.mim' / 'configs' / TINY) in done.stdout
    return folder / 'work' / 'epoch_1.pth'


def _predictions(path: pathlib.Path) -> dict[int, np.ndarray]:
    """From the id of a labelled person to its predicted keypoints (1, K, 2)."""
    samples = pickle.loads(path.read_bytes())
    return {sample['id']: sample['pred_instances']['keypoints'] for sample in samples}


def test_the_wheel_carries_recipes_and_scripts_as_files(installed):
    root = installed / 'star_pose' / '.mim'
    wanted = sorted(p.relative_to(REPO) for p in REPO.glob('configs/**/*.py'))
    assert sorted(p.relative_to(root) for p in root.glob('configs/**/*.py')) == wanted
    for name in ('train.py', 'test.py', 'prelude.py', 'dist_train.sh', 'slurm_test.sh'):
        assert (root / 'tools' / name).read_text() == (REPO / 'tools' / name).read_text()
    assert (root / 'model-index.yml').read_text() == (REPO / 'model-index.yml').read_text()
    assert not any(path.is_symlink() for path in root.rglob('*'))
    assert not (installed / 'star_pose' / 'tools').exists()  # mim test would run that one


def test_the_source_distribution_builds_to_the_same_package(sources, installed, tmp_path):
    code = f'import setuptools.build_meta as b; print(b.build_sdist({str(tmp_path)!r}))'
    run_command(sys.executable, '-c', code, cwd=sources)
    (archive,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(archive) as opened:
        names = {name.split('/', 1)[-1] for name in opened.getnames()}
    packaged = {
        f'projects/{path.relative_to(installed)}'
        for path in (installed / 'star_pose').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert packaged <= names
    assert {'configs/' + TINY, 'tools/train.py', 'model-index.yml', 'LICENSE'} <= names


def test_two_processes_train(checkpoint):
    log = next(checkpoint.parent.glob('*/vis_data/*.json')).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line['iter'] for line in lines if 'loss' in line] == [1]  # 3 samples, 2 x 2 a step


def test_one_checkpoint_evaluates_the_same_on_one_and_two_processes(
    installed, checkpoint, options, tmp_path
):
    one = run_command(
        'mim', 'test', 'star_pose', TINY, '-C', checkpoint, '--dump', 'one.pkl', *options,
        cwd=tmp_path, python_path=str(installed),
    )  # fmt: skip
    # MMPose's own script here, which knows nothing of this package but the config's import. With
    # --dump it makes a list of the evaluator before it merges the options.
    listed = [one.replace('test_evaluator.', 'test_evaluator.0.') for one in options]
    two = run_command(
        'mim', 'test', 'mmpose', REPO / 'configs' / TINY, '-C', checkpoint, '--dump', 'two.pkl',
        '--launcher', 'pytorch', '--gpus', '2', *listed, cwd=tmp_path, python_path=str(installed),
    )  # fmt: skip
    metrics = [
        re.findall(
            r'posetrack/[\w ]+: [\d.]+', (done.stdout + done.stderr).split('Epoch(test)')[-1]
        )
        for done in (one, two)
    ]
    assert metrics[0]
    assert metrics[0] == metrics[1]
    single, double = _predictions(tmp_path / 'one.pkl'), _predictions(tmp_path / 'two.pkl')
    assert len(single) == 3
    assert single.keys() == double.keys()
    for person, keypoints in single.items():
        np.testing.assert_allclose(keypoints, double[person], atol=1e-2)


def test_the_index_is_searchable(installed, tmp_path):
    run_command(
        'mim', 'search', 'star_pose', '--json', 'found.json', cwd=tmp_path,
        python_path=str(installed),
    )  # fmt: skip
    found = json.loads((tmp_path / 'found.json').read_text())
    configs = set(found['config'].values())
    assert {'configs/' + TINY, 'configs/star_pose_64x48_posetrack.py'} <= configs
    assert all((REPO / config).is_file() for config in configs)


def test_the_checkouts_scripts_run_the_checkouts_code(installed, tmp_path):
    code = (
        f'import sys; sys.path.insert(0, {str(REPO / "tools")!r})\n'
        'import prelude, importlib.util; print(importlib.util.find_spec("star_pose").origin)'
    )
    done = run_command(sys.executable, '-c', code, cwd=tmp_path, python_path=str(installed))
    assert done.stdout.strip() == str(REPO / 'projects' / 'star_pose' / '__init__.py')
