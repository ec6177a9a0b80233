"""Cascade: any super-resolution network first, then a pose network, inside MMPose's estimator."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.utils.dl_utils import mmcv_full_available
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS
from torch import Tensor, nn

from ...checkpoint import check_fit, made_for, read_checkpoint, select_weights
from ..data_samples import as_clip, check_target, denormalise, target_index
from ..heads.sr_decoder import bicubic_upsample

__all__ = ['SRCascadeBackbone']


@dataclasses.dataclass(frozen=True)
class SRNetworkTraits:
    """How a super-resolution network wants to be fed.

    Args:
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
TRAITS = {
    'mmagic.BasicVSRNet': SRNetworkTraits('clip'),
    'mmagic.RealBasicVSRNet': SRNetworkTraits('clip'),
    'mmagic.BasicVSRPlusPlusNet': SRNetworkTraits('clip', min_side=64, needs_ops=True),
    'mmagic.EDVRNet': SRNetworkTraits('clip', multiple=4, needs_ops=True),
    'mmagic.TDANNet': SRNetworkTraits('clip', needs_ops=True),
}


# Where MMagic's wrappers and this package's whole models hold the network.
_PREFIXES = ('generator.', 'backbone.sr.')


@MODELS.register_module()
class SRCascadeBackbone(BaseBackbone):
    """Super-resolve a clip's target frame by a network of MMagic, for the pose network behind it.

    Together with ``STARPoseHead(sr_decoder=None, handoff='image')`` it is a cascade that runs
    through the same estimator, data and metric as STAR-Pose. Super-resolution networks work on RGB
    in [0, 1]: the frames are de-normalised and clamped, super-resolved, and normalised again.

    Args:
        sr: Network, such as ``dict(type='mmagic.BasicVSRNet', ...)``; one that is not MMagic's
            takes single frames. None: torch's bicubic upsampling of the normalised frame,
            unclipped, the baseline that STAR-Pose starts from.
        scale: Upsampling factor; with ``sr=None`` and 1 the LR frame itself is handed on.
        target: ``'centre'`` or ``'last'``.
        frames: ``'all'``: a single-frame network super-resolves every frame of the clip, as a
            cascade over a video does; ``'target'``: the target frame alone. A network over clips
            always sees all.
        frozen: Keep the network in eval mode and untrained.
        checkpoint: Path or URL of the network's weights: published by MMagic, where they are its
            wrapper's ``generator``, written by ``benchmarks/train_sr.py``, or of the bare network.
            They are read in :meth:`init_weights`, all of them or none.
        mean: What the data preprocessor subtracted, RGB in [0, 255].
        std: What it divided by.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If an argument is out of range, or ``checkpoint`` is given without ``sr``.
        ImportError: If MMagic or a compiled operator is missing.
    """

    def __init__(
        self,
        sr: dict | None = None,
        scale: int = 4,
        target: str = 'centre',
        frames: str = 'target',
        frozen: bool = False,
        checkpoint: str | None = None,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if frames not in ('all', 'target'):
            raise ValueError(f"frames is {frames!r}; it must be 'all' or 'target'")
        if sr is None and checkpoint is not None:
            raise ValueError(f'checkpoint={checkpoint!r} is given, but sr=None has no weights')
        if scale < 1:
            raise ValueError(f'scale={scale}: it must be at least 1')
        self.target = check_target(target)
        self.scale, self.frames, self.frozen = scale, frames, frozen
        self.checkpoint = checkpoint
        self.traits = TRAITS.get((sr or {}).get('type'), SRNetworkTraits())
        self.sr = None if sr is None else _build_sr_network(sr, self.traits)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)
        if frozen and self.sr is not None:
            self.sr.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialise, then load the network's checkpoint.

        Raises:
            CheckpointError: As :func:`star_pose.checkpoint.load_weights`.
        """
        first_time = not self.is_init
        super().init_weights()
        if self.checkpoint is None or not first_time:
            return
        content = read_checkpoint(self.checkpoint)
        weights = select_weights(content, self.sr, self.checkpoint)
        for prefix in _PREFIXES:
            inside = {n[len(prefix) :]: w for n, w in weights.items() if n.startswith(prefix)}
            weights = inside or weights
        check_fit(self.sr, weights, self.checkpoint, made_for(content))
        self.sr.load_state_dict(weights, strict=False)

    def train(self, mode: bool = True) -> SRCascadeBackbone:
        """Set the mode, but for a frozen network, which stays in eval."""
        super().train(mode)
        if self.frozen and self.sr is not None:
            self.sr.eval()
        return self

    def _apply(self, fn: Callable, *args, **kwargs) -> SRCascadeBackbone:
        """Keep a network that calls mmcv's operators in plain layout: they refuse channels-last."""
        super()._apply(fn, *args, **kwargs)
        if self.sr is not None and self.traits.needs_ops:
            for parameter in self.sr.parameters():
                parameter.data = parameter.data.contiguous()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Super-resolve the target frame.

        Args:
            x: Clips (N, T, 3, h, w) in time order or images (N, 3, h, w).

        Returns:
            tuple: The LR target frame (N, 3, h, w) and the SR frame (N, 3, H, W).

        Raises:
            ValueError: If the input's shape is not one of these, the network does not upsample by
                ``scale``, or it returns the centre frame and the target is another.
        """
        clip = as_clip(x)  # (N, T, 3, h, w)
        index = target_index(clip.shape[1], self.target)
        target = clip[:, index]  # (N, 3, h, w)
        if self.sr is None:
            return target, bicubic_upsample(target, self.scale)
        only_target = self.traits.takes == 'frame' and self.frames == 'target'
        shown, position = (clip[:, index : index + 1], 0) if only_target else (clip, index)
        return target, self._super_resolve(shown, position)

    def _super_resolve(self, clip: Tensor, index: int) -> Tensor:
        """Run the network on (N, T, 3, h, w) and return the frame at ``index``: (N, 3, H, W)."""
        num_clips, num_frames = clip.shape[:2]
        frames = (denormalise(clip, self.mean, self.std) / 255).clamp(0, 1)
        frames = _pad_frames(frames.flatten(0, 1), self.traits)  # (N T, 3, h', w')
        expected = [side * self.scale for side in frames.shape[-2:]]
        if self.traits.takes == 'clip':
            # MMagic's networks call view(), and some write into their input.
            frames = frames.unflatten(0, (num_clips, num_frames)).contiguous()  # (N, T, 3, h', w')
        # mmcv's operators have no half precision on a CPU.
        full = self.traits.needs_ops and frames.device.type == 'cpu'
        with torch.autocast('cpu', enabled=False) if full else contextlib.nullcontext():
            images = self.sr(frames)
        images = images[0] if isinstance(images, tuple) else images  # TDAN adds aligned frames
        if list(images.shape[-2:]) != expected:
            raise ValueError(
                f'{type(self.sr).__name__} made frames of {tuple(images.shape[-2:])} (h, w) where '
                f'scale={self.scale} asks for {tuple(expected)}'
            )
        if self.traits.takes == 'frame':
            images = images.unflatten(0, (num_clips, num_frames))  # (N T, ...) -> (N, T, 3, H', W')
        image = self._select(images, index, num_frames)
        height, width = (side * self.scale for side in clip.shape[-2:])
        image = image[..., :height, :width]
        # In bf16, 255 levels and a mean would share 8 bits.
        return (image.float() * 255 - self.mean) / self.std

    def _select(self, images: Tensor, index: int, num_frames: int) -> Tensor:
        """Take the target out of all frames (N, T, 3, H, W), or accept the centre (N, 3, H, W)."""
        if images.ndim == 5:
            return images[:, index]
        if index != num_frames // 2:
            raise ValueError(
                f'{type(self.sr).__name__} reconstructs the centre frame, but target='
                f"{self.target!r} is frame {index} of {num_frames}; use target='centre'"
            )
        return images


def _build_sr_network(config: dict, traits: SRNetworkTraits) -> nn.Module:
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
        if traits.needs_ops and not mmcv_full_available():
            raise ImportError(
                f"{name} calls mmcv's compiled operators, which mmcv-lite lacks; install mmcv "
                '2.1.0 with operators, and MMagic by `pip install -r requirements/mmagic.txt`'
            )
    return MODELS.build(config)


def _pad_frames(frames: Tensor, traits: SRNetworkTraits) -> Tensor:
    """Pad (N, 3, h, w) at the right and bottom to a size that the network accepts.

    Edge pixels are repeated: unlike reflection, that works however small the frame is.
    """
    height, width = frames.shape[-2:]
    bottom, right = (
        -(-max(side, traits.min_side) // traits.multiple) * traits.multiple - side
        for side in (height, width)
    )
    return F.pad(frames, (0, right, 0, bottom), mode='replicate') if bottom or right else frames
