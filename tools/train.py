"""Train a model: ``python tools/train.py CONFIG``, or through ``mim train star_pose CONFIG``."""

import argparse
import os.path as osp

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from mmengine.runner import find_latest_checkpoint

from star_pose.checkpoint import read_checkpoint
from star_pose.engine import command_line
from star_pose.engine.outputs import check_output_folder
from star_pose.engine.training_runner import TrainingRunner


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model that a config describes.')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint; without a path, from the latest one in the work folder',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: bfloat16 on a CPU, else AMP'
    )
    parser.add_argument('--no-validate', action='store_true', help='train without evaluation')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the real batch size over auto_scale_lr.base_batch_size',
    )
    command_line.add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train."""
    args = parse_args()
    with command_line.readable_errors():
        cfg = command_line.load_config(args)
        if args.amp:
            command_line.use_mixed_precision(cfg)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if args.auto_scale_lr:
            cfg.setdefault('auto_scale_lr', {}).update(enable=True)
        if args.resume:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        checkpoint = cfg.get('load_from')
        if cfg.get('resume') and checkpoint is None and osp.isdir(cfg.work_dir):
            checkpoint = find_latest_checkpoint(cfg.work_dir)
        if checkpoint:
            read_checkpoint(checkpoint)  # now, not after the data sets are read
        command_line.check_data(cfg, ('train', 'val'))
        check_output_folder(cfg.work_dir)
        with command_line.building(args.config):
            runner = TrainingRunner.from_cfg(cfg)
            _ = runner.train_loop, runner.val_loop  # builds the data sets
            runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.train()


if __name__ == '__main__':
    main()
