"""Write what a model really gets as pictures: one PNG a sample.

Each shows the low-resolution clip, the joints on its target frame, the high-resolution target with
pixels outside the frame tinted, and the heatmaps, all at one place. The pipeline is the config's
own, with its augmentation, drawn anew for every picture: --repeat draws a sample several times.
"""

import argparse
import pathlib
import sys

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import mmcv
import numpy as np
from mmpose.registry import DATASETS

from star_pose.engine import command_line
from star_pose.engine.command_line import at_least
from star_pose.engine.config_options import ConfigError, read_config
from star_pose.engine.outputs import check_output_folder
from star_pose.visualization.canvas import stack_columns
from star_pose.visualization.sample_sheet import draw_sample


def main() -> int:
    """Parse the arguments, build the data set, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument(
        '--samples', type=at_least(1), default=8, help='number of samples (default 8)'
    )
    parser.add_argument(
        '--first',
        type=at_least(0),
        help='take samples from here on, not spread over all',
    )
    parser.add_argument(
        '--repeat',
        type=at_least(1),
        default=1,
        help='draws of each sample (default 1)',
    )
    parser.add_argument('--seed', type=at_least(0), default=0, help='same seed, same pictures')
    command_line.add_config_options(parser)
    args = parser.parse_args()

    cfg = read_config(args.config, args.cfg_options)
    with command_line.building(args.config):
        dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    number = min(args.samples, len(dataset))
    if (args.first or 0) >= len(dataset):
        raise ConfigError(
            f'--first {args.first}: the {args.split} split has {len(dataset)} samples'
        )
    check_output_folder(args.out)
    if args.first is None:
        indices = np.linspace(0, len(dataset) - 1, number).round().astype(int)
    else:
        indices = range(args.first, min(args.first + number, len(dataset)))
    np.random.seed(args.seed)  # noqa: NPY002  (the pipeline draws from numpy's global generator)
    for index in indices:
        rows = []
        for _ in range(args.repeat):
            packed = dataset[int(index)]
            rows.append(draw_sample(packed['inputs'], packed['data_samples'], dataset.metainfo))
        path = pathlib.Path(args.out) / f'{args.split}_{int(index):06d}.png'
        mmcv.imwrite(stack_columns(rows)[..., ::-1], str(path))  # RGB -> BGR; makes the folder
        print(path)
    return 0


if __name__ == '__main__':
    with command_line.readable_errors():
        sys.exit(main())
