"""What the README says is true: its commands and its Python run as they stand."""

import glob
import os
import pathlib
import re
import shlex
import subprocess
import sys

import cv2
import pytest
from PIL import Image

from star_pose.engine.config_options import read_config
from tiny_runs import QUICK, REPO, run_tool

README = (REPO / 'README.md').read_text()
SETUP = ('make demo', 'make test')

# Appended to a command, so that it takes seconds: what is tested is that it runs as written.
FEW = [
    *QUICK,
    *(f'{split}_dataloader.dataset.indices=2' for split in ('train', 'val', 'test')),
]
# One worker: the tests share few cores.
SMALL = ['--videos=2', '--frames=4', '--size=256x144', '--people=1', '--dense', '--workers=1']
# In a shell of their own; the others run in this process, which has imported everything.
IN_A_SHELL = {
    'infer_video': ['--frames', '2'],
    # Starts its two processes; the training itself is test_flagship_recipe.py's
    'dist_train': ['--help'],
}
IN_THIS_PROCESS = {'make_synthetic_posetrack': SMALL, 'train': FEW, 'test': FEW}


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


def _run_in_a_plain_shell(line: str, folder: pathlib.Path) -> str:
    """Run a line in a shell that knows nothing of the environment; what it prints."""
    environment = {'PATH': '/usr/bin:/bin', 'HOME': os.environ['HOME'], 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        ['bash', '-c', line], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f'{line}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    return done.stdout + done.stderr


@pytest.mark.slow
def test_every_command_runs_for_somebody_who_follows_the_text(checkout, monkeypatch, capfd):
    monkeypatch.chdir(checkout)
    activate, *commands = (command for command in _commands() if command not in SETUP)
    assert activate == 'source .venv/bin/activate'
    for command in commands:
        tool = re.search(r'tools/(\w+)', command).group(1)
        if tool in IN_A_SHELL:
            line = ' '.join((activate, '&&', command, *IN_A_SHELL[tool]))
            said = _run_in_a_plain_shell(line, checkout)
            assert 'Warning' not in said
            assert 'deprecated' not in said
            continue
        python, script, *arguments = shlex.split(command)
        assert (python, script) == ('python', f'tools/{tool}.py')
        found = [sorted(glob.glob(one)) if '*' in one else [one] for one in arguments]
        capfd.readouterr()
        run_tool(tool, *(one for names in found for one in names), *IN_THIS_PROCESS[tool])
        if tool == 'train':
            said = ''.join(capfd.readouterr())
            assert 'parameters    1,794,628 learn' in said.split('Epoch(train)')[0]
            assert len(said.split('Epoch(train)')[0].splitlines()) < 25
    assert len(commands) >= 5
    work_dirs = checkout / 'work_dirs'
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/best_posetrack_AP_epoch_1.pth'))
    assert list(work_dirs.glob('star_pose_tiny_64x48_posetrack/*/pictures/*'))
    assert (checkout / 'match.poses.mp4').stat().st_size > 0
    assert (checkout / 'match.poses.json').stat().st_size > 0


def test_the_configs_take_the_options_that_are_shown():
    for command in _commands():
        if '--cfg-options' in command:
            config = re.search(r'configs/\S+', command).group()
            shown = command.split('--cfg-options ')[1].split()
            options = dict(option.split('=', 1) for option in shown)
            data_root = read_config(str(REPO / config), options).train_dataloader.dataset.data_root
            assert data_root == options['data_root']


@pytest.mark.parametrize('code', _blocks('python'))
def test_every_example_runs(code, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    exec(compile(code, 'README.md', 'exec'), {})


def test_every_linked_file_exists():
    links = re.findall(r'\]\((?!https?:)([^)#]+)', README)
    assert links
    assert [link for link in links if not (REPO / link).exists()] == []


GUIDES = ('video', 'adapt', 'train', 'data', 'evaluation', 'reuse', 'design', 'results')


@pytest.mark.parametrize('name', GUIDES)
def test_a_guide_is_short_and_has_a_picture_and_links_that_lead_somewhere(name):
    guide = (REPO / 'docs' / f'{name}.md').read_text()
    assert f'(docs/{name}.md)' in README
    assert re.search(r'!\[[^]]+\]\(images/', guide)
    links = re.findall(r'\]\((?!https?:)([^)#]+)', guide)
    assert [link for link in links if not (REPO / 'docs' / link).exists()] == []
    # The tables that a script lays out may grow
    assert name == 'results' or len(guide.splitlines()) < 150


def test_the_moving_picture_moves_and_is_no_burden():
    path = REPO / 'docs' / 'images' / 'star_pose.webp'
    assert path.stat().st_size < 3_000_000
    assert Image.open(path).n_frames > 10


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
