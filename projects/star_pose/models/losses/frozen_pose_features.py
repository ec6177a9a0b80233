"""Early features of a frozen pose network, for a loss that compares what such a network sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['FrozenPoseFeatures']


class _Stop(Exception):
    """Ends the network's forward behind the last wanted layer."""


class _Shared:
    """Holds a network out of its owner's sub-modules, and shared between deep copies.

    Thus it is in no state dict, no optimiser and no DDP bucket, and an EMA copy does not double it.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __deepcopy__(self, memo: dict) -> _Shared:
        return self


@MODELS.register_module()
class FrozenPoseFeatures(nn.Module):
    """Run the early stages of a frozen pose network.

    The network stays in eval mode whatever its owner does, and outside the owner's state dict.
    Gradients flow through it to the image. It reads normalised RGB as the model does: its
    published mean and std must be those of the data preprocessor, which for MMPose's models are
    ImageNet's.

    Args:
        config: Path of an MMPose config (also ``mmpose::...``), or of one of this package, whose
            nested pose network is taken; exactly one of it and ``model``.
        model: Definition of an MMPose estimator.
        checkpoint: Path or URL of its weights. None: the weights are those of ``init_cfg``, or
            random.
        layers: Names of the backbone's modules whose outputs are compared, such as ``'layer1'``
            (HRNet, ResNet) or ``'stage2'``.

    Raises:
        ValueError: If both or neither of ``config`` and ``model`` are given, or a layer does not
            exist.
    """

    def __init__(
        self,
        config: str | None = None,
        model: dict | None = None,
        checkpoint: str | None = None,
        layers: tuple[str, ...] = ('layer1',),
    ) -> None:
        super().__init__()
        if (config is None) == (model is None):
            raise ValueError('give exactly one of `config` (a path) and `model` (a definition)')
        net = _build(_read_model(config) if model is None else model, checkpoint)
        names = dict(net.backbone.named_modules())
        if not layers or not set(layers) <= set(names):
            stages = [name for name, _ in net.backbone.named_children()]
            raise ValueError(
                f'layers={tuple(layers)}: name modules of {type(net.backbone).__name__}, '
                f'such as its stages {stages}'
            )
        self.layers = tuple(layers)
        self._shared = _Shared(net.backbone)

    @property
    def net(self) -> nn.Module:
        """The frozen backbone."""
        return self._shared.net

    def _apply(self, fn: Callable, recurse: bool = True) -> FrozenPoseFeatures:
        """Follow ``.to()``, ``.cuda()`` and ``.double()`` of the owner."""
        super()._apply(fn, recurse)
        self.net._apply(fn)
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the outputs of the wanted layers.

        Args:
            image: (N, 3, H, W), normalised RGB.

        Returns:
            list[Tensor]: (N, C_i, h_i, w_i) in the order in which the network computes them.
        """
        found: list[Tensor] = []

        def keep(module: nn.Module, args: tuple, output: Tensor | list | tuple) -> None:
            levels = [output] if isinstance(output, Tensor) else list(output)
            # A later in-place ReLU must not change what was kept.
            found.extend(level.clone() for level in levels)
            kept.append(module)
            if len(kept) == len(self.layers):
                raise _Stop

        kept: list[nn.Module] = []
        handles = [self.net.get_submodule(name).register_forward_hook(keep) for name in self.layers]
        try:
            self.net(image)
        except _Stop:
            return found
        finally:
            for handle in handles:
                handle.remove()
        return found


def _read_model(config: str) -> dict:
    """Read the ``model`` of a config file, or of an installed package's (``mmpose::...``)."""
    return (get_config(config) if '::' in config else Config.fromfile(config)).model


def _build(definition: dict, checkpoint: str | None) -> nn.Module:
    # A config of MMPose names its types without a scope.
    init_default_scope('mmpose')
    net = MODELS.build(
        {key: value for key, value in definition.items() if key != 'data_preprocessor'}
    )
    if checkpoint is not None:
        load_checkpoint(net, checkpoint, map_location='cpu')
    elif definition.get('init_cfg') is not None:
        net.init_weights()
    else:
        print_log(
            'FrozenPoseFeatures compares features of random weights: set `checkpoint`', level=30
        )
    # The pose network of a config of this package is nested in its head.
    net = getattr(net.head, 'pose_net', None) or net
    net.requires_grad_(False)
    net.eval()
    return net


def relative_error(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared distance of two maps over the second's weighted energy.

    Args:
        first: (N, C, h, w).
        second: (N, C, h, w), taken as constant.
        weight: (N, 1, h, w), >= 0.

    Returns:
        Tensor: (N,); 0 where the weight is 0 everywhere.
    """
    second = second.detach()
    distance = ((first - second).square() * weight).flatten(1).sum(1)  # (N, C, h, w) -> (N,)
    energy = (second.square() * weight).flatten(1).sum(1)
    tiny = torch.finfo(energy.dtype).tiny ** 0.5
    return distance / energy.clamp(min=tiny)
