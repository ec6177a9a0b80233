"""What the shipped weights are worth: PCK of the torso at 64x48, beside bicubic and the crop.

    python benchmarks/adaptation.py thunder --pool work_dirs/pool --handball data/handball

The people are those of the validation files of ``clip_pool.py``, and the handball sequence of
``handball.py``; a clip is clean or degraded by blur, noise and H.264. MoveNet as published sees the
high-resolution crop, then the clip's middle frame enlarged; the shipped models see the clip. Both
decode one frame's heatmaps, or those of five frames. In float32, without a flip test.

``--weights`` measures another model, such as one whose network is frozen, or with ``--config`` a
cascade, and it alone.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import shlex
import sys

import harness  # noqa: F401  (before the package: it decides whose code runs)
import torch
from accuracy import evaluate, load_parts
from clip_pool import CONFIGS, DEGRADATION, NUM_FRAMES, SAMPLE_TYPES, middle_frames
from handball import load_samples
from harness import current_commit, write_result
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torso_pck import GROUPS, LIMBS

WINDOW = 5  # frames that a shipped model's front end sees at once
KINDS = ('clean', 'degraded')
WEIGHTS = CONFIGS.parent / 'projects' / 'star_pose' / 'weights'


def systems_of(
    network: str, adapted: str, config: pathlib.Path | None = None
) -> dict[str, tuple[pathlib.Path, int, bool]]:
    """Name to config, frames that it reads (0: the crop), and whether it is the adapted model."""
    title = f'MoveNet {network.title()}'
    bicubic = CONFIGS / f'baselines/bicubic_movenet-{network}_64x48_coco.py'
    config = config or CONFIGS / f'adapt/movenet-{network}_64x48_coco.py'
    return {
        f'{title} on the 256x192 crop': (bicubic, 0, False),
        f'bicubic, {title}, one frame': (bicubic, 1, False),
        f'bicubic, {title}': (bicubic, NUM_FRAMES, False),
        f'{adapted}, one frame': (config, WINDOW, True),
        adapted: (config, NUM_FRAMES, True),
    }


def build(config: pathlib.Path, num_frames: int, weights: pathlib.Path | None) -> torch.nn.Module:
    """Build a system, with the weights, or with the network's own where there are none."""
    model_config = Config.fromfile(config).model
    if num_frames == 0:
        model_config.backbone.scale = model_config.head.scale = 1
    if num_frames > WINDOW:  # as in the config of evidence
        model_config.data_preprocessor.window = WINDOW
        model_config.head.evidence_fusion = dict(
            type='EvidenceFusion', num_frames=num_frames - WINDOW + 1
        )
    model = MODELS.build(model_config)
    if weights is None:
        model.init_weights()
    else:
        load_parts(model, weights)
    return model.to(memory_format=torch.channels_last)


def shown(samples: list[dict], num_frames: int) -> list[dict]:
    """Show a system what it reads of the samples: the crop itself, or their middle frames."""
    if num_frames == 0:
        return [middle_frames(sample, 1, scale=1) for sample in samples]
    return [middle_frames(sample, num_frames) for sample in samples]


def read_samples(args: argparse.Namespace) -> dict[str, list[dict]]:
    """Return the samples of every set and kind that is asked for, as ``'lspe clean'``."""
    samples = {}
    for name in ('lspe', 'synthetic') if args.pool else ():
        for kind in KINDS:
            with torch.serialization.safe_globals(SAMPLE_TYPES):
                path = args.pool / f'val-{name}-{kind}.pth'
                samples[f'{name} {kind}'] = torch.load(path, weights_only=True)
    for kind, degradation in zip(KINDS, ({}, DEGRADATION), strict=True):
        if args.handball:
            samples[f'handball {kind}'] = load_samples(args.handball, NUM_FRAMES, **degradation)
    return samples


def main() -> None:
    """Measure every system on every set, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('network', choices=('lightning', 'thunder'))
    parser.add_argument('--pool', type=pathlib.Path, help='folder of clip_pool.py')
    parser.add_argument('--handball', help='folder of the handball sequence')
    parser.add_argument('--weights', type=pathlib.Path, help='of another model')
    parser.add_argument('--config', type=pathlib.Path, help="that model's (configs/adapt/..._coco)")
    parser.add_argument('--title', help='how the tables call that model')
    parser.add_argument('--name', help='of the file under results/')
    args = parser.parse_args()
    init_default_scope('mmpose')
    sets = read_samples(args)
    if not sets:
        parser.error('give at least one of --pool and --handball')
    adapted = f'star_pose_movenet-{args.network}'
    weights = args.weights or WEIGHTS / f'{adapted}_64x48.pth'
    systems, scores = systems_of(args.network, args.title or adapted, args.config), {}
    for system, (config, num_frames, is_adapted) in systems.items():
        if args.weights and not is_adapted:
            continue  # stands beside the shipped model
        model = build(config, num_frames, weights if is_adapted else None)
        for name, samples in sets.items():
            if num_frames == 0 and name.endswith('degraded'):
                continue  # what is degraded is the small clip
            groups = tuple(GROUPS) if name.startswith('handball') else LIMBS
            found = evaluate(model, shown(samples, num_frames), groups)
            scores.setdefault(system, {})[name] = found
            print(system, name, found, flush=True)
    result = {
        'commit': current_commit(),
        'sha256': hashlib.sha256(weights.read_bytes()).hexdigest(),
        'people': {name: len(samples) for name, samples in sets.items()},
        'pck_torso': scores,
    }
    command = shlex.join(['python', *sys.argv])
    print(write_result(args.name or f'adaptation_{args.network}', result, command))


if __name__ == '__main__':
    main()
