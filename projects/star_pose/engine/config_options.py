"""Read a config and the changes of a command line, each of which has an effect or is refused.

MMEngine merges changes into the finished config. There a misspelt name is a new entry that nobody
reads, and a variable of the config's text, such as ``num_frames``, was copied to its places before.
"""

import ast
import difflib
import inspect
import os.path as osp
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmpose import registry
from torch.utils.data import DataLoader

__all__ = ['ConfigError', 'accepted_arguments', 'read_config']

# Entries without a `type`, by what they are called: whose arguments they are.
_READERS = (
    (r'^(train|val|test)_dataloader$', DataLoader.__init__),
    (r'^randomness$', set_random_seed),
)
_NAMES = (
    (r'^(train|val|test)_dataloader$', ('batch_sampler', 'dataset', 'num_batch_per_epoch')),
    (r'^auto_scale_lr$', ('enable', 'base_batch_size')),
    (r'^env_cfg$', ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')),
    (
        r'^(train|val|test)_cfg$',
        ('by_epoch', 'max_epochs', 'max_iters', 'val_begin', 'val_interval', 'dynamic_intervals',
         'fp16'),
    ),
    (
        r'^model\.(.*\.)?test_cfg$',
        ('flip_test', 'flip_mode', 'shift_heatmap', 'shift_coords', 'align_corners', 'output_sr',
         'output_heatmaps', 'output_keypoint_indices', 'blur_kernel_size'),
    ),
)  # fmt: skip
_REGISTRIES = (
    'MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'LOOPS', 'VISUALIZERS', 'OPTIMIZERS',
    'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS', 'DATA_SAMPLERS',
    'KEYPOINT_CODECS', 'TASK_UTILS', 'VISBACKENDS', 'LOG_PROCESSORS', 'EVALUATORS',
)  # fmt: skip


class ConfigError(ValueError):
    """A config or a change of it cannot be used; the text is meant for the user."""


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config and change it.

    A change of a variable that the config's text uses, such as ``num_frames=3``, ``scale=2`` or
    ``data_root=DIR``, is made where the variable is assigned, in the file and its bases, so that it
    reaches every place. Every other change is one of an entry of the finished config.

    Args:
        path: A config file.
        options: From the dotted name of an entry to its value, as ``--cfg-options`` gives them.

    Returns:
        The config.

    Raises:
        ConfigError: There is no such file, it cannot be read, or a change would have no effect.
    """
    options = dict(options or {})
    if not osp.isfile(path):
        raise ConfigError(f'config not found: {path}; the recipes are in configs/')
    cfg = _parse(path)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    used = _used_variables(path)
    inputs = {k: v for k, v in options.items() if k.split('.')[0] in used - _runner_arguments()}
    if inputs:
        if str(cfg.get('data_root', '')).endswith('/') and 'data_root' in inputs:
            inputs['data_root'] = osp.join(inputs['data_root'], '')  # the text appends names to it
        with tempfile.TemporaryDirectory() as folder:
            cfg = _parse(_write_changed(Path(path), inputs, Path(folder)), path)
        object.__setattr__(cfg, '_filename', str(path))
    # A changed type decides which arguments are accepted.
    for key in sorted(options, key=lambda key: not key.endswith('.type')):
        if key in inputs:
            continue
        if key == 'data_root' and _replace_root(cfg._cfg_dict, cfg.get(key), options[key]):
            cfg[key] = options[key]
        else:
            _check_entry(cfg, key, path)
            if key.endswith('.type'):
                _check_type(key, options[key])
            cfg.merge_from_dict({key: options[key]})
            if key.endswith('.type'):
                _drop_refused(cfg, key.split('.')[:-1])
    return cfg


def _parse(path: str, name: str = '') -> Config:
    try:
        return Config.fromfile(path)
    except Exception as error:  # whatever the config's own code leads to
        reason = f'{type(error).__name__}: {error}'.replace(str(path), name or str(path))
        raise ConfigError(f'config {name or path} cannot be read: {reason}') from error


def _sources(path: Path) -> Iterator[tuple[Path, str, ast.Module]]:
    """A config in Python and its bases, as far as they are files: path, text and its parse."""
    if path.suffix != '.py' or not path.is_file():
        return
    text = path.read_text()
    tree = ast.parse(text)
    yield path, text, tree
    for base in _bases(tree):
        yield from _sources(path.parent / base)


def _bases(tree: ast.Module) -> list[str]:
    for name, node in _assignments(tree):
        if name == '_base_':
            found = ast.literal_eval(node.value)
            return [found] if isinstance(found, str) else list(found)
    return []


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.Assign]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node


def _used_variables(path: str) -> set[str]:
    """Names that the text of a config or of a base assigns and reads again."""
    found = set()
    for _, _, tree in _sources(Path(path)):
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_read(n)}
        found |= {name for name, _ in _assignments(tree)} & names
    return found


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _write_changed(path: Path, inputs: dict[str, Any], folder: Path) -> str:
    """Copy a config and its bases with other values of variables; return the copy's path."""
    text = path.read_text()
    tree = ast.parse(text)
    lines = text.splitlines()
    for name, node in reversed(list(_assignments(tree))):
        if name == '_base_':
            copies = [
                base if '::' in base else _write_changed(path.parent / base, inputs, folder)
                for base in _bases(tree)
            ]
            lines[node.lineno - 1 : node.end_lineno] = [f'_base_ = {copies!r}']
            continue
        changes = {key: value for key, value in inputs.items() if key.split('.')[0] == name}
        places = (''.join(f'[{_index(k)}]' for k in key.split('.')[1:]) for key in changes)
        new = [f'{name}{at} = {v!r}' for at, v in zip(places, changes.values(), strict=True)]
        lines[node.end_lineno : node.end_lineno] = new
    copy = folder / f'{len(list(folder.iterdir()))}_{path.name}'
    # What MMEngine fills in must be the original's.
    copy.write_text('\n'.join(lines).replace('{{ fileDirname }}', str(path.parent)) + '\n')
    return str(copy)


def _index(key: str) -> str:
    return key if key.isdigit() else repr(key)


def _replace_root(node: Any, old: str | None, new: str) -> int:
    """Replace a data root in a finished config's data sets and the paths below it; count them."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    count = 0
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            count += _replace_root(value, old, new)
        elif old and isinstance(value, str) and key in ('data_root', 'ann_file', 'bbox_file'):
            below = osp.join(old, '')
            if value == old or value.startswith(below):
                node[key] = new if value == old else osp.join(new, value[len(below) :])
                count += 1
    return count


def _check_entry(cfg: Config, key: str, path: str) -> None:
    """Refuse a change of an entry that nobody would read.

    Raises:
        ConfigError: It names the entry and what comes close to it.
    """
    parts, node = key.split('.'), cfg._cfg_dict
    if parts[0] in cfg and parts[0] not in _runner_arguments():
        raise ConfigError(
            f'--cfg-options {key}: changing it has no effect: {path} uses {parts[0]} nowhere; '
            'change the entries themselves, such as train_dataloader.dataset...'
        )
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(
                    f'--cfg-options {key}: {where} of {path} is a list of {len(node)} entries, '
                    f'without {part!r}; count from 0'
                )
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict):
            _check_new(node, where, part, f'--cfg-options {key}', path)
            node = {}
        else:
            raise ConfigError(
                f'--cfg-options {key}: {where} of {path} is {node!r} and has no entries'
            )


def _check_type(key: str, kind: Any) -> None:
    """Refuse a type of no registry; those of other packages are known when they are built."""
    if not isinstance(kind, str) or '.' in kind:
        return
    known = {name for one in _REGISTRIES for name in _names_of(getattr(registry, one))}
    if kind not in known:
        near = difflib.get_close_matches(kind, sorted(known))
        hint = f'did you mean {" or ".join(near)}?' if near else 'no registered name comes close'
        raise ConfigError(f'--cfg-options {key}: there is no type {kind!r}; {hint}')


def _names_of(one: Registry) -> Iterator[str]:
    """Names in a registry and in those that it falls back on."""
    while one is not None:
        one.import_from_location()
        yield from one.module_dict
        one = one.parent


def _check_new(node: dict, where: str, part: str, option: str, path: str) -> None:
    """Refuse a new entry of a dict whose reader does not know it."""
    kind = node.get('type')
    if not where:
        known, owner = _runner_arguments(), 'a run'
    elif kind is not None:
        known, owner = accepted_arguments(kind), kind if isinstance(kind, str) else kind.__name__
    else:
        known, owner = _untyped_names(where), where
    near = difflib.get_close_matches(part, sorted({*(known or ()), *map(str, node)} - {'type'}))
    # Where the reader is not known, only what looks like a slip is refused: stage2 is none.
    slip = any(re.sub(r'\d', '', name) != re.sub(r'\d', '', part) for name in near[:1])
    if part not in ('type', '_delete_') and (part not in known if known is not None else slip):
        hint = f'did you mean {" or ".join(near)}?' if near else f'it has {", ".join(node)}'
        raise ConfigError(f'{option}: {owner} ({path}) takes no {part!r}; {hint}')


def _untyped_names(where: str) -> set[str] | None:
    """What the reader of an entry without a type knows; None where nobody says so."""
    names = {n for pattern, found in _NAMES if re.match(pattern, where) for n in found}
    for pattern, function in _READERS:
        if re.match(pattern, where):
            names |= set(inspect.signature(function).parameters)
    return names or None


def _runner_arguments() -> set[str]:
    return {*inspect.signature(Runner.__init__).parameters, 'custom_imports', 'default_scope'}


def accepted_arguments(kind: str | type) -> set[str] | None:
    """Say which arguments a registered class or function takes.

    Args:
        kind: Its name in a registry of MMPose, or itself.

    Returns:
        The names, those of base classes included where a constructor passes the rest on; None where
        nobody can say.
    """
    if isinstance(kind, str):
        if '.' in kind:
            return None  # of another package, which would be imported for it
        found = [getattr(registry, name).get(kind) for name in _REGISTRIES]
        kind = next((one for one in found if one is not None), None)
    if kind is None:
        return None
    names = set()
    for one in inspect.getmro(kind)[:-1] if isinstance(kind, type) else [kind]:
        if isinstance(one, type) and '__init__' not in vars(one):
            continue
        parameters = inspect.signature(one).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names
    return None


def _drop_refused(cfg: Config, parts: list[str]) -> None:
    """Drop the arguments of the class that an entry had before, where its new one takes none."""
    node = cfg._cfg_dict
    for part in parts:
        node = node[int(part)] if isinstance(node, (list, tuple)) else node[part]
    known = accepted_arguments(node['type'])
    for name in [name for name in node if known is not None and name not in {*known, 'type'}]:
        del node[name]
