"""What the README says is true: its commands and its Python run as they stand."""

import os
import pathlib
import re
import shlex

import pytest

from tiny_runs import QUICK, REPO, run_command, run_tool

README = (REPO / 'README.md').read_text()
SETUP = ('make demo', 'make test')

# Appended to a command, so that it takes seconds: what is tested is that it runs as written.
FEW = [
    *QUICK,
    *(f'{split}_dataloader.dataset.indices=2' for split in ('train', 'val', 'test')),
]
# One worker: a fork of this process would inherit the locks of its threads.
SMALL = ['--videos=2', '--frames=4', '--size=256x144', '--people=1', '--dense', '--workers=1']
SHORTER = {
    'make_synthetic_posetrack': SMALL,
    'train': FEW,
    'test': FEW,
    'dist_train': [*FEW, 'train_cfg.max_epochs=2'],
    'mim': FEW,
    'infer_video': ['--frames', '2'],
}


def _blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', README, flags=re.DOTALL)


def _commands() -> list[str]:
    lines = [
        line.split('  #')[0].strip() for block in _blocks('bash') for line in block.split('\n')
    ]
    return [line for line in lines if line]


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> pathlib.Path:
    """A folder that looks like the checkout, for what the commands write."""
    root = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'tools', 'projects'):
        (root / name).symlink_to(REPO / name)
    (root / 'data').mkdir()
    (root / 'data' / 'posetrack18').symlink_to(root / 'data' / 'synthetic')
    return root


@pytest.mark.slow
def test_every_command_runs(checkout, installed, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    ran = [command for command in _commands() if command not in SETUP]
    for command in ran:
        _run(command, checkout, installed)
    assert len(ran) >= 6
    work_dirs = checkout / 'work_dirs'
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/best_posetrack_AP_epoch_1.pth'))
    # The second command went on from the first one's epoch, on two processes.
    assert list(work_dirs.glob('star_pose_64x48_posetrack/epoch_2.pth'))
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/*/pictures/*'))
    assert (checkout / 'drawn.mp4').stat().st_size > 0
    assert (checkout / 'poses.json').stat().st_size > 0


def _run(command: str, checkout: pathlib.Path, installed: pathlib.Path) -> None:
    """Run a command with the shorter settings behind its own, tools in this process."""
    words = []
    for word in shlex.split(command):
        found = sorted(map(str, checkout.glob(word))) if '*' in word else []
        words += [os.path.relpath(path, checkout) for path in found] or [word]
    script = words[1] if words[0] == 'python' else words[0]
    name = pathlib.PurePath(script).stem
    words += SHORTER[name]
    if any('star_pose_64x48' in word for word in words):
        words.append('pretrained=None')  # no network; test_flagship_recipe.py has a checkpoint
    if words[0] == 'python':
        run_tool(name, *words[2:])
    else:
        run_command(*words, cwd=checkout, python_path=str(installed))


@pytest.mark.parametrize('code', _blocks('python'))
def test_every_example_runs(code):
    exec(compile(code, 'README.md', 'exec'), {})


def test_every_linked_file_exists():
    links = re.findall(r'\]\((?!https?:)([^)#]+)', README)
    assert links
    assert [link for link in links if not (REPO / link).exists()] == []


def test_the_two_commands_are_targets_of_the_makefile():
    makefile = (REPO / 'Makefile').read_text()
    for command in SETUP:
        assert command in _commands()
        assert re.search(rf'^{command.split()[1]}:', makefile, flags=re.MULTILINE)


def test_configs_and_classes_that_it_names_exist():
    for name in re.findall(r'`((?:configs|tools|requirements)/[\w./-]+)`', README):
        assert (REPO / name).exists(), name
