"""Train and evaluate systems side by side: one budget, one data set, one metric.

    python benchmarks/accuracy.py configs/ablations/*.py --steps 1500 --batch 16 --seeds 0

Every (config, seed) is a run of its own under ``--out``: it resumes where it was stopped, and
several processes may share the list, since a run is held by a file lock while it is trained. A
finished run leaves ``result.json``; the table is made from those files alone, and again with
``--table-only``.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import sys
import time

import filelock
import numpy as np
import torch
from harness import describe_machine, write_result
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.runner import Runner

import star_pose  # noqa: F401  (applies the cures and registers the components)


class LearningCurveHook(Hook):
    """Append the metrics of every validation to ``curve.jsonl``.

    Args:
        path: The file; a resumed run goes on in it.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the step and its metrics."""
        with self.path.open('a') as curve:
            curve.write(json.dumps({'step': runner.iter, **_plain(metrics or {})}) + '\n')


def _plain(metrics: dict) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in metrics.items() if np.isscalar(value)}


def read_curve(path: pathlib.Path) -> list[dict]:
    """Read a learning curve; of a step that was validated twice (a resumed run) the last counts."""
    points = {}
    for line in path.read_text().splitlines():
        point = json.loads(line)
        points[point['step']] = point
    return [points[step] for step in sorted(points)]


def prepare(config: pathlib.Path, seed: int, work_dir: pathlib.Path, args) -> Config:
    """Give a config the common budget: steps, batch, seed, validation points."""
    cfg = Config.fromfile(config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = str(work_dir)
    cfg.resume = True
    cfg.randomness = dict(seed=seed)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=args.steps, val_interval=args.val_every
    )
    cfg.train_dataloader.batch_size = args.batch
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True, seed=seed)
    warmup = max(1, min(100, args.steps // 10))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
        dict(
            type='CosineAnnealingLR',
            eta_min=0,
            by_epoch=False,
            begin=warmup,
            end=args.steps,
            T_max=args.steps - warmup,
        ),
    ]
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=args.val_every, max_keep_ckpts=1
    )
    cfg.auto_scale_lr = None
    cfg.log_processor = dict(type='LogProcessor', by_epoch=False, window_size=50)
    return cfg


def train_one(config: pathlib.Path, seed: int, work_dir: pathlib.Path, args) -> None:
    """Train one system, or go on with it, and write ``result.json`` at its end."""
    runner = Runner.from_cfg(prepare(config, seed, work_dir, args))
    runner.register_hook(LearningCurveHook(work_dir / 'curve.jsonl'), priority='LOW')
    start = time.time()
    runner.train()
    curve = read_curve(work_dir / 'curve.jsonl')
    result = {
        'system': config.stem,
        'config': str(config),
        'seed': seed,
        'steps': args.steps,
        'batch': args.batch,
        'parameters': sum(p.numel() for p in runner.model.parameters()),
        'wall_s_of_last_start': round(time.time() - start),
        'metrics': {name: value for name, value in curve[-1].items() if name != 'step'},
        'curve': curve,
        'machine': describe_machine(),
    }
    partial = work_dir / 'result.json.part'
    partial.write_text(json.dumps(result, indent=1) + '\n')
    partial.replace(work_dir / 'result.json')


def table(results: list[dict], metrics: list[str]) -> str:
    """Lay the results out in Markdown: a row a system, the mean over its seeds (+- deviation)."""
    rows = ['| system | seeds | ' + ' | '.join(metrics) + ' |', '|---' * (len(metrics) + 2) + '|']
    for system in dict.fromkeys(result['system'] for result in results):
        runs = [result for result in results if result['system'] == system]
        cells = []
        for metric in metrics:
            values = [run['metrics'][metric] for run in runs if metric in run['metrics']]
            if not values:
                cells.append('-')
            elif len(values) == 1:
                cells.append(f'{values[0]:.1f}')
            else:
                cells.append(f'{np.mean(values):.1f} +- {np.std(values, ddof=1):.1f}')
        rows.append(f'| {system} | {len(runs)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(rows)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', type=pathlib.Path, help='the systems to compare')
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('work_dirs/accuracy'))
    parser.add_argument('--name', default='accuracy', help='name of the file under results/')
    parser.add_argument('--steps', type=int, default=1500, help='optimiser steps of every run')
    parser.add_argument('--batch', type=int, default=16, help='clips a step')
    parser.add_argument('--val-every', type=int, default=250, help='steps between validations')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--metrics', nargs='+', help='columns of the table (default: all)')
    parser.add_argument('--table-only', action='store_true', help='train nothing, make the table')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='for every config')
    return parser.parse_args()


def main() -> None:
    """Train what is left of the list, then print and write the table."""
    args = parse_args()
    missing = [str(config) for config in args.configs if not config.is_file()]
    if missing:
        sys.exit(f'no such config: {", ".join(missing)}')
    if args.steps % args.val_every:
        sys.exit(f'--steps {args.steps} must be a multiple of --val-every {args.val_every}')
    results = []
    for seed in args.seeds:
        for config in args.configs:
            work_dir = args.out.resolve() / f'{config.stem}-seed{seed}'
            work_dir.mkdir(parents=True, exist_ok=True)
            finished = work_dir / 'result.json'
            if not finished.exists() and not args.table_only:
                try:
                    with filelock.FileLock(work_dir / 'lock', timeout=0):
                        if not finished.exists():
                            train_one(config, seed, work_dir, args)
                except filelock.Timeout:
                    print(f'{work_dir.name}: another process trains it')
            if finished.exists():
                result = json.loads(finished.read_text())
                if (result['steps'], result['batch']) != (args.steps, args.batch):
                    sys.exit(
                        f'{finished}: trained with steps={result["steps"]} batch={result["batch"]},'
                        f' not {args.steps} and {args.batch}; choose another --out'
                    )
                results.append(result)
    if not results:
        sys.exit('no finished run to tabulate')
    metrics = args.metrics or list(results[0]['metrics'])
    print(table(results, metrics))
    command = shlex.join(['python', *sys.argv])
    print(write_result(args.name, {'runs': results}, command))


if __name__ == '__main__':
    torch.multiprocessing.set_sharing_strategy('file_system')
    main()
