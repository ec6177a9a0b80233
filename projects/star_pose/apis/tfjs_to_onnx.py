"""Write a convolutional graph model of TensorFlow.js as ONNX, for images of any size."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..datasets.errors import LabelError
from .tfjs_graph import TfjsGraph, TfjsNode

__all__ = ['tfjs_to_onnx']

_OPSET = 17
_NCHW = (0, 3, 1, 2)  # of N H W C
_NHWC = (0, 2, 3, 1)  # of N C H W


def tfjs_to_onnx(graph: TfjsGraph) -> onnx.ModelProto:
    """Convert a graph of convolutions, pooling, resizing, activations, sums, joins and splits.

    TensorFlow computes in the order N H W C and ONNX in N C H W, so a plain copy would turn nearly
    every tensor twice. Here a turned tensor is only noted as such. What the graph says in numbers
    of the size of its input (shapes, sizes of enlargements) is written relative to it: batch,
    height and width are free.

    Returns:
        onnx.ModelProto: Weights of half precision stay so in the file; the arithmetic is fp32.

    Raises:
        LabelError: If the graph holds an operation, or a use of one, that is not known.
    """
    return _Writer(graph).write()


@dataclass
class _Tensor:
    """A tensor of the graph: the ONNX tensor ``name`` with its axes taken in ``order``.

    ``shape`` is the ONNX tensor's for an input of the size that the graph was stored for.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]


class _Writer:
    """State of one conversion."""

    def __init__(self, graph: TfjsGraph):
        self.graph = graph
        self.constants = dict(graph.weights)
        self.tensors: dict[str, _Tensor] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.converters = {
            'Add': self._add,
            'AddV2': self._add,
            'ConcatV2': self._concat,
            'Conv2D': self._conv,
            'Identity': self._unary,
            'LeakyRelu': self._unary,
            'MaxPool': self._pool,
            'Pad': self._pad,
            'PadV2': self._pad,
            'Reshape': self._reshape,
            'ResizeBilinear': self._resize,
            'Sigmoid': self._unary,
            'SplitV': self._split,
            'Transpose': self._transpose,
        }

    def write(self) -> onnx.ModelProto:
        """Convert node by node."""
        inputs, outputs = [], []
        for name, shape in self.graph.inputs.items():
            self.tensors[name] = _Tensor(name, shape, tuple(range(len(shape))))
            sides = ['batch', shape[1], 'height', 'width']
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sides))
        for node in self.graph.nodes:
            if all(name in self.constants for name in node.inputs):
                self._fold(node)
            elif node.op in self.converters:
                self.converters[node.op](node)
            else:
                raise LabelError(f'node {node.name}: {node.op} is not known')
        for name in self.graph.outputs:
            tensor = self._turned(name, tuple(range(len(self._tensor(name).shape))))
            output = self._emit('Identity', [tensor.name], f'{name}/output')
            sides = ['batch', *[None] * (len(tensor.shape) - 2), tensor.shape[-1]]
            outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, sides))
        body = helper.make_graph(
            self.nodes, 'graph', inputs, outputs, list(self.initializers.values())
        )
        opset = helper.make_opsetid('', _OPSET)
        model = helper.make_model(body, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _fold(self, node: TfjsNode) -> None:
        """Compute what depends on constants alone: shapes."""
        values = [self.constants[name] for name in node.inputs]
        if node.op == 'SparseToDense' and values[0].size == 0:
            self.constants[node.name] = np.full(values[1], values[3])
        elif node.op in ('Add', 'AddV2'):
            self.constants[node.name] = values[0] + values[1]
        else:
            raise LabelError(f'node {node.name}: {node.op} of constants is not known')

    def _tensor(self, name: str) -> _Tensor:
        return self.tensors[name.removesuffix(':0')]

    def _turned(self, name: str, order: tuple[int, ...]) -> _Tensor:
        """A tensor whose ONNX form has the graph's axes in ``order``."""
        tensor = self._tensor(name)
        axes = tuple(tensor.order[axis] for axis in order)
        if axes == tuple(range(len(axes))):
            return tensor
        output = f'{tensor.name}/turned{len(self.nodes)}'
        self._emit('Transpose', [tensor.name], output, perm=axes)
        shape = tuple(tensor.shape[axis] for axis in axes)
        return _Tensor(output, shape, tuple(int(axis) for axis in np.argsort(order)))

    def _emit(self, op: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: np.ndarray) -> str:
        """An initializer; the runtime makes fp32 of half precision once, when it loads the file."""
        if name in self.initializers:
            return name
        value = np.array(value, order='C')
        if value.dtype == np.float16:
            self.initializers[name] = numpy_helper.from_array(value, f'{name}/half')
            return self._emit('Cast', [f'{name}/half'], name, to=TensorProto.FLOAT)
        self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def _unary(self, node: TfjsNode) -> None:
        tensor = self._tensor(node.inputs[0])
        kept = {key: node.attributes[key] for key in ('alpha',) if key in node.attributes}
        self._emit(node.op, [tensor.name], node.name, **kept)
        self.tensors[node.name] = _Tensor(node.name, tensor.shape, tensor.order)

    def _transpose(self, node: TfjsNode) -> None:
        tensor = self._tensor(node.inputs[0])
        order = tuple(tensor.order[axis] for axis in self.constants[node.inputs[1]])
        self.tensors[node.name] = _Tensor(tensor.name, tensor.shape, order)

    def _conv(self, node: TfjsNode) -> None:
        kernel = self.constants[node.inputs[1]].transpose(3, 2, 0, 1)  # h w in out -> out in h w
        weight = self._constant(node.inputs[1], kernel)
        self._slide(node, 'Conv', [weight], kernel.shape[2:], len(kernel))

    def _pool(self, node: TfjsNode) -> None:
        size = node.attributes['ksize'][1:3]
        self._slide(node, 'MaxPool', [], size, None)

    def _slide(
        self, node: TfjsNode, op: str, inputs: list[str], size: tuple[int, int], width: int | None
    ) -> None:
        """An operation that slides a window over N C H W, without padding."""
        attributes = node.attributes
        dilations = attributes.get('dilations') or [1] * 4
        wanted = ('VALID', 'NHWC', [1] * 4)
        if (attributes['padding'], attributes['data_format'], dilations) != wanted:
            raise LabelError(f'node {node.name}: only VALID, NHWC and no dilation are known')
        source = self._turned(node.inputs[0], _NCHW)
        strides = attributes['strides'][1:3]
        more = {'kernel_shape': [int(side) for side in size], 'strides': strides}
        self._emit(op, [source.name, *inputs], node.name, **more)
        sides = [
            (side - window) // step + 1
            for side, window, step in zip(source.shape[2:], size, strides, strict=True)
        ]
        shape = (source.shape[0], width or source.shape[1], *sides)
        self.tensors[node.name] = _Tensor(node.name, shape, _NHWC)

    def _resize(self, node: TfjsNode) -> None:
        if not node.attributes['half_pixel_centers'] or node.attributes['align_corners']:
            raise LabelError(f'node {node.name}: only half-pixel centres are known')
        source = self._turned(node.inputs[0], _NCHW)
        sides = self.constants[node.inputs[1]]
        factors = np.array([1, 1, *sides / np.array(source.shape[2:])], np.float32)
        scales = self._constant(f'{node.name}/factors', factors)
        inputs = [source.name, '', scales]
        self._emit(
            'Resize', inputs, node.name, mode='linear', coordinate_transformation_mode='half_pixel'
        )
        shape = (*source.shape[:2], *(int(side) for side in sides))
        self.tensors[node.name] = _Tensor(node.name, shape, _NHWC)

    def _add(self, node: TfjsNode) -> None:
        tensor = self._tensor(node.inputs[0])
        other = node.inputs[1]
        if other in self.constants:
            # It speaks of the graph's last axis, and must speak of it where ONNX has it
            axes = [1] * len(tensor.shape)
            axes[tensor.order[-1]] = -1
            addend = self._constant(other, self.constants[other].reshape(axes))
        else:
            addend = self._turned(other, tuple(int(a) for a in np.argsort(tensor.order))).name
        self._emit('Add', [tensor.name, addend], node.name)
        self.tensors[node.name] = _Tensor(node.name, tensor.shape, tensor.order)

    def _concat(self, node: TfjsNode) -> None:
        *names, axis_name = node.inputs
        order = self._tensor(names[0]).order
        back = tuple(int(axis) for axis in np.argsort(order))
        parts = [self._turned(name, back) for name in names]
        axis = order[int(self.constants[axis_name])]
        self._emit('Concat', [part.name for part in parts], node.name, axis=axis)
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        self.tensors[node.name] = _Tensor(node.name, tuple(shape), order)

    def _split(self, node: TfjsNode) -> None:
        tensor = self._tensor(node.inputs[0])
        sizes, axis = (self.constants[name] for name in node.inputs[1:])
        axis = tensor.order[int(axis)]
        outputs = [node.name, *(f'{node.name}:{n}' for n in range(1, len(sizes)))]
        parts = self._constant(f'{node.name}/sizes', sizes.astype(np.int64))
        self.nodes.append(helper.make_node('Split', [tensor.name, parts], outputs, axis=axis))
        for output, size in zip(outputs, sizes, strict=True):
            shape = list(tensor.shape)
            shape[axis] = int(size)
            self.tensors[output] = _Tensor(output, tuple(shape), tensor.order)

    def _pad(self, node: TfjsNode) -> None:
        tensor = self._tensor(node.inputs[0])
        pads = np.zeros((len(tensor.shape), 2), np.int64)
        pads[list(tensor.order)] = self.constants[node.inputs[1]]
        inputs = [tensor.name, self._constant(f'{node.name}/pads', pads.T.ravel())]
        inputs += [self._constant(name, self.constants[name]) for name in node.inputs[2:]]
        self._emit('Pad', inputs, node.name)
        shape = tuple(int(side) for side in np.add(tensor.shape, pads.sum(1)))
        self.tensors[node.name] = _Tensor(node.name, shape, tensor.order)

    def _reshape(self, node: TfjsNode) -> None:
        """Joining the last axes to one, the only use that is known."""
        axes = self._tensor(node.inputs[0]).order
        source = self._turned(node.inputs[0], tuple(range(len(axes))))
        wanted = tuple(int(side) for side in self.constants[node.inputs[1]])
        kept = len(wanted) - 1
        if wanted[:kept] != source.shape[:kept]:
            raise LabelError(f'node {node.name}: reshaping {source.shape} to {wanted} is not known')
        shape = self._constant(f'{node.name}/shape', np.array([0] * kept + [-1]))
        self._emit('Reshape', [source.name, shape], node.name)
        joined = (*source.shape[:kept], int(np.prod(source.shape[kept:])))
        self.tensors[node.name] = _Tensor(node.name, joined, tuple(range(len(wanted))))
