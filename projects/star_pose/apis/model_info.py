"""Count a model's parameters and multiply-accumulates, part by part."""

from __future__ import annotations

import dataclasses

import torch
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ['PartInfo', 'count_parts', 'input_shape']

# Parts that are shown, and how many further levels below each.
_DEPTH = {'backbone': 1, 'neck': 0, 'head': 1, 'head.pose_net': 1, 'head.pose_net.backbone': 0}


@dataclasses.dataclass(frozen=True)
class PartInfo:
    """What one part of a model has and costs.

    Args:
        name: Dotted name of the module.
        parameters: Number of parameters.
        macs: Multiply-accumulates of a forward pass; None where the forward does not run it.
    """

    name: str
    parameters: int
    macs: int | None


def input_shape(cfg: Config, num_frames: int | None = None) -> tuple[int, ...]:
    """Shape of a batch of one as the config's pipeline makes it.

    Args:
        cfg: A config with ``codec`` (its ``input_size`` is (w, h)); ``scale`` and ``num_frames``
            say how much smaller the frames are and how many there are.
        num_frames: Instead of the config's.

    Returns:
        (1, T, 3, h, w), or (1, 3, h, w) where neither names a number of frames.

    Raises:
        ValueError: If the config has no ``codec``.
    """
    codec = cfg.get('codec')
    if codec is None:
        raise ValueError('the config has no `codec`, so its input size is not known: give --size')
    width, height = (side // cfg.get('scale', 1) for side in codec['input_size'])
    num_frames = num_frames or cfg.get('num_frames')
    frames = () if num_frames is None else (num_frames,)
    return (1, *frames, 3, height, width)


@torch.no_grad()
def count_parts(model: nn.Module, shape: tuple[int, ...]) -> list[PartInfo]:
    """Count parameters and multiply-accumulates of an estimator and its parts.

    Convolutions, matrix products (those of attention included) and scaled dot-product attention
    count; element-wise work and interpolation do not. A super-resolution decoder that inference
    leaves out is counted apart, so that what training pays is known too.

    Args:
        model: An MMPose estimator.
        shape: Shape of its input.

    Returns:
        The whole first, under the name of its class, then its parts in the order of the model.
    """
    model.eval()
    inputs = torch.zeros(shape)
    with _MacLedger(model) as ledger:
        model(inputs, None, mode='tensor')
    rows = [PartInfo(type(model).__name__, _count_parameters(model), ledger.macs(''))]
    for name, module in _shown(model):
        rows.append(PartInfo(name, _count_parameters(module), ledger.macs(name)))
    decoder = getattr(getattr(model, 'head', None), 'sr_decoder', None)
    if decoder is not None and ledger.macs('head.sr_decoder') is None:
        feats = model.extract_feat(inputs)
        with _MacLedger(decoder) as ledger:
            decoder(feats[-1], feats[0])
        rows.append(
            PartInfo('head.sr_decoder in training', _count_parameters(decoder), ledger.macs(''))
        )
    return rows


class _MacLedger:
    """Books multiply-accumulates to the innermost named module that runs.

    torch's own counter books an operation to every caller, and a hand-off that calls parts of the
    pose network would then count them as its own.

    Args:
        model: The model whose modules are the accounts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._counter = FlopCounterMode(display=False)
        self._flops: dict[str, int] = {}
        self._running: list[str] = []
        self._booked = 0
        self._model = model
        self._handles = []

    def __enter__(self) -> _MacLedger:
        for name, module in self._model.named_modules():
            self._handles += [
                module.register_forward_pre_hook(lambda *_, name=name: self._enter(name)),
                module.register_forward_hook(lambda *_: self._leave()),
            ]
        self._counter.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self._counter.__exit__(*exception)
        for handle in self._handles:
            handle.remove()

    def macs(self, name: str) -> int | None:
        """Multiply-accumulates of a module and all below it; None where none of them ran."""
        below = f'{name}.' if name else ''
        flops = [n for key, n in self._flops.items() if key == name or key.startswith(below)]
        return sum(flops) // 2 if flops else None

    def _enter(self, name: str) -> None:
        self._book()
        self._flops.setdefault(name, 0)
        self._running.append(name)

    def _leave(self) -> None:
        self._book()
        self._running.pop()

    def _book(self) -> None:
        total = self._counter.get_total_flops()
        if self._running:
            self._flops[self._running[-1]] += total - self._booked
        self._booked = total


def _count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shown(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules that are worth a row, with their names."""
    rows = []
    for name, module in model.named_modules():
        parent, _, _ = name.rpartition('.')
        shown = name in _DEPTH or _DEPTH.get(parent, 0) > 0
        if shown and _count_parameters(module):
            rows.append((name, module))
    return rows
