"""Run a pose network by PyTorch, onnxruntime or OpenVINO."""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from torch import nn

from ..datasets.errors import LabelError

__all__ = ['BACKENDS', 'Runtime', 'export_onnx', 'load_onnx', 'make_runtime']

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')


class Runtime:
    """A network that takes and returns NumPy arrays.

    Attributes:
        name: One of :data:`BACKENDS`.
    """

    def __init__(self, name: str, run: Callable[[np.ndarray], tuple[np.ndarray, ...]]):
        self.name = name
        self._run = run

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """(N, ...) uint8 in, a tuple of (N, ...) float32 out."""
        return self._run(pixels)


def make_runtime(
    network: nn.Module, example: np.ndarray, backend: str = 'auto', device: str = 'cpu'
) -> Runtime:
    """Prepare a network for a runtime.

    Args:
        network: Takes one uint8 tensor; in eval mode.
        example: An input; the sizes except the batch are fixed to its.
        backend: ``'torch'``, ``'onnxruntime'``, ``'openvino'``, or ``'auto'``: on a CPU
            onnxruntime, which gives the same keypoints sooner, where the network can be
            exported; otherwise torch.
        device: For torch; the others run on the CPU.

    Raises:
        LabelError: If the backend is not known, not installed, or cannot run the network.
    """
    if backend not in BACKENDS:
        raise LabelError(f'backend is {backend!r}; it must be one of {", ".join(BACKENDS)}')
    on_cpu = str(device).startswith('cpu')
    if backend == 'torch' or (backend == 'auto' and not on_cpu):
        return _torch(network, device)
    if not on_cpu:
        raise LabelError(f'backend {backend} runs on the CPU, not on {device}; use torch')
    try:
        model = export_onnx(network, example)
    except Exception as error:  # whatever an operation without ONNX form raises
        if backend == 'auto':
            return _torch(network, device)
        text = str(error).strip().splitlines()[0]
        raise LabelError(
            f'backend {backend}: the network cannot be exported to ONNX ({text}); use torch'
        ) from error
    return load_onnx(model, 'onnxruntime' if backend == 'auto' else backend)


def export_onnx(network: nn.Module, example: np.ndarray) -> bytes:
    """Export to ONNX with a free batch.

    Args:
        network: Takes one uint8 tensor.
        example: (N, ...) uint8.

    Returns:
        bytes: The model, its input ``pixels``.
    """
    device = next(network.parameters()).device
    # With two samples no operation can mistake the batch for an axis of one
    pixels = torch.from_numpy(np.repeat(example[:1], 2, axis=0)).to(device)
    with torch.no_grad():
        outputs = network(pixels)
    names = [f'output{n}' for n in range(len(outputs) if isinstance(outputs, tuple) else 1)]
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # the tracer's, about shapes that are constants here
        torch.onnx.export(
            network,
            (pixels,),
            file,
            input_names=['pixels'],
            output_names=names,
            dynamic_axes={name: {0: 'batch'} for name in ('pixels', *names)},
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()


def load_onnx(model: bytes | str, backend: str = 'onnxruntime') -> Runtime:
    """Load an exported model.

    Args:
        model: The model, or its file.
        backend: ``'onnxruntime'`` or ``'openvino'``.

    Raises:
        LabelError: If the backend is not installed or refuses the model.
    """
    load = {'onnxruntime': _onnxruntime, 'openvino': _openvino}[backend]
    try:
        return load(model)
    except LabelError:
        raise
    except Exception as error:  # the runtimes raise types of their own
        name = model if isinstance(model, str) else 'the exported model'
        text = str(error).strip().splitlines()[0]
        raise LabelError(f'{backend} cannot load {name}: {text}') from error


def _torch(network: nn.Module, device: str) -> Runtime:
    network = network.to(device)

    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(pixels).to(device))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(output.float().cpu().numpy() for output in outputs)

    return Runtime('torch', run)


def _threads() -> int:
    """As many as PyTorch may use, so that one setting (OMP_NUM_THREADS) rules all runtimes."""
    return min(torch.get_num_threads(), len(os.sched_getaffinity(0)))


def _onnxruntime(model: bytes | str) -> Runtime:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    # Idle threads must not spin: decoding and detection need the cores
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return Runtime('onnxruntime', lambda pixels: tuple(session.run(None, {name: pixels})))


def _openvino(model: bytes | str) -> Runtime:
    if importlib.util.find_spec('openvino') is None:
        raise LabelError('backend openvino is not installed: pip install star_pose[openvino]')
    import openvino

    core = openvino.Core()
    loaded = (
        core.read_model(model) if isinstance(model, str) else core.read_model(io.BytesIO(model))
    )
    settings = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': _threads()}
    compiled = core.compile_model(loaded, 'CPU', settings)

    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        found = compiled([pixels])
        return tuple(np.array(found[port]) for port in compiled.outputs)

    return Runtime('openvino', run)
