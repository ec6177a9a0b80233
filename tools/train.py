"""Train a model: ``python tools/train.py CONFIG``, or through ``mim train star_pose CONFIG``."""

import argparse

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from mmengine.runner import Runner

from star_pose.checkpoint import read_checkpoint
from star_pose.engine import entry_point


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
    entry_point.add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train."""
    args = parse_args()
    with entry_point.readable_errors():
        cfg = entry_point.load_config(args)
        if args.amp:
            entry_point.use_mixed_precision(cfg)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if args.auto_scale_lr:
            cfg.setdefault('auto_scale_lr', {}).update(enable=True)
        if args.resume:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        if cfg.get('load_from'):
            read_checkpoint(cfg.load_from)  # now, not after the data sets are read
        entry_point.check_data(cfg, ('train', 'val'))
        Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
