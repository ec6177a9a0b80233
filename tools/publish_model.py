"""Make a training's checkpoint ready to ship: weights alone, in half precision, with their SHA-256.

    python tools/publish_model.py CHECKPOINT small_people.pth --config CONFIG
    python tools/publish_model.py CHECKPOINT small_people.pth --config CONFIG --average-with BEFORE

With ``--average-with`` the mean of several checkpoints is published: halfway between a model and
what labels made of it, most of the gain is there and less is forgotten (Wortsman et al., "Robust
fine-tuning of zero-shot models", arXiv 2109.01903).

Statistics of batch norms stay in float32: their squares leave the range of float16.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import numpy as np
import torch
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS

import star_pose
from star_pose.checkpoint import CheckpointError, check_fit, read_checkpoint, select_weights
from star_pose.engine import command_line
from star_pose.engine.config_options import read_config
from star_pose.engine.outputs import check_output, whole_file

FUSION = 'head.evidence_fusion.'  # starts as the plain average, which is what a model goes on with
JOINTS = '.neck_and_head_top.'  # kept beside COCO's joints, whose model does not read them


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='what the training saved')
    parser.add_argument('out', type=pathlib.Path, help='file to write')
    parser.add_argument('--config', required=True, help="the model's config, to check against")
    parser.add_argument(
        '--average-with',
        nargs='+',
        default=[],
        metavar='CHECKPOINT',
        help='checkpoints of the same model: the mean of all weights is published',
    )
    return parser.parse_args()


def shipped(weights: dict[str, torch.Tensor], names: list[str]) -> dict[str, torch.Tensor]:
    """Select the model's own tensors and halve them.

    Raises:
        CheckpointError: If a value is not finite in half precision.
    """
    halved = {}
    for name in names:
        value = weights[name]
        if value.is_floating_point() and 'running_' not in name:
            value = value.half()
        if not value.isfinite().all():
            raise CheckpointError(f'{name}: some values are not finite in {value.dtype}')
        halved[name] = value.clone()
    return halved


def read_weights(path: str, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Read a checkpoint that fits the model; an evidence fusion that it lacks is a plain average.

    Raises:
        CheckpointError: If it does not fit.
    """
    weights = select_weights(read_checkpoint(path), model, path)
    check_fit(model, weights, path)
    own = model.state_dict()
    untrained = {name: own[name] for name in own if name.startswith(FUSION)}
    kept = {name: value for name, value in weights.items() if name in own or JOINTS in name}
    return {**untrained, **kept}


def average(weights: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Average models tensor by tensor; counters are those of the first.

    Raises:
        CheckpointError: If one holds tensors that another has not.
    """
    first, *others = weights
    for other in others:
        if odd := sorted(first.keys() ^ other.keys()):
            raise CheckpointError(f'not every checkpoint to average has {", ".join(odd[:5])}')
    return {
        name: torch.stack([one[name].float() for one in weights]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def plain_values(meta: dict) -> dict:
    """Turn arrays into lists: torch reads a file restricted to weights only without them."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in meta.items()
    }


def main() -> None:
    """Write the file and print its size and hash."""
    args = parse_args()
    checkpoints = [args.checkpoint, *args.average_with]
    check_output(args.out, (*checkpoints, args.config))
    config = read_config(args.config)
    with command_line.building(args.config):
        model = MODELS.build(config.model)
    weights = average([read_weights(path, model) for path in checkpoints])
    own = [name for name in model.state_dict() if name in weights]
    weights = shipped(weights, [*own, *sorted(weights.keys() - set(own))])
    dataset = DATASETS.get(config.test_dataloader.dataset.type)
    meta = {
        'config': pathlib.Path(args.config).name,
        'star_pose_version': star_pose.__version__,
        'dataset_meta': plain_values(parse_pose_metainfo(dataset.METAINFO)),
    }
    with whole_file(args.out, 'wb') as file:
        torch.save({'state_dict': weights, 'meta': meta}, file)
    data = args.out.read_bytes()
    print(f'{args.out}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}')


if __name__ == '__main__':
    with command_line.readable_errors():
        main()
