"""What tools/train.py and tools/test.py share: arguments to config, checks, readable errors."""

import argparse
import contextlib
import os
import os.path as osp
import sys
from collections.abc import Iterator

import mmengine
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmpose.registry import DATASETS

from ..checkpoint import CheckpointError
from ..datasets.base_clip_dataset import BaseClipDataset
from ..datasets.errors import DataError, DataNotFoundError

__all__ = [
    'SaveMetricsHook',
    'add_common_arguments',
    'apply_common_arguments',
    'check_data',
    'load_config',
    'merge_options',
    'readable_errors',
    'use_mixed_precision',
]


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """End the program with the text alone where the user's data is at fault.

    Such an error says what was looked for and how to go on; a stack of frames would hide it. Every
    other error keeps its traceback.

    Raises:
        SystemExit: With code 1, for a ``DataError`` or a ``CheckpointError``.
    """
    try:
        yield
    except (DataError, CheckpointError) as error:
        if int(os.environ.get('RANK', 0)) == 0:
            print(f'\n{error}', file=sys.stderr, flush=True)
        sys.exit(1)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share, named as in MMPose.

    Args:
        parser: Gets the arguments.
    """
    parser.add_argument('--work-dir', help='folder of logs and results (default: work_dirs/CONFIG)')
    parser.add_argument(
        '--show-dir', help='folder for pictures of the predictions (LR, SR, truth, prediction)'
    )
    parser.add_argument('--show', action='store_true', help='show the pictures in a window')
    parser.add_argument('--interval', type=int, default=1, help='draw every n-th sample')
    parser.add_argument('--wait-time', type=float, default=1, help='seconds a window is shown')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started',
    )
    # torch.distributed.launch passes either spelling, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    # The last one: it takes every value up to the next option.
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings of the config to override, e.g. data_root=DIR train_cfg.max_epochs=1',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that a command line names and write its arguments into it.

    Args:
        args: What a parser with ``config`` and :func:`add_common_arguments` gave.

    Returns:
        The config.

    Raises:
        DataNotFoundError: There is no such file.
    """
    if not osp.isfile(args.config):
        raise DataNotFoundError.describe(
            'config', args.config, remedies=('the recipes are in configs/',)
        )
    cfg = Config.fromfile(args.config)
    apply_common_arguments(cfg, args)
    return cfg


def apply_common_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Write the shared arguments into a config.

    Args:
        cfg: Is modified.
        args: What a parser with :func:`add_common_arguments` gave.

    Raises:
        ValueError: Pictures are asked for and the config has no visualization hook.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    cfg.setdefault('default_hooks', {})['checkpoint_fit'] = dict(type='CheckpointFitHook')
    name = osp.splitext(osp.basename(args.config))[0]
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', name)
    if args.show or args.show_dir:
        if 'visualization' not in cfg.get('default_hooks', {}):
            raise ValueError(
                f'{args.config} has no default_hooks.visualization; --show and --show-dir need one'
            )
        cfg.default_hooks.visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
        if cfg.get('model', {}).get('head', {}).get('sr_decoder'):
            cfg.model.setdefault('test_cfg', {}).update(output_sr=True)  # drawn too
    merge_options(cfg, args.cfg_options)


def merge_options(cfg: Config, options: dict) -> None:
    """Merge ``--cfg-options``; ``data_root`` alone reaches every data set that had the same root.

    A config's top-level ``data_root`` is copied into its data sets while it is parsed, so that
    overriding it afterwards would change nothing.

    Args:
        cfg: Is modified.
        options: From the dotted name of an option to its value.
    """
    options = dict(options)
    if 'data_root' in options and 'data_root' in cfg:
        _replace_root(cfg._cfg_dict, cfg.data_root, options['data_root'])
    cfg.merge_from_dict(options)


def _replace_root(node, old: str, new: str) -> None:
    """Replace a data root in all data sets, and at the head of paths below it."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            _replace_root(value, old, new)
        elif isinstance(value, str) and key in ('data_root', 'ann_file', 'bbox_file'):
            if value == old:
                node[key] = new
            elif old and value.startswith(osp.join(old, '')):
                node[key] = osp.join(new, value[len(osp.join(old, '')) :])


def use_mixed_precision(cfg: Config) -> None:
    """Set what ``--amp`` means here: bfloat16 on a CPU, MMEngine's own AMP on an accelerator.

    Args:
        cfg: Its ``optim_wrapper`` is modified.

    Raises:
        ValueError: The config's optimizer wrapper is of another kind.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind == 'AutocastOptimWrapper':
        return  # mixed precision on any device already
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp does not know how to change optim_wrapper.type={kind!r}')
    if get_device() == 'cpu':
        wrapper.type = 'AutocastOptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def check_data(cfg: Config, splits: tuple[str, ...]) -> None:
    """Look for the label files before the model is built, so that their absence is said at once.

    Args:
        cfg: The config to run.
        splits: Which data loaders the run will use: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        DataNotFoundError: What was looked for, where, and how to go on.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            for dataset in _datasets_in(loader.dataset):
                _check_labels(dataset, f'{split}_dataloader')


def _datasets_in(dataset: dict) -> Iterator[dict]:
    """A data set's config, or those that it combines, repeats or concatenates."""
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else None)
    if inner is None:
        yield dataset
    else:
        for one in inner:
            yield from _datasets_in(one)


def _check_labels(dataset: dict, where: str) -> None:
    ann_file = dataset.get('ann_file')
    if not ann_file or '://' in ann_file:
        return  # nothing to look for, or not on this machine's disk
    root = dataset.get('data_root') or ''
    path = ann_file if osp.isabs(ann_file) else osp.join(root, ann_file)
    if osp.exists(path):
        return
    kind = DATASETS.get(dataset.type)
    if isinstance(kind, type) and issubclass(kind, BaseClipDataset):
        # It says itself which layout it expects, and stops before anything else is read.
        DATASETS.build(dict(dataset, pipeline=[], lazy_init=False))
    raise DataNotFoundError.describe(f'{where}: {dataset.type}: annotation file', path)


class SaveMetricsHook(Hook):
    """Write the metrics of a test into a file.

    Args:
        path: A json, yaml or pickle file.
    """

    priority = 'LOWEST'

    def __init__(self, path: str) -> None:
        self.path = path

    def after_test_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Write the metrics.

        Args:
            runner: Not used.
            metrics: From the name of a metric to its value.
        """
        if metrics:
            mmengine.dump(metrics, self.path)
