"""UpscalerJS's published ESRGAN, turned into weights of a cascade's ResidualDenseNet."""

from __future__ import annotations

import os.path as osp
import re

import torch

from ..datasets.errors import DataNotFoundError, LabelError
from ..models import ResidualDenseNet
from .tfjs_graph import read_tfjs_weights

__all__ = ['LAYOUT', 'PACKAGES', 'convert_esrgan']

PACKAGES = ('@upscalerjs/esrgan-medium@1.0.0', '@upscalerjs/esrgan-slim@1.0.0')
LAYOUT = """
PACKAGE_FOLDER/ (what npm packs, unpacked)
  models/x4/model.json, group1-shard1of1.bin
"""
_LAYERS = {
    'F_m1': 'shallow.0',
    'F_0': 'shallow.1',
    'GFF_1': 'join.0',
    'GFF_2': 'join.1',
    'UPN1': 'upsample.0',
    'UPN2': 'upsample.2',
    'UPN3': 'upsample.4',
    'SR': 'upsample.6',
}


def convert_esrgan(folder: str) -> dict:
    """Read the network of scale 4 from one of the npm packages' own files.

    Args:
        folder: The unpacked package ``@upscalerjs/esrgan-medium`` or ``-slim``.

    Returns:
        dict: A checkpoint for ``SRCascadeBackbone(sr=..., checkpoint=...)``: ``state_dict``, and in
        ``meta`` the network's definition ``sr``. Plain torch loads it restricted to weights.

    Raises:
        DataNotFoundError: If a file is missing.
        LabelError: If a tensor is missing, has another shape, or is not known; the text names the
            file and the tensor.
    """
    path = osp.join(folder, 'models', 'x4', 'model.json')
    if not osp.isfile(path):
        remedy = f'npm pack {PACKAGES[0]}, unpack it, and give the folder "package"'
        raise DataNotFoundError.describe('ESRGAN x4', path, LAYOUT, (remedy,))
    stored = read_tfjs_weights(path)
    blocks = [name for name in stored if re.fullmatch(r'LFF_\d+/kernel', name)]
    first = stored.get('F_1_1/kernel')
    if not blocks or first is None:
        raise LabelError(
            f'{path}: tensors LFF_1/kernel and F_1_1/kernel are missing; expected is the file of '
            f'{" or ".join(PACKAGES)}'
        )
    sizes = dict(num_blocks=len(blocks), growth_channels=first.shape[-1])
    layers = dict(_LAYERS)
    for index in range(len(blocks)):
        layers[f'F_{index + 1}_1'] = f'blocks.{index}.conv'
        layers[f'LFF_{index + 1}'] = f'blocks.{index}.fuse'
    state = {}
    for layer, module in layers.items():
        for kind, name in (('kernel', f'{module}.weight'), ('bias', f'{module}.bias')):
            if f'{layer}/{kind}' not in stored:
                raise LabelError(f'{path}: tensor {layer}/{kind} is missing; it becomes {name}')
            value = torch.from_numpy(stored.pop(f'{layer}/{kind}').copy())
            # (k, k, in, out) -> (out, in, k, k)
            state[name] = value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
    if stored:
        raise LabelError(
            f'{path}: tensor {next(iter(stored))} is not part of the network ({len(stored)} are '
            f'not); expected is the file of {" or ".join(PACKAGES)}'
        )
    for name, wanted in ResidualDenseNet(**sizes).state_dict().items():
        if state[name].shape != wanted.shape or not state[name].isfinite().all():
            raise LabelError(
                f'{path}: the tensor that becomes {name} has the shape {tuple(state[name].shape)} '
                f'where {tuple(wanted.shape)} is due, or values that are not finite; expected is '
                f'the file of {" or ".join(PACKAGES)}'
            )
    return {'meta': {'sr': {'type': 'ResidualDenseNet', **sizes}}, 'state_dict': state}
