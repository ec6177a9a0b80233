"""Run a pose network by PyTorch, onnxruntime or OpenVINO."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import os.path as osp
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from ..datasets.errors import DataNotFoundError, LabelError

__all__ = [
    'BACKENDS',
    'Runtime',
    'check_device',
    'export_onnx',
    'fingerprint',
    'load_exported',
    'load_onnx',
    'make_runtime',
]

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino', 'openvino-bfloat16')


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
        backend: ``'torch'``, ``'onnxruntime'``, ``'openvino'``, ``'openvino-bfloat16'``, which
            rounds, or ``'auto'``: on a CPU OpenVINO where it is installed, else onnxruntime, which
            both give the same keypoints sooner; torch where the network cannot be exported, and on
            other devices.
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
    return load_onnx(model, _fastest() if backend == 'auto' else backend)


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


def fingerprint(network: nn.Module) -> str:
    """The SHA-256 of a network's weights, by which an exported file knows its checkpoint."""
    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        total.update(name.encode())
        total.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return total.hexdigest()


def load_exported(path: str, network: nn.Module, backend: str = 'auto') -> Runtime:
    """Load a file that ``tools/export.py`` wrote.

    Args:
        path: The file.
        network: What it was made of.
        backend: As of :func:`make_runtime`, but for torch.

    Raises:
        DataNotFoundError: If there is no such file.
        LabelError: If it was made of other weights, or cannot be loaded.
    """
    if backend == 'torch':
        raise LabelError(f'backend torch cannot run {path}; use onnxruntime or openvino')
    if not osp.isfile(path):
        raise DataNotFoundError.describe('exported network', path, remedies=('tools/export.py',))
    try:
        labels = {p.key: p.value for p in onnx.load(path).metadata_props}
    except Exception as error:  # protobuf raises types of its own
        raise LabelError(f'{path} is no ONNX file: {error}') from error
    if labels.get('weights') != fingerprint(network):
        raise LabelError(
            f'{path} was exported from {labels.get("config", "something else")} with other weights '
            'than those given: export it again by tools/export.py'
        )
    return load_onnx(path, _fastest() if backend == 'auto' else backend)


def load_onnx(model: bytes | str, backend: str = 'onnxruntime') -> Runtime:
    """Load an exported model.

    Args:
        model: The model, or its file.
        backend: ``'onnxruntime'``, ``'openvino'`` or ``'openvino-bfloat16'``.

    Raises:
        LabelError: If the backend is not installed or refuses the model.
    """
    try:
        if backend == 'onnxruntime':
            return _onnxruntime(model)
        return _openvino(model, backend)
    except LabelError:
        raise
    except Exception as error:  # the runtimes raise types of their own
        name = model if isinstance(model, str) else 'the exported model'
        text = str(error).strip().splitlines()[0]
        raise LabelError(f'{backend} cannot load {name}: {text}') from error


def check_device(name: str) -> torch.device:
    """A device that can be used.

    Raises:
        LabelError: If there is no such device.
    """
    try:
        device = torch.device(name)
        torch.zeros(1).to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        text = str(error).strip().splitlines()[0]
        raise LabelError(f'device {name} cannot be used ({text}); try cpu') from error
    return device


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


def _fastest() -> str:
    """The runtime that benchmarks/backends.py finds fastest among the exact ones."""
    return 'openvino' if _is_installed('openvino') else 'onnxruntime'


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _openvino(model: bytes | str, backend: str) -> Runtime:
    if not _is_installed('openvino'):
        raise LabelError(f'backend {backend} is not installed: pip install star_pose[openvino]')
    import openvino

    core = openvino.Core()
    loaded = (
        core.read_model(model) if isinstance(model, str) else core.read_model(io.BytesIO(model))
    )
    hint = 'bf16' if backend.endswith('bfloat16') else 'f32'
    settings = {'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': _threads()}
    compiled = core.compile_model(loaded, 'CPU', settings)

    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        found = compiled([pixels])
        return tuple(np.array(found[port]) for port in compiled.outputs)

    return Runtime(backend, run)
