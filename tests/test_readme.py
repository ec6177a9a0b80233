"""What the README says is true: its commands and its Python run as they stand."""

import os
import pathlib
import re
import subprocess
import sys

import cv2
import pytest

from tiny_runs import QUICK, REPO

README = (REPO / 'README.md').read_text()
SETUP = ('make demo', 'make test')

# Appended to a command, so that it takes seconds: what is tested is that it runs as written.
FEW = [
    *QUICK,
    *(f'{split}_dataloader.dataset.indices=2' for split in ('train', 'val', 'test')),
]
# One worker: the tests share few cores.
SMALL = ['--videos=2', '--frames=4', '--size=256x144', '--people=1', '--dense', '--workers=1']
SHORTER = {
    'make_synthetic_posetrack': SMALL,
    'train': FEW,
    'test': FEW,
    # No network; test_flagship_recipe.py starts it from a checkpoint.
    'dist_train': [*FEW, 'train_dataloader.batch_size=1', 'pretrained=None'],
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
def checkout(synthetic_root, tmp_path_factory) -> pathlib.Path:
    """A folder that looks like the checkout after its set-up, with a video in it."""
    root = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'tools', 'projects'):
        (root / name).symlink_to(REPO / name)
    (root / '.venv').symlink_to(sys.prefix)
    (root / 'data').mkdir()
    (root / 'data' / 'posetrack18').symlink_to(root / 'data' / 'synthetic')
    frames = [cv2.imread(str(path)) for path in sorted(synthetic_root.glob('images/train/*/*'))]
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(
        str(root / 'match.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (width, height)
    )
    for frame in frames:
        video.write(frame)
    video.release()
    return root


@pytest.mark.slow
def test_every_command_runs_in_a_plain_shell_that_follows_the_text(checkout):
    """The shell knows nothing of the environment until the text says how to enter it."""
    environment = {'PATH': '/usr/bin:/bin', 'HOME': os.environ['HOME'], 'OMP_NUM_THREADS': '1'}
    activate, *commands = (command for command in _commands() if command not in SETUP)
    assert activate == 'source .venv/bin/activate'
    for command in commands:
        script = re.search(r'tools/(\w+)', command).group(1)
        line = ' '.join((command, *map(str, SHORTER[script])))
        done = subprocess.run(
            ['bash', '-c', f'{activate} && {line}'],
            cwd=checkout, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f'{line}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    assert len(commands) >= 5
    work_dirs = checkout / 'work_dirs'
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/best_posetrack_AP_epoch_1.pth'))
    assert list(work_dirs.glob('star_pose_64x48_posetrack/epoch_1.pth'))
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/*/pictures/*'))
    assert (checkout / 'match.poses.mp4').stat().st_size > 0
    assert (checkout / 'match.poses.json').stat().st_size > 0


@pytest.mark.parametrize('code', _blocks('python'))
def test_every_example_runs(code, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
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


def test_it_is_read_in_a_minute():
    assert len(README.splitlines()) < 150
