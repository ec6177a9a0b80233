"""Adapt and evaluate systems side by side: one budget, one set of samples, one metric.

    python benchmarks/accuracy.py configs/adapt/movenet-lightning_64x48_coco.py --pool POOL

The samples come from the files of ``clip_pool.py``: every system sees the same ones in the same
order. Each (config, seed) is a run of its own under ``--out``: it resumes where it was stopped, and
several processes may share the list, since a run is held by a file lock while it is trained. A
finished run leaves its weights and ``result.json``; the table, and with ``--picture`` the learning
curves, are made of all finished runs there, and without a config of these alone.

What is measured is PCK of the torso (``torso_pck.py``) by one frame's heatmaps, without flip test,
with a 95 % interval over people. ``adaptation.py`` measures evidence of five frames.

``--load-from`` gives systems trained parts to start from, such as the super-resolution of
``train_sr.py``: what of the checkpoints fits by name and shape is taken. A system in which nothing
learns, such as a cascade before a frozen network, is evaluated alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import shlex
import sys
import time

import filelock
import numpy as np
import torch
from clip_pool import CONFIGS, PooledClips
from harness import current_commit, describe_machine, write_result
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner, save_checkpoint
from mmpose.registry import MODELS
from readme_results import setting_of
from torso_pck import LIMBS, THRESHOLDS, interval, pck

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.engine.config_options import read_config

TARGET = 'lspe-degraded', 'synthetic-degraded'
OPTIMISER = dict(type='AutocastOptimWrapper')  # trainings are in bfloat16


def predict(model: torch.nn.Module, samples: list[dict], batch: int = 16) -> list:
    """Return a model's predictions without a flip test, in float32."""
    was_training, test_cfg = model.training, model.test_cfg
    model.eval()
    model.test_cfg = {}  # a flip test would cost twice and blur the comparison of the networks
    found = []
    with torch.no_grad():
        for start in range(0, len(samples), batch):
            data = pseudo_collate(copy.deepcopy(samples[start : start + batch]))
            found += model.test_step(data)
    model.train(was_training)
    model.test_cfg = test_cfg
    return found


def evaluate(model: torch.nn.Module, samples: list[dict], groups: tuple[str, ...] = LIMBS) -> dict:
    """Return PCK of the torso at each threshold, and the interval of the first."""
    found = predict(model, samples)
    scores = {f'pck@{threshold}': pck(found, threshold, groups)['all'] for threshold in THRESHOLDS}
    return {**scores, 'interval': interval(found, THRESHOLDS[0], groups)}


def read_sets(pool: pathlib.Path, num_frames: int, scale: int = 4) -> dict[str, list[dict]]:
    """Return the pool's validation sets as a system of so many frames reads them."""
    sets = {}
    for path in sorted(pool.glob('val-*.pth')):
        clips = PooledClips(path, num_frames, scale)
        sets[path.stem.removeprefix('val-')] = [clips[i] for i in range(len(clips))]
    return sets


class LearningCurveHook(Hook):
    """Evaluate now and then, and append the metrics to ``curve.jsonl``.

    Args:
        path: The file; a resumed run goes on in it.
        sets: Name to the samples of a validation set.
        interval: Steps between evaluations.
        share: Evaluate on every ``share``-th sample.
    """

    priority = 'LOW'

    def __init__(
        self, path: pathlib.Path, sets: dict[str, list[dict]], interval: int, share: int
    ) -> None:
        self.path, self.sets, self.interval, self.share = path, sets, interval, share

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Write the step and its metrics, before the checkpoint of the same step is saved."""
        step = runner.iter + 1
        if step % self.interval:
            return
        model = runner.model
        point = {
            name: evaluate(model, samples[:: self.share]) for name, samples in self.sets.items()
        }
        with self.path.open('a') as curve:
            curve.write(json.dumps({'step': step, **point}) + '\n')


class StartFromHook(Hook):
    """Load trained parts into a fresh model; a resumed run has them in its own checkpoint.

    Args:
        paths: Checkpoints; a later one wins.
    """

    def __init__(self, paths: list[pathlib.Path]) -> None:
        self.paths = paths

    def before_train(self, runner: Runner) -> None:
        """Load, after the runner has initialised the weights."""
        for path in self.paths if runner.iter == 0 else ():
            runner.logger.info(f'{path}: {load_parts(runner.model, path)} tensors')


def load_parts(model: torch.nn.Module, path: pathlib.Path) -> int:
    """Load what fits of a checkpoint by name and shape, and return the number of tensors.

    Raises:
        ValueError: If nothing fits.
    """
    state = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['state_dict']
    own = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ValueError(f'{path}: none of its {len(state)} tensors fits {type(model).__name__}')
    model.load_state_dict(fitting, strict=False)
    return len(fitting)


def read_curve(path: pathlib.Path) -> list[dict]:
    """Read a learning curve; of a step that was validated twice (a resumed run) the last counts."""
    points = {}
    for line in path.read_text().splitlines():
        point = json.loads(line)
        points[point['step']] = point
    return [points[step] for step in sorted(points)]


def prepare(config: pathlib.Path, seed: int, work_dir: pathlib.Path, args) -> Config:
    """Give a config the common budget: samples, steps, batch, seed; evaluation is the hook's."""
    cfg = read_config(str(config), args.cfg_options)
    cfg.work_dir = str(work_dir)
    cfg.resume = True
    cfg.randomness = dict(seed=seed)
    cfg.optim_wrapper.update(OPTIMISER)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.steps)
    pooled = dict(type='PooledClips', path=str(args.pool / 'train.pth'), **clip_form(cfg))
    cfg.train_dataloader = dict(
        dataset=pooled,
        batch_size=args.batch,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True, seed=seed),
    )
    for loop in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{loop}_{part}'] = None
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
    cfg.default_hooks.pop('visualization', None)
    cfg.auto_scale_lr = None
    cfg.log_processor = dict(type='LogProcessor', by_epoch=False, window_size=50)
    return cfg


def name_of(config: pathlib.Path) -> str:
    """Name a config as it is named from the top of this checkout."""
    inside = config.is_absolute() and config.is_relative_to(CONFIGS.parent)
    return str(config.relative_to(CONFIGS.parent) if inside else config)


def own_command(config: pathlib.Path, seed: int, args: argparse.Namespace) -> str:
    """Say how one run is trained again, whatever list it was part of."""
    words = [
        'python',
        'benchmarks/accuracy.py',
        name_of(config),
        '--seeds',
        seed,
        '--pool',
        args.pool,
    ]
    for name in ('steps', 'batch', 'val_every', 'curve_share'):
        words += [f'--{name.replace("_", "-")}', getattr(args, name)]
    if args.load_from:
        words += ['--load-from', *args.load_from]
    if args.label:
        words += ['--label', args.label]
    if args.cfg_options:
        words += ['--cfg-options', *(f'{key}={value}' for key, value in args.cfg_options.items())]
    return shlex.join(map(str, words))


def clip_form(cfg: Config) -> dict:
    """Read from a config which clips it expects: frames, scale of the input, codec, joints."""
    dataset = cfg.train_dataloader.dataset
    steps = {step['type']: step for step in dataset.pipeline}
    return {
        'num_frames': steps['SampleClipFrames']['num_frames'],
        'scale': steps['GenerateLRClip']['scale'],
        'encoder': steps['GenerateTarget']['encoder'] if 'GenerateTarget' in steps else None,
        'coco': dataset.type == 'CocoDataset',
    }


def train_one(config: pathlib.Path, seed: int, work_dir: pathlib.Path, args) -> None:
    """Train one system, or go on with it, and write ``result.json`` at its end."""
    form = clip_form(read_config(str(config), args.cfg_options))
    cfg = prepare(config, seed, work_dir, args)
    with (work_dir / 'commits').open('a') as commits:  # a line for every start of the run
        commits.write(f'{current_commit()}\n')
    sets = read_sets(args.pool, form['num_frames'], form['scale'])
    start = time.time()
    model, curve = build(cfg, args.load_from), []
    if any(parameter.requires_grad for parameter in model.parameters()):
        runner = Runner.from_cfg(cfg)
        runner.register_hook(StartFromHook(args.load_from))
        curve = work_dir / 'curve.jsonl'
        runner.register_hook(LearningCurveHook(curve, sets, args.val_every, args.curve_share))
        runner.train()
        model, curve = runner.model, read_curve(curve)
    save_checkpoint({'state_dict': model.state_dict()}, str(work_dir / 'model.pth'))
    trained = time.time() - start
    result = {
        'system': args.label or config.stem,
        'config': name_of(config),
        'seed': seed,
        'steps': args.steps if curve else 0,
        'batch': args.batch,
        'learning_rate': cfg.optim_wrapper.optimizer.lr,
        'command': own_command(config, seed, args),
        'commits': sorted(set((work_dir / 'commits').read_text().splitlines())),
        'started_from': [path.name for path in args.load_from],
        'parameters': count(model),
        'wall_s_of_last_start': round(trained),
        'metrics': {name: evaluate(model, samples) for name, samples in sets.items()},
        'curve': curve,
        'machine': describe_machine(),
    }
    partial = work_dir / 'result.json.part'
    partial.write_text(json.dumps(result, indent=1) + '\n')
    partial.replace(work_dir / 'result.json')


def build(cfg: Config, parts: list[pathlib.Path]) -> torch.nn.Module:
    """Build a system with the trained parts that it is given."""
    init_default_scope('mmpose')
    model = MODELS.build(cfg.model)
    model.init_weights()
    for path in parts:
        load_parts(model, path)
    return model.to(memory_format=torch.channels_last)


def count(model: torch.nn.Module) -> dict[str, int]:
    """Count the parameters: of the whole, and of it without the pose network."""
    own = [p.numel() for name, p in model.named_parameters() if '.pose_net.' not in name]
    return {'all': sum(p.numel() for p in model.parameters()), 'front_end': sum(own)}


def value_of(point: dict, metric: str) -> float | None:
    """Look up ``set/metric``, such as ``lspe-clean/AP``, in a point of a curve."""
    name, _, metric = metric.partition('/')
    return point.get(name, {}).get(metric)


def table(results: list[dict], metrics: list[str]) -> str:
    """Lay the results out in Markdown: a row a system, mean +- standard deviation of its seeds."""
    head = ['system', 'seeds', 'steps x batch', 'learning rate', 'commit', *metrics]
    rows = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for system in dict.fromkeys(result['system'] for result in results):
        runs = [result for result in results if result['system'] == system]
        cells = []
        for metric in metrics:
            values = [value_of(run['metrics'], metric) for run in runs]
            values = [value for value in values if value is not None]
            if not values:
                cells.append('-')
            elif len(values) == 1:
                cells.append(f'{values[0]:.1f}')
            else:
                cells.append(f'{np.mean(values):.1f} +- {np.std(values, ddof=1):.1f}')
        budget = f'{runs[0]["steps"]} x {runs[0]["batch"]}'
        setting = [system, str(len(runs)), budget, *setting_of(runs)]
        rows.append('| ' + ' | '.join([*setting, *cells]) + ' |')
    return '\n'.join(rows)


def draw(results: list[dict], metrics: list[str], path: pathlib.Path) -> None:
    """Draw learning curves, one panel a metric, one line a run."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    size = (4.5 * len(metrics), 3.5)
    figure, axes = pyplot.subplots(1, len(metrics), figsize=size, layout='constrained')
    for axis, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        for result in results:
            points = [(p['step'], value_of(p, metric)) for p in result['curve']]
            steps, values = zip(*points, strict=True)
            baseline = result['system'].startswith('bicubic')
            style = {'color': 'black', 'linestyle': '--'} if baseline else {}
            axis.plot(steps, values, marker='o', markersize=3, label=result['system'], **style)
        axis.set(xlabel='training step', ylabel=metric)
        axis.grid(alpha=0.3)
    np.atleast_1d(axes)[0].legend(fontsize='small')
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', type=pathlib.Path, help='the systems to adapt')
    parser.add_argument('--pool', type=pathlib.Path, required=True, help='folder of clip_pool.py')
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('work_dirs/accuracy'))
    parser.add_argument('--name', default='accuracy', help='name of the file under results/')
    parser.add_argument('--label', help="the system's name in the table, if not the config's")
    parser.add_argument('--steps', type=int, default=1875, help='optimiser steps of every run')
    parser.add_argument('--batch', type=int, default=16, help='clips a step')
    parser.add_argument('--val-every', type=int, default=375, help='steps between evaluations')
    parser.add_argument(
        '--curve-share', type=int, default=4, help='evaluate every so manieth person but at the end'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument(
        '--load-from', nargs='*', default=[], type=pathlib.Path, help='checkpoints to start from'
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=[f'{name}/{metric}' for name in TARGET for metric in ('pck@0.2', 'pck@0.1')],
        help='columns of the table, as SET/METRIC',
    )
    parser.add_argument('--picture', type=pathlib.Path, help='draw the learning curves there')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='for every config')
    return parser.parse_args()


def main() -> None:
    """Train what is left of the list, then print and write the table."""
    args = parse_args()
    missing = [str(config) for config in args.configs if not config.is_file()]
    if missing:
        sys.exit(f'no such config: {", ".join(missing)}')
    if not (args.pool / 'train.pth').is_file():
        sys.exit(f'no {args.pool / "train.pth"}: make it by benchmarks/clip_pool.py')
    if args.steps % args.val_every:
        sys.exit(f'--steps {args.steps} must be a multiple of --val-every {args.val_every}')
    for seed in args.seeds:
        for config in args.configs:
            work_dir = args.out.resolve() / f'{args.label or config.stem}-seed{seed}'
            work_dir.mkdir(parents=True, exist_ok=True)
            try:
                with filelock.FileLock(work_dir / 'lock', timeout=0):
                    if not (work_dir / 'result.json').exists():
                        train_one(config, seed, work_dir, args)
            except filelock.Timeout:
                print(f'{work_dir.name}: another process trains it')
    results = [json.loads(path.read_text()) for path in sorted(args.out.glob('*/result.json'))]
    if not results:
        sys.exit('no finished run to tabulate')
    print(table(results, args.metrics))
    for result in results:
        print(result.get('command', f'{result["system"]}: its command was not recorded'))
    if args.picture:
        draw(results, args.metrics, args.picture)
    command = shlex.join(['python', *sys.argv])
    print(write_result(args.name, {'runs': results}, command))


if __name__ == '__main__':
    torch.multiprocessing.set_sharing_strategy('file_system')
    main()
