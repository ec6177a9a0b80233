"""Runs of the real recipes on a few samples, so short that a test can afford them."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import types

from star_pose.visualization import ClipVisualizer

__all__ = [
    'ADAPTED_WEIGHTS', 'QUICK', 'REPO', 'last_log', 'load_benchmark', 'run_command', 'run_tool',
]  # fmt: skip

REPO = pathlib.Path(__file__).resolve().parents[1]
ADAPTED_WEIGHTS = (
    REPO / 'projects' / 'star_pose' / 'weights' / 'star_pose_movenet-lightning_64x48.pth'
)

# No workers (a fork costs more than these samples) and a line in the log for every iteration.
QUICK = [
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
    ),
    'default_hooks.logger.interval=1',
    'param_scheduler.0.end=2',
    'train_cfg.max_epochs=1',
]


def run_tool(name: str, *line: str) -> None:
    """Run the main function of a tool in this process, which spares importing everything again."""
    tools = str(REPO / 'tools')
    spec = importlib.util.spec_from_file_location(f'tool_{name}', f'{tools}/{name}.py')
    module = importlib.util.module_from_spec(spec)
    arguments, path = sys.argv, list(sys.path)
    sys.argv = [f'{name}.py', *map(str, line)]
    sys.path.insert(0, tools)
    try:
        spec.loader.exec_module(module)
        module.main()
    finally:
        sys.argv, sys.path[:] = arguments, path
        # MMEngine keeps visualizers by name: the next run would write into this one's folder.
        ClipVisualizer._instance_dict.clear()


def load_benchmark(name: str) -> types.ModuleType:
    """Import a script of benchmarks/, which is no package."""
    folder, path = str(REPO / 'benchmarks'), list(sys.path)
    spec = importlib.util.spec_from_file_location(f'benchmark_{name}', f'{folder}/{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = path
    return module


def run_command(
    *line: str, cwd: pathlib.Path | str, python_path: str = '', check: bool = True
) -> subprocess.CompletedProcess:
    """Run a command as a user would, one thread a process: the tests share few cores."""
    environment = dict(os.environ, PYTHONPATH=python_path, OMP_NUM_THREADS='1')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        environment.pop(name, None)
    environment['PATH'] = f'{pathlib.Path(sys.executable).parent}:{environment["PATH"]}'
    done = subprocess.run(
        [str(part) for part in line], cwd=cwd, env=environment, capture_output=True, text=True
    )
    if check and done.returncode != 0:
        raise AssertionError(f'{line} gave {done.returncode}:\n{done.stdout}\n{done.stderr}')
    return done


def last_log(work_dir: pathlib.Path) -> list[dict]:
    """The lines of the newest machine-readable log in a work folder."""
    path = max(work_dir.glob('*/vis_data/*.json'), key=lambda path: path.stat().st_mtime_ns)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'model' not in line]
