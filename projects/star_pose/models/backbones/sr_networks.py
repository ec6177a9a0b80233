"""Build a super-resolution network of any origin, and know how it wants to be fed."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util

import torch.nn.functional as F
from mmengine.utils.dl_utils import mmcv_full_available
from mmpose.registry import MODELS
from torch import Tensor, nn

__all__ = ['SRNetworkTraits', 'build_sr_network', 'network_traits', 'pad_frames']


@dataclasses.dataclass(frozen=True)
class SRNetworkTraits:
    """How a network wants to be fed.

    Attributes:
        takes: ``'frame'``: (N, 3, h, w) in and out; ``'clip'``: (N, T, 3, h, w) in, and out either
            all frames or the centre frame.
        min_side: Smaller frames are refused by the network, so they are padded to it.
        multiple: The sides must be multiples of it.
        needs_ops: Whether it calls mmcv's compiled operators.
    """

    takes: str = 'frame'
    min_side: int = 1
    multiple: int = 1
    needs_ops: bool = False


# Read in MMagic 1.2.0's assertions. BasicVSR and RealBasicVSR warn below 64 pixels but accept.
_TRAITS = {
    'mmagic.BasicVSRNet': SRNetworkTraits('clip'),
    'mmagic.RealBasicVSRNet': SRNetworkTraits('clip'),
    'mmagic.BasicVSRPlusPlusNet': SRNetworkTraits('clip', min_side=64, needs_ops=True),
    'mmagic.EDVRNet': SRNetworkTraits('clip', multiple=4, needs_ops=True),
    'mmagic.TDANNet': SRNetworkTraits('clip', needs_ops=True),
}


def network_traits(
    name: str, takes: str | None = None, min_side: int | None = None, multiple: int | None = None
) -> SRNetworkTraits:
    """Look a network up by its ``type``; a given argument goes before what is known.

    Raises:
        ValueError: If an argument is out of range.
    """
    given = {'takes': takes, 'min_side': min_side, 'multiple': multiple}
    given = {key: value for key, value in given.items() if value is not None}
    traits = dataclasses.replace(_TRAITS.get(name, SRNetworkTraits()), **given)
    if traits.takes not in ('frame', 'clip') or min(traits.min_side, traits.multiple) < 1:
        raise ValueError(
            f"takes={traits.takes!r} must be 'frame' or 'clip', and min_side={traits.min_side} and "
            f'multiple={traits.multiple} at least 1'
        )
    return traits


def build_sr_network(config: dict) -> nn.Module:
    """Build a network of MMPose's registries or, by the prefix ``mmagic.``, of MMagic.

    MMagic takes seconds to import and brings large dependencies: it is imported here and nowhere
        else.

    Raises:
        ImportError: If MMagic, or an operator that the network calls, is not installed.
    """
    name = str(config['type'])
    if name.startswith('mmagic.'):
        try:
            importlib.import_module('mmagic.models')
        except ImportError as error:
            raise ImportError(
                f'{name} needs MMagic, which cannot be imported ({error}); install it by '
                '`pip install -r requirements/mmagic.txt`'
            ) from error
        if network_traits(name).needs_ops and not mmcv_full_available():
            raise ImportError(
                f"{name} calls mmcv's compiled operators, which mmcv-lite lacks; install mmcv "
                '2.1.0 with operators, and MMagic by `pip install -r requirements/mmagic.txt`'
            )
    return MODELS.build(config)


def pad_frames(frames: Tensor, traits: SRNetworkTraits) -> Tensor:
    """Pad (N, 3, h, w) at the right and bottom to a size that the network accepts.

    Edge pixels are repeated: unlike reflection, that works however small the frame is.
    """
    height, width = frames.shape[-2:]
    target = [
        -(-max(side, traits.min_side) // traits.multiple) * traits.multiple
        for side in (height, width)
    ]
    if target == [height, width]:
        return frames
    return F.pad(frames, (0, target[1] - width, 0, target[0] - height), mode='replicate')
