"""Read a TensorFlow.js model: a graph's nodes, and the weights of a graph or of Keras layers."""

import base64
import dataclasses
import json
import os.path as osp

import numpy as np

from ..datasets.errors import DataNotFoundError, LabelError

__all__ = ['TfjsGraph', 'TfjsNode', 'read_tfjs_graph', 'read_tfjs_weights']


@dataclasses.dataclass
class TfjsNode:
    """One operation of the graph.

    Attributes:
        name: Its name; its n-th output is ``name:n``, and ``name`` means ``name:0``.
        op: TensorFlow's name of the operation, such as ``Conv2D``.
        inputs: Names of the tensors that it reads, control inputs left out.
        attributes: By name; a text, number, truth value, or list of such.
    """

    name: str
    op: str
    inputs: list[str]
    attributes: dict


@dataclasses.dataclass
class TfjsGraph:
    """A graph model.

    Attributes:
        nodes: The operations, each after those that it reads, without constants.
        weights: The constants by name; what is stored in half precision stays in half precision.
        inputs: Shapes of the graph's inputs by name, as stored (TensorFlow's order of axes).
        outputs: Names of its outputs.
    """

    nodes: list[TfjsNode]
    weights: dict[str, np.ndarray]
    inputs: dict[str, tuple[int, ...]]
    outputs: list[str]


def read_tfjs_graph(path: str) -> TfjsGraph:
    """Read a graph model.

    Args:
        path: The json file; the files of weights that it names lie beside it.

    Raises:
        DataNotFoundError: If a file is missing.
        LabelError: If the file is no graph model, or the weights do not have the stated size.
    """
    path = str(path)
    content = _read_json(path)
    try:
        nodes = [_node(node) for node in content['modelTopology']['node']]
    except (ValueError, KeyError, TypeError) as error:
        raise LabelError(f'{path} is no graph model of TensorFlow.js: {error!r}') from error
    weights = _weights_of(content, path)
    inputs = {node.name: node.attributes['shape'] for node in nodes if node.op == 'Placeholder'}
    used = {name.split(':')[0] for node in nodes for name in node.inputs}
    run = [node for node in nodes if node.op not in ('Const', 'Placeholder')]
    outputs = sorted(node.name for node in run if node.name not in used)
    return TfjsGraph(_in_order(run, {*weights, *inputs}), weights, inputs, outputs)


def read_tfjs_weights(path: str) -> dict[str, np.ndarray]:
    """Read the weights of a model by name, whether it is a graph or Keras layers.

    Args:
        path: The json file; the files of weights that it names lie beside it.

    Raises:
        DataNotFoundError: If a file is missing.
        LabelError: If the file is no such model, or the weights do not have the stated size.
    """
    return _weights_of(_read_json(str(path)), str(path))


def _read_json(path: str) -> dict:
    if not osp.isfile(path):
        raise DataNotFoundError.describe('TensorFlow.js model', path)
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except ValueError as error:
        raise LabelError(f'{path} is no model of TensorFlow.js: {error!r}') from error


def _weights_of(content: dict, path: str) -> dict[str, np.ndarray]:
    weights = {}
    try:
        for group in content['weightsManifest']:
            weights.update(_read_weights(osp.dirname(path), group))
    except (KeyError, TypeError) as error:
        raise LabelError(f'{path} is no model of TensorFlow.js: {error!r}') from error
    return weights


def _node(stored: dict) -> TfjsNode:
    inputs = [name for name in stored.get('input', []) if not name.startswith('^')]
    attributes = {key: _value(value) for key, value in stored.get('attr', {}).items()}
    return TfjsNode(stored['name'], stored['op'], inputs, attributes)


def _value(stored: dict):
    """The value of an attribute, which protobuf's json wraps by kind."""
    if not stored:
        return None
    kind, value = next(iter(stored.items()))
    if kind == 's':
        return base64.b64decode(value).decode()
    if kind == 'i':
        return int(value)
    if kind == 'shape':
        return tuple(int(axis.get('size', 0)) for axis in value.get('dim', []))
    if kind == 'list':
        return [_value({inner: item}) for inner, items in value.items() for item in items]
    return value


def _read_weights(folder: str, group: dict) -> dict[str, np.ndarray]:
    data, named = b'', ' and '.join(group['paths'])
    for name in group['paths']:
        path = osp.join(folder, name)
        if not osp.isfile(path):
            raise DataNotFoundError.describe('weights of the TensorFlow.js model', path)
        with open(path, 'rb') as file:
            data += file.read()
    weights, start = {}, 0
    for entry in group['weights']:
        stored = entry.get('quantization', entry)['dtype']
        if stored not in ('float16', 'float32', 'int32', 'uint8', 'bool'):
            raise LabelError(
                f'{named}: weight {entry["name"]} is stored as {stored}, which is not known'
            )
        dtype = np.dtype(stored)
        count = int(np.prod(entry['shape']))
        end = start + count * dtype.itemsize
        if end > len(data):
            raise LabelError(
                f'{named}: the weights end before {entry["name"]}: the file is cut short'
            )
        array = np.frombuffer(data, dtype, count, start)
        weights[entry['name']] = array.reshape(entry['shape'])
        start = end
    if start != len(data):
        raise LabelError(f'{named}: {len(data) - start} bytes follow the last weight')
    return weights


def _in_order(nodes: list[TfjsNode], known: set[str]) -> list[TfjsNode]:
    """The nodes, each after those that it reads."""
    ordered, waiting = [], list(nodes)
    while waiting:
        ready = [n for n in waiting if all(name.split(':')[0] in known for name in n.inputs)]
        if not ready:
            raise LabelError(f'node {waiting[0].name} reads what no node computes')
        ordered += ready
        known.update(node.name for node in ready)
        waiting = [node for node in waiting if node.name not in known]
    return ordered
