"""What the tools share: their arguments, checks before a run, readable errors."""

import argparse
import contextlib
import os
import os.path as osp
import sys
import traceback
from collections.abc import Callable, Iterator

from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from ..checkpoint import CheckpointError
from ..datasets.base_clip_dataset import BaseClipDataset
from ..datasets.errors import DataError, DataNotFoundError
from ..datasets.skipping_dataset import nested_datasets
from .config_options import ConfigError, read_config

__all__ = [
    'NamedValues',
    'add_common_arguments',
    'add_config_options',
    'apply_common_arguments',
    'at_least',
    'building',
    'check_data',
    'load_config',
    'readable_errors',
    'use_mixed_precision',
]


# What a wrong value of a config leads to while its parts are built.
_WRONG_VALUES = (
    AssertionError, AttributeError, FileNotFoundError, ImportError, LookupError, TypeError,
    ValueError,
)  # fmt: skip


class NamedValues(DictAction):
    """MMEngine's action for arguments NAME=VALUE; others end as a wrong command line does."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if not value.partition('=')[1]:
                parser.error(f'{option_string} {value}: give NAME=VALUE')
        super().__call__(parser, namespace, values, option_string)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """End the program with the text alone where the user's data is at fault.

    Such an error says what was looked for and how to go on; a stack of frames would hide it. Every
    other error keeps its traceback.

    Raises:
        SystemExit: With code 1, for a ``CheckpointError``, ``ConfigError`` or ``DataError``.
    """
    try:
        yield
    except (CheckpointError, ConfigError, DataError) as error:
        if int(os.environ.get('RANK', 0)) == 0:
            print(f'\n{error}', file=sys.stderr, flush=True)
        sys.exit(1)


def at_least(lowest: int) -> Callable[[str], int]:
    """Return the ``type`` of an argument that is a whole number of at least ``lowest``."""

    def number(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f'must be at least {lowest}, got {value}')
        return value

    return number


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
    parser.add_argument('--interval', type=at_least(1), default=1, help='draw every n-th sample')
    parser.add_argument('--wait-time', type=float, default=1, help='seconds a window is shown')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started',
    )
    # torch.distributed.launch passes either spelling, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    add_config_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, for :func:`star_pose.engine.config_options.read_config`.

    Args:
        parser: Gets the argument; the last one, because it takes every value up to the next option.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=NamedValues,
        default={},
        metavar='NAME=VALUE',
        help='changes of the config: variables of its text (data_root=DIR num_frames=3) or entries '
        '(train_cfg.max_epochs=1)',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that a command line names and write its arguments into it.

    Args:
        args: What a parser with ``config`` and :func:`add_common_arguments` gave.

    Returns:
        The config.

    Raises:
        ConfigError: It cannot be read, has no model, or a change of it has no effect.
    """
    cfg = read_config(args.config, args.cfg_options)
    if 'model' not in cfg:
        raise ConfigError(f'{args.config} has no `model`; the recipes are in configs/')
    apply_common_arguments(cfg, args)
    return cfg


def apply_common_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Write the shared arguments into a config.

    Args:
        cfg: Is modified.
        args: What a parser with :func:`add_common_arguments` gave.

    Raises:
        ConfigError: Pictures are asked for and the config has no visualization hook.
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
            raise ConfigError(
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


def use_mixed_precision(cfg: Config) -> None:
    """Set what ``--amp`` means here: bfloat16 on a CPU, MMEngine's own AMP on an accelerator.

    Args:
        cfg: Its ``optim_wrapper`` is modified.

    Raises:
        ConfigError: The config's optimizer wrapper is of another kind.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind == 'AutocastOptimWrapper':
        return  # mixed precision on any device already
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f'--amp does not know how to change optim_wrapper.type={kind!r}')
    if get_device() == 'cpu':
        wrapper.type = 'AutocastOptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def check_data(cfg: Config, splits: tuple[str, ...]) -> None:
    """Check the data loaders before the model is built, so that a fault is said at once.

    Args:
        cfg: The config to run.
        splits: Which data loaders the run will use: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        ConfigError: The training has no length, a loader keeps workers that it has not, or a data
            set has another number of keypoints than the model.
        DataNotFoundError: What was looked for, where, and how to go on.
    """
    for name in ('max_epochs', 'max_iters') if 'train' in splits else ():
        length = (cfg.get('train_cfg') or {}).get(name, 1)
        if not isinstance(length, int) or length < 1:
            raise ConfigError(
                f'{cfg.filename}: train_cfg.{name}={length!r} trains nothing; give at least 1'
            )
    for split in splits:
        loader, where = cfg.get(f'{split}_dataloader'), f'{split}_dataloader'
        if loader is None:
            continue
        if loader.get('persistent_workers') and not loader.get('num_workers', 0):
            raise ConfigError(
                f'{cfg.filename}: {where}: persistent_workers=True, but num_workers=0 leaves '
                f'nothing to keep; set {where}.persistent_workers=False too'
            )
        for dataset in nested_datasets(loader.dataset):
            _check_labels(dataset, where)
        _check_keypoints(cfg, loader.dataset, where)


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


def _check_keypoints(cfg: Config, dataset: dict, where: str) -> None:
    """Compare the number of keypoints of the innermost head with a data set's."""
    head = cfg.get('model', {}).get('head') or {}
    head = (head.get('pose_net') or {}).get('head') or head.get('head') or head
    wanted = head.get('out_channels', head.get('num_joints'))
    while 'metainfo' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    metainfo = dataset.get('metainfo') or getattr(DATASETS.get(dataset.type), 'METAINFO', None)
    if not isinstance(wanted, int) or not metainfo:
        return
    number = parse_pose_metainfo(metainfo)['num_keypoints']
    for step in dataset.get('pipeline') or ():
        if step.get('type') == 'KeypointConverter':
            number = step['num_keypoints']
    if number != wanted:
        raise ConfigError(
            f'{cfg.filename}: the model has {wanted} keypoints (out_channels of {head.type}), but '
            f'{where}: {dataset.type} has {number}; make them equal, or convert the labels by a '
            'KeypointConverter in the pipeline'
        )


@contextlib.contextmanager
def building(path: str) -> Iterator[None]:
    """Name the config where what it describes cannot be built.

    Args:
        path: The config's.

    Raises:
        ConfigError: Instead of any error that a wrong value of the config causes.
    """
    try:
        yield
    except (CheckpointError, ConfigError, DataError):
        raise
    except _WRONG_VALUES as e:
        place = traceback.extract_tb(e.__traceback__)[-1]
        raise ConfigError(
            f'{path} cannot be built: {type(e).__name__}: {e} '
            f'({osp.basename(place.filename)}, line {place.lineno})'
        ) from e
