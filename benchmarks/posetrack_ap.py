"""AP by PoseTrack's rules of people made 64x48: every labelled person of a data set in its form.

    python benchmarks/posetrack_ap.py configs/adapt/movenet-thunder_64x48_posetrack.py WEIGHTS \
        --data data/synthetic --title star_pose_movenet-thunder

The boxes are those of the labels; there is no flip test. Every model is measured clean and
degraded, as in ``clip_pool.py``. Its row replaces the one of the same title in the result file.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import pathlib
import shlex
import sys

from accuracy import name_of
from clip_pool import DEGRADATION
from harness import RESULTS, current_commit, write_result
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.checkpoint import load_weights
from star_pose.engine.config_options import read_config

NAME = 'posetrack_ap'
KINDS = {'clean': {}, 'degraded': DEGRADATION}


def prepare(config: Config, data: str, degradation: dict, work_dir: str) -> Config:
    """Let a config test on a folder, with a degradation that is the same for every model."""
    config = copy.deepcopy(config)
    config.work_dir = work_dir
    dataset = config.test_dataloader.dataset
    dataset.data_root = f'{data}/'
    config.test_evaluator.ann_file = f'{data}/{dataset.ann_file}'
    config.model.test_cfg.flip_test = False
    for step in dataset.pipeline:
        if step['type'] == 'GenerateLRClip':
            step.update(degradation, seed=0)
    return config


def measure(config: Config, weights: pathlib.Path) -> dict[str, float]:
    """Return AP by groups of joints and in all."""
    runner = Runner.from_cfg(config)
    load_weights(runner.model, weights)
    found = runner.test()
    return {
        key.removeprefix('posetrack/'): round(value, 1)
        for key, value in found.items()
        if key.endswith('AP')
    }


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=pathlib.Path, help='with PoseTrackMetric')
    parser.add_argument('weights', type=pathlib.Path)
    parser.add_argument('--data', required=True, help="folder in PoseTrack18's form")
    parser.add_argument('--title', required=True, help='of the row')
    parser.add_argument('--work-dir', default='work_dirs/posetrack_ap', help='for the logs')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes of the config')
    return parser.parse_args()


def main() -> None:
    """Measure a model, and write it beside those that were measured before."""
    args = parse_args()
    config = read_config(str(args.config), args.cfg_options)
    row = {
        'title': args.title,
        'config': name_of(args.config),
        'commit': current_commit(),
        'sha256': hashlib.sha256(args.weights.read_bytes()).hexdigest(),
        'command': shlex.join(['python', *sys.argv]),
    }
    for kind, degradation in KINDS.items():
        row[kind] = measure(prepare(config, args.data, degradation, args.work_dir), args.weights)
        print(args.title, kind, row[kind], flush=True)
    path = RESULTS / f'{NAME}.json'
    known = json.loads(path.read_text())['rows'] if path.exists() else []
    rows = [other for other in known if other['title'] != args.title] + [row]
    print(write_result(NAME, {'rows': rows}, row['command']))


if __name__ == '__main__':
    main()
