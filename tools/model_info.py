"""Print the parameters and multiply-accumulates of each part of a config's model.

python tools/model_info.py configs/star_pose_64x48_posetrack.py
python tools/model_info.py CONFIG --frames 9 --size 96 128
"""

from __future__ import annotations

import argparse

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from mmpose.registry import MODELS

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.apis.model_info import count_parts, input_shape
from star_pose.engine import command_line
from star_pose.engine.command_line import at_least
from star_pose.engine.config_options import ConfigError, read_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a config')
    parser.add_argument(
        '--frames',
        type=at_least(1),
        help='frames of a clip (default: as in the config)',
    )
    parser.add_argument(
        '--size',
        type=at_least(1),
        nargs=2,
        metavar=('W', 'H'),
        help='of a frame (default: as configured)',
    )
    command_line.add_config_options(parser)
    return parser.parse_args()


def main() -> None:
    """Build the model and print a row for each part."""
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    if args.size:
        cfg.codec = dict(input_size=args.size)
        cfg.scale = 1
    with command_line.building(args.config):
        shape = input_shape(cfg, args.frames)
        model = MODELS.build(cfg.model)
    print(f'input {" x ".join(map(str, shape))}')
    try:
        rows = count_parts(model, shape)
    except RuntimeError as error:
        raise ConfigError(f'{args.config} takes no input of the shape {shape}: {error}') from error
    width = max(len(row.name) for row in rows)
    print(f'{"part":{width}} {"parameters":>12} {"MMAC":>10} {"share":>6}')
    for row in rows:
        cost, share = '-', ''
        if row.macs is not None:
            cost, share = f'{row.macs / 1e6:.1f}', f'{row.macs / rows[0].macs:.1%}'
        print(f'{row.name:{width}} {row.parameters:>12,} {cost:>10} {share:>6}')


if __name__ == '__main__':
    with command_line.readable_errors():
        main()
