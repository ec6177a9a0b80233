"""Learning curves of the hand-offs beside the bicubic baseline's: one pool of samples for all.

    python benchmarks/learning_curves.py --data data/synthetic --steps 1500

The tiny model is trained from scratch with each hand-off, from the same weights of the pose network
and on the same samples in the same order: what differs is the hand-off. The samples are made once,
augmented, and kept in memory (0.3 MB each), so that on a small machine the time goes to the
networks. The systems take turns from one validation to the next, are saved there, and go on from
there when the command is given again. Writes ``benchmarks/results/learning_curves.json`` and a
picture.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import pathlib
import random
import shlex
import sys
import time

import numpy as np
import torch
from harness import write_result
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

import star_pose  # noqa: F401  (applies the cures and registers the components)

ROOT = pathlib.Path(__file__).parent.parent
SYSTEMS = ('bicubic', 'image', 'residual', 'feature')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data', required=True, help="data set in PoseTrack18's form")
    parser.add_argument('--config', default='configs/star_pose_tiny_64x48_posetrack.py')
    parser.add_argument('--systems', nargs='+', choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument('--steps', type=int, default=1500)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--pool', type=int, default=3000, help='training samples')
    parser.add_argument('--val', type=int, default=320, help='validation samples, spread evenly')
    parser.add_argument('--every', type=int, default=250, help='steps between validations')
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', default='work_dirs/learning_curves')
    parser.add_argument('--picture', default='docs/images/learning_curves.png')
    return parser.parse_args()


def model_config(config: Config, system: str) -> dict:
    """Turn the tiny config's model into one of the systems."""
    model = copy.deepcopy(config.model)
    if system != 'bicubic':
        model.head.handoff = system
        return model
    model.backbone = {'type': 'SRCascadeBackbone', 'sr': None, 'scale': config.scale}
    model.neck = None
    model.head.update(handoff='image', in_channels=3, sr_decoder=None, sr_loss=None)
    return model


def build_system(config: Config, system: str, seed: int) -> torch.nn.Module:
    """Build a system whose pose network starts with the baseline's weights."""
    torch.manual_seed(seed)
    model = MODELS.build(model_config(config, system))
    model.init_weights()
    if system != 'bicubic':
        baseline = build_system(config, 'bicubic', seed)
        model.head.pose_net.load_state_dict(baseline.head.pose_net.state_dict())
    return model


def make_samples(dataset: dict, data: str, num: int, seed: int, shuffled: bool) -> list[dict]:
    """Run the pipeline over ``num`` persons: drawn anew in each pass, or spread evenly."""
    for seeding in (random.seed, np.random.seed, torch.manual_seed):
        seeding(seed)
    dataset = DATASETS.build({**dataset, 'data_root': data})
    if shuffled:
        order = torch.cat([torch.randperm(len(dataset)) for _ in range(-(-num // len(dataset)))])
    else:
        order = torch.linspace(0, len(dataset) - 1, min(num, len(dataset))).long()
    return [dataset[int(index)] for index in order[:num]]


def validate(model: torch.nn.Module, samples: list[dict], batch: int) -> dict[str, float]:
    """Return PCKh at two thresholds."""
    evaluator = Evaluator([{'type': 'PoseTrackPCKh', 'thresholds': (0.5, 0.2)}])
    evaluator.dataset_meta = {}
    model.eval()
    model.test_cfg = {}  # a flip test would cost twice and blur the comparison of the networks
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        for start in range(0, len(samples), batch):
            data = pseudo_collate(copy.deepcopy(samples[start : start + batch]))
            evaluator.process(model.test_step(data), data)
    metrics = evaluator.evaluate(len(samples))
    names = ('pckh@0.5', 'pckh@0.2')
    return {name: round(float(metrics[f'posetrack/{name}']), 2) for name in names}


def learning_rate(step: int, args: argparse.Namespace) -> float:
    """Warm up over 100 steps, then follow a half cosine to a twentieth."""
    done = step / args.steps
    return args.lr * min(1, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def train(name: str, until: int, config: Config, pool: list[dict], val: list[dict], args) -> list:
    """Train one system up to a step, from where it was saved, and return its curve."""
    model = build_system(config, name, args.seed)
    model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=0.01)
    generator = torch.Generator().manual_seed(args.seed)
    order = torch.randperm(args.steps * args.batch, generator=generator) % len(pool)
    order = order.reshape(args.steps, args.batch)
    saved = pathlib.Path(args.work_dir) / f'{name}.pth'
    state = {'step': 0, 'curve': []}
    if saved.exists():
        state = torch.load(saved, map_location='cpu', weights_only=True)
        model.load_state_dict(state['model'])
        optimiser.load_state_dict(state['optimiser'])
    curve = state['curve']
    if state['step'] >= until:
        return curve
    start, logged = time.process_time(), []
    for step in range(state['step'], until):
        for group in optimiser.param_groups:
            group['lr'] = learning_rate(step, args)
        model.train()
        # The preprocessor makes new samples and leaves these alone.
        data = model.data_preprocessor(pseudo_collate([pool[i] for i in order[step]]), True)
        with torch.autocast('cpu', torch.bfloat16):
            loss, values = model.parse_losses(model(**data, mode='loss'))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        logged.append({key: float(value) for key, value in values.items()})
    means = {key: round(float(np.mean([row[key] for row in logged])), 5) for key in logged[0]}
    means['cpu_seconds_a_step'] = round((time.process_time() - start) / len(logged), 2)
    curve.append({'step': until, **validate(model, val, 2 * args.batch), **means})
    print(name, json.dumps(curve[-1]), flush=True)
    state = {
        'step': until,
        'curve': curve,
        'model': model.state_dict(),
        'optimiser': optimiser.state_dict(),
    }
    partial = saved.with_suffix('.part')
    torch.save(state, partial)
    partial.replace(saved)
    return curve


def draw(curves: dict[str, list[dict]], path: pathlib.Path) -> None:
    """Draw both thresholds, one line a system."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), constrained_layout=True)
    for axis, metric in zip(axes, ('pckh@0.5', 'pckh@0.2'), strict=True):
        for name, curve in curves.items():
            steps, values = zip(*((point['step'], point[metric]) for point in curve), strict=True)
            style = {'color': 'black', 'linestyle': '--'} if name == 'bicubic' else {}
            axis.plot(steps, values, marker='o', markersize=3, label=name, **style)
        axis.set(xlabel='training step', ylabel=metric.replace('pckh', 'PCKh'))
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Train every system and write the curves after each."""
    args = parse_args()
    init_default_scope('mmpose')
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    config = Config.fromfile(ROOT / args.config)
    pathlib.Path(args.work_dir).mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    pool = make_samples(config.train_dataloader.dataset, args.data, args.pool, args.seed, True)
    val = make_samples(config.val_dataloader.dataset, args.data, args.val, args.seed, False)
    print(f'{len(pool)} + {len(val)} samples in {time.perf_counter() - start:.0f} s', flush=True)
    folders = ('data', 'work_dir', 'picture')
    settings = {key: value for key, value in vars(args).items() if key not in folders}
    settings.update(data='synthetic videos', dtype='bfloat16', frames=config.num_frames)
    # The folders are this machine's; a reader has others.
    own = {args.data: 'data/synthetic', args.work_dir: 'work_dirs/learning_curves'}
    own[args.picture] = 'docs/images/learning_curves.png'
    command = shlex.join(['python', *(own.get(word, word) for word in sys.argv)])
    curves: dict[str, list[dict]] = {name: [] for name in args.systems}
    for until in [*range(args.every, args.steps, args.every), args.steps]:
        for name in args.systems:
            curves[name] = train(name, until, config, pool, val, args)
        write_result('learning_curves', {'settings': settings, 'curves': curves}, command)
        draw(curves, ROOT / args.picture)


if __name__ == '__main__':
    main()
