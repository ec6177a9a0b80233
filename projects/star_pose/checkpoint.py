"""Load a checkpoint into a model, or say why it does not fit.

MMEngine loads whatever weights happen to have the right names and logs the rest, so that a
checkpoint of another model ends in the poses of a random network. Everything of this package that
reads weights goes through this module.
"""

from __future__ import annotations

import itertools
import logging
import pathlib
from collections.abc import Iterable, Mapping

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

__all__ = [
    'CheckpointError',
    'check_fit',
    'load_weights',
    'made_for',
    'read_checkpoint',
    'select_weights',
]

# Where training programs keep the weights among other things.
_CONTAINERS = ('state_dict', 'model_state_dict', 'model')
# What wrappers put before the names: DistributedDataParallel, and trainers that hold the model.
_WRAPPERS = ('module.', 'model.')
_COMPILED = '_orig_mod.'  # torch.compile's, anywhere in a name
_NAMED = 5


@CheckpointLoader.register_scheme(prefixes='star_pose://', force=True)
def load_from_package(filename: str, map_location: str | None) -> dict:
    """Read a file of the package's own weights, such as ``star_pose://movenet-lightning.pth``.

    Raises:
        FileNotFoundError: If there is none of this name.
    """
    folder = pathlib.Path(__file__).with_name('weights')
    path = folder / filename.removeprefix('star_pose://')
    if not path.is_file():
        names = ', '.join(sorted(file.name for file in folder.glob('*.pth')))
        raise FileNotFoundError(f'{filename}: the package has no such weights; it has {names}')
    return torch.load(path, map_location=map_location, weights_only=True)


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not fit the model; the text is meant for the user."""


def load_weights(model: nn.Module, path: str, prefix: str = '') -> dict:
    """Load a checkpoint's weights into a model, all of them or none.

    Containers (``state_dict``, ``model``) and the prefixes of wrappers (``module.``, ``model.``,
    ``_orig_mod.``) are understood. A module says by an attribute ``optional_parts``, names of its
    children, whose weights a checkpoint may lack or hold in excess: what only training uses, and
    what works untrained.

    Args:
        model: Is modified.
        path: A file, or an address that MMEngine loads from.
        prefix: Only the weights whose names begin so are taken, without it.

    Returns:
        The checkpoint's ``meta``, such as ``dataset_meta``; empty without one.

    Raises:
        CheckpointError: The file is missing, cannot be read or holds no weights; or names or shapes
            differ: it counts the missing, unexpected and mis-shaped weights and names five.
    """
    checkpoint = read_checkpoint(path)
    weights = select_weights(checkpoint, model, path, prefix)
    check_fit(model, weights, path, made_for(checkpoint))
    wanted = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in wanted}
    model.load_state_dict(fitting, strict=False)
    meta = checkpoint.get('meta')
    return meta if isinstance(meta, dict) else {}


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint file onto the CPU.

    Args:
        path: A file, or an address that MMEngine loads from.

    Returns:
        What the file holds.

    Raises:
        CheckpointError: The file is missing, or is no checkpoint of plain tensors.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(str(path), 'cpu', logger='silent')
    except FileNotFoundError as error:
        raise CheckpointError(
            f'checkpoint not found: {path}; train one: python tools/train.py CONFIG'
        ) from error
    except OSError as error:
        if '://' not in str(path):
            raise CheckpointError(f'checkpoint {path} cannot be read ({error})') from error
        raise CheckpointError(
            f'checkpoint {path} cannot be reached ({error}); download the file on another machine '
            'and give its path in the place of the address'
        ) from error
    except Exception as error:  # of torch, pickle, zipfile: whatever the file's bytes lead to
        reasons = [line for line in str(error).splitlines() if 'GLOBAL' in line]
        reason = reasons[0].strip() if reasons else type(error).__name__
        raise CheckpointError(
            f'checkpoint {path} cannot be read ({reason}); it must be a file that torch.save '
            'wrote, of tensors and plain values only'
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(
            f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dict of weights'
        )
    return checkpoint


def select_weights(
    checkpoint: Mapping, model: nn.Module, source: str = 'the checkpoint', prefix: str = ''
) -> dict[str, Tensor]:
    """Find the weights in what a file held, under the names that the model gives them.

    Args:
        checkpoint: What the file held.
        model: Says which names are wanted.
        source: Where it came from, for the error.
        prefix: Only the weights whose names begin so are taken, without it.

    Returns:
        From a name to a tensor.

    Raises:
        CheckpointError: There is no weight, or two have the same name without their prefixes.
    """
    inner = checkpoint
    while found := [key for key in _CONTAINERS if isinstance(inner.get(key), Mapping)]:
        inner = inner[found[0]]
    tensors = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        keys = sorted(map(str, checkpoint))[:_NAMED]
        raise CheckpointError(f'checkpoint {source} holds no weights; its keys are {keys}')
    wanted = set(model.state_dict())
    if prefix:
        begins = {name: value for name, value in tensors.items() if name.startswith(prefix)}
        tensors = {name[len(prefix) :]: value for name, value in begins.items()}
    weights = {}
    for name, value in tensors.items():
        plain = name if name in wanted else _without_wrappers(name, wanted)
        if plain in weights:
            raise CheckpointError(f'checkpoint {source} holds {plain} twice: also as {name}')
        weights[plain] = value
    return weights


def _without_wrappers(name: str, wanted: set[str]) -> str:
    plain = name.replace(_COMPILED, '')
    stripped = True
    while stripped and plain not in wanted:
        stripped = False
        for wrapper in _WRAPPERS:
            if plain.startswith(wrapper) and not any(w.startswith(wrapper) for w in wanted):
                plain, stripped = plain[len(wrapper) :], True
    return plain


def made_for(checkpoint: Mapping) -> str:
    """Name the config that a checkpoint was made with, as far as it says so; else empty."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    name = str(meta.get('config', ''))
    return name if name and '\n' not in name else str(meta.get('experiment_name', ''))


def check_fit(
    model: nn.Module, weights: Mapping[str, Tensor], source: str, config: str = ''
) -> None:
    """Compare names and shapes of weights with a model's own.

    Args:
        model: With modules that may have ``optional_parts``, see :func:`load_weights`. Parts that
            are absent and allowed to be so are logged.
        weights: As :func:`select_weights` returns them.
        source: Where they came from, for the error.
        config: What they were made for, for the error.

    Raises:
        CheckpointError: As :func:`load_weights`.
    """
    wanted = model.state_dict()
    optional = tuple(_optional_prefixes(model))
    absent = [name for name in wanted if name not in weights and not name.endswith('_tracked')]
    missing = [name for name in absent if not name.startswith(optional)]
    unexpected = [n for n in weights if n not in wanted and not n.startswith(optional)]
    reshaped = [n for n in weights if n in wanted and weights[n].shape != wanted[n].shape]
    if not (missing or unexpected or reshaped):
        left = sorted({prefix for name in absent for prefix in optional if name.startswith(prefix)})
        if left:
            print_log(
                f'checkpoint {source} has no {", ".join(left)}: left as initialised',
                level=logging.WARNING,
            )
        return
    lines = itertools.zip_longest(
        (f'missing {name}' for name in missing),
        (f'unexpected {name}' for name in unexpected),
        (
            f'{name} is {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}'
            for name in reshaped
        ),
    )
    named = [line for row in lines for line in row if line is not None]
    origin = f'; it was made for {config}' if config else ''
    raise CheckpointError(
        f'checkpoint {source} does not fit {type(model).__name__}: of {len(wanted)} weights '
        f'{len(missing)} are missing, {len(reshaped)} have another shape, and {len(unexpected)} '
        f'are unexpected: {"; ".join(named[:_NAMED])}{", ..." if len(named) > _NAMED else ""}'
        f'{origin}. Use the config that it was trained with; a part of it is taken over by '
        "init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...) of that part"
    )


def _optional_prefixes(model: nn.Module) -> Iterable[str]:
    for name, module in model.named_modules():
        for part in getattr(module, 'optional_parts', ()):
            yield f'{name}.{part}.' if name else f'{part}.'
