"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``, or ``mim test star_pose``."""

import argparse

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import mmengine
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from star_pose.checkpoint import read_checkpoint
from star_pose.engine import command_line
from star_pose.engine.outputs import check_output, check_output_folder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint on the test split.')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', help='write the metrics to this json file')
    parser.add_argument('--dump', help='write all predictions to this pkl file')
    command_line.add_common_arguments(parser)
    args = parser.parse_args()
    if args.dump and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump must name a .pkl file, got {args.dump}')
    return args


def main() -> None:
    """Evaluate."""
    args = parse_args()
    with command_line.readable_errors():
        cfg = command_line.load_config(args)
        cfg.load_from = args.checkpoint
        for path in filter(None, (args.out, args.dump)):
            check_output(path, (args.config, args.checkpoint))
        if args.dump:
            evaluator = cfg.test_evaluator
            evaluators = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
            cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
        read_checkpoint(args.checkpoint)  # now, not after the data set is read
        command_line.check_data(cfg, ('test',))
        check_output_folder(cfg.work_dir)
        with command_line.building(args.config):
            runner = Runner.from_cfg(cfg)
            _ = runner.test_loop  # builds the data set
        metrics = runner.test()
        if args.out and is_main_process():
            mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
