"""A pose network as one ONNX file: checked against PyTorch on clips, and in 8-bit integers."""

from __future__ import annotations

import contextlib
import logging
import os.path as osp
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ..datasets.errors import LabelError
from .frame_sources import open_source

__all__ = ['Agreement', 'compare', 'cut_clips', 'label_model', 'quantise']

TIE = 1e-4
"""Maxima that differ by less, relative to the larger one, count as one."""


def cut_clips(model, sources: Sequence[object], boxes: Callable, most: int) -> np.ndarray:
    """Cut people out of videos, as the network will see them.

    Args:
        model: A :class:`~star_pose.apis.pose_model.PoseModel`.
        sources: See :func:`~star_pose.apis.frame_sources.open_source`; they share the number.
        boxes: Called with (index, image) to give boxes (N, 4) and scores.
        most: Largest number of people.

    Returns:
        (N, T, 3, h, w) or (N, 3, h, w) uint8.

    Raises:
        LabelError: If nobody is found.
    """
    clips = []
    for number, source in enumerate(sources):
        share = most * (number + 1) // len(sources)
        for index, images in _windows(model, source):
            if len(clips) >= share:
                break
            found, _ = boxes(index, images[model.target_index])
            if len(found):
                clips += list(model.cut(images, found).pixels)
        del clips[share:]
    if not clips:
        raise LabelError(
            'no people were found to check the network on: give videos in which they are seen'
        )
    return np.stack(clips)


def _windows(model, source: object) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Clips of a video that share no frame; a picture is a clip by itself."""
    opened = open_source(source)
    length = 1 if opened.is_still else model.num_frames
    window: deque = deque(maxlen=length)
    for frame in opened.frames():
        window.append(frame)
        if len(window) == length:
            images = [kept.image for kept in window]
            target = window[min(model.target_index, length - 1)]
            yield target.index, images * (model.num_frames if opened.is_still else 1)
            window.clear()


@dataclass
class Agreement:
    """How far the outputs of two runtimes are alike.

    Attributes:
        equal: Share of the maps (or vectors) whose maximum is at the same place; for outputs that
            have no maximum, such as coordinates, 1.
        error: Largest difference, relative to the largest value.
    """

    equal: float
    error: float

    @property
    def is_exact(self) -> bool:
        """Whether the one can stand for the other."""
        return self.equal == 1 and self.error < 1e-2


def compare(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Agreement:
    """Compare the outputs of two runtimes for the same clips.

    Args:
        expected: Heatmaps (N, K, h, w), vectors (N, K, W) or coordinates (N, K, 2).
        found: The same of the other.
    """
    equal, error = [], 0.0
    for wanted, given in zip(expected, found, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-12)
        error = max(error, float(np.abs(wanted - given).max()) / scale)
        if wanted.ndim == 4 or wanted.shape[-1] > 2:
            flat = wanted.reshape(*wanted.shape[:2], -1)
            place = given.reshape(flat.shape).argmax(-1)
            there = np.take_along_axis(flat, place[..., None], -1)[..., 0]
            top = flat.max(-1)
            equal.append((top - there <= TIE * np.abs(top)).mean())
    return Agreement(float(np.mean(equal)) if equal else 1.0, error)


def quantise(model: bytes, clips: np.ndarray, batch: int = 8) -> bytes:
    """Let the convolutions of an exported network compute in 8-bit integers.

    Statically, by quantise and dequantise nodes that both runtimes understand: each channel of a
    convolution's weights has a scale of its own, and each map the range that it has on the clips,
    behind its rectifier. Everything else, attention above all, stays in float32.

    Args:
        model: Of :func:`~star_pose.apis.runtimes.export_onnx`.
        clips: (N, ...) uint8, such as the network will see: some dozens.
        batch: Clips that go through at a time.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = (clips[n : n + batch] for n in range(0, len(clips), batch))

        def get_next(self) -> dict | None:
            pixels = next(self.batches, None)
            return None if pixels is None else {'pixels': pixels}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, prepared, done = (
            osp.join(folder, f'{name}.onnx') for name in ('plain', 'prepared', 'done')
        )
        with open(plain, 'wb') as file:
            file.write(model)
        # Constants are folded and shapes inferred first: the quantiser sees bare convolutions
        quantization.shape_inference.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            done,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=['Conv', 'Relu', 'Clip'],  # a rectifier becomes its map's range
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        with open(done, 'rb') as file:
            return file.read()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which is about what was done already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def label_model(model: bytes, labels: Mapping[str, str]) -> bytes:
    """Write into an exported model what it was made of."""
    parsed = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(parsed, {**labels})
    return parsed.SerializeToString()
