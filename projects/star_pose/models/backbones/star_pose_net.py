"""The front end of STAR-Pose: a clip of low-resolution frames becomes two maps of one frame.

After the abstract of Jin et al., "STAR-Pose: Efficient Low-Resolution Video Human Pose Estimation
via Spatial-Temporal Adaptive Super-Resolution", arXiv 2506.16061. The layout is a reconstruction.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

from ..layers.neighbour_texture import NeighbourTexture
from ..layers.residual_block import ResidualBlock, kaiming_scaled_
from ..layers.st_transformer import STTransformer
from .target_frame import TARGETS, check_target, target_index

__all__ = ['STARPoseNet']


@MODELS.register_module()
class STARPoseNet(BaseModule):
    """Shared stem, then a spatial-temporal Transformer and a CNN branch side by side.

    The Transformer sees all frames, on tokens of ``token_stride`` pixels; the CNN branch sees the
    target frame and its nearest neighbours at full resolution. Both return a map of the target
    frame, which a neck fuses.

    Sizes need not be multiples of the stride (frames are padded and the maps cropped), and any
    number of frames goes through the same weights. A batch of images is a batch of clips with T=1.

    Args:
        in_channels: Channels of a frame.
        embed_channels: Width C of both branches.
        stem_channels: Width of the shared stem. It is narrow because it is the one layer that sees
            every frame at full resolution, where memory traffic costs more than arithmetic.
        depth: Transformer blocks.
        num_cnn_blocks: Residual blocks of the CNN branch.
        token_stride: Pixels between tokens.
        num_heads: Heads of the attention.
        attention: ``'joint'`` over all T h w tokens, or ``'factorised'`` into space and time.
        kernel: ``'leaky_relu'``, ``'relu'``, ``'elu1'`` or ``'softmax'``.
        normaliser: ``'absolute'``, ``'shift'``, ``'inline'`` or ``'naive'``.
        slope: Slope of the LeakyReLU kernel below zero.
        position: ``'sinusoidal'`` or ``'learned'``.
        ffn_ratio: Width of the feed-forward part in C.
        temporal_kernel: Frames that each block's convolution over time sees; 1 leaves it out.
        num_neighbours: Frames beside the target whose features the CNN branch sees too: half of
            them before and half after it, or all before a target that is the last; 0 leaves them
            out.
        residual_scale: What the scales of the Transformer's residual branches start from.
        target: Which frame the maps belong to: ``'centre'``, ``'last'``, or ``'all'``, which
            returns the maps of every frame, as a batch of N T.
        causal: Let no frame see a later one, and tell times by that alone: what was computed for
            the frames of a stream stays valid when the next one comes. Needs ``target='last'``.
        min_side: The smallest height and width that are accepted, in pixels.
        with_cp: Recompute Transformer blocks in the backward pass to save memory.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If an argument is not among those named, or ``causal`` is asked for a target
            that is not the last frame.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_channels: int = 64,
        stem_channels: int = 16,
        depth: int = 3,
        num_cnn_blocks: int = 3,
        token_stride: int = 4,
        num_heads: int = 4,
        attention: str = 'joint',
        kernel: str = 'leaky_relu',
        normaliser: str = 'absolute',
        slope: float = 0.1,
        position: str = 'sinusoidal',
        ffn_ratio: float = 2.0,
        temporal_kernel: int = 1,
        num_neighbours: int = 2,
        residual_scale: float = 1.0,
        target: str = 'centre',
        causal: bool = False,
        min_side: int = 16,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_target(target, (*TARGETS, 'all'))
        if causal and target != 'last':
            raise ValueError(f"causal needs target='last'; target is {target!r}")
        if token_stride < 1:
            raise ValueError(f'token_stride is {token_stride}; it must be at least 1')
        self.in_channels = in_channels
        self.token_stride = token_stride
        self.target = target
        self.causal = causal
        self.min_side = min_side

        self.stem = nn.Conv2d(in_channels, stem_channels, 3, padding=1)
        # A linear layer, not a strided convolution: with 16 channels, oneDNN's bfloat16 convolution
        # of 4x4 and stride 4 is wrong on processors with AMX (torch 2.13.0).
        self.tokenise = nn.Linear(stem_channels * token_stride**2, embed_channels)
        self.transformer = STTransformer(
            embed_channels,
            depth=depth,
            position=position,
            with_cp=with_cp,
            num_heads=num_heads,
            attention=attention,
            form=dict(kernel=kernel, normaliser=normaliser, slope=slope),
            ffn_ratio=ffn_ratio,
            temporal_kernel=temporal_kernel,
            causal=causal,
            residual_scale=residual_scale,
        )
        self.untokenise = nn.Linear(embed_channels, embed_channels * token_stride**2)
        self.texture = NeighbourTexture(
            stem_channels, embed_channels, num_neighbours, past_only=target == 'last'
        )
        self.cnn = nn.Sequential(*(ResidualBlock(embed_channels) for _ in range(num_cnn_blocks)))
        kaiming_scaled_(self.stem)
        kaiming_scaled_(self.tokenise)

    def forward(self, x: Tensor, frame_offsets: Tensor | None = None) -> tuple[Tensor, ...]:
        """Extract the maps of the target frame.

        Args:
            x: Clips (N, T, in_channels, h, w) in time order, or images (N, in_channels, h, w);
                normalised.
            frame_offsets: (T,), each frame's distance from the target in frames; by default what
                consecutive frames have.

        Returns:
            The target frame (N, in_channels, h, w), the Transformer's map (N, C, h, w) and the CNN
            branch's (N, C, h, w); N T instead of N with ``target='all'``.

        Raises:
            ValueError: If a shape is not one of these, or a side is below ``min_side``.
        """
        clip = self._as_clip(x)  # N T C h w
        _, num_frames, _, height, width = clip.shape
        if self.target == 'all':
            index, shown = target_index(num_frames, 'centre'), slice(None)
        else:
            index = target_index(num_frames, self.target)
            shown = slice(index, index + 1)
        if frame_offsets is None:
            frame_offsets = torch.arange(num_frames, device=x.device) - index
        elif frame_offsets.shape != (num_frames,):
            raise ValueError(
                f'frame_offsets has shape {tuple(frame_offsets.shape)}; '
                f'it must hold one offset for each of the {num_frames} frames'
            )

        features = self._features(clip)  # NT c h' w', padded to the stride
        cells = F.pixel_unshuffle(features, self.token_stride).permute(0, 2, 3, 1)
        tokens = self.tokenise(cells)  # NT h'/s w'/s css -> NT h'/s w'/s C
        tokens = tokens.unflatten(0, (-1, num_frames))  # N T h'/s w'/s C
        positions = torch.zeros_like(frame_offsets) if self.causal else frame_offsets
        tokens = self.transformer(tokens, positions, shown).flatten(0, 1)  # N h'/s w'/s C
        transformer = self.untokenise(tokens).permute(0, 3, 1, 2)  # N Css h'/s w'/s
        transformer = F.pixel_shuffle(transformer, self.token_stride)  # N C h' w'

        features = features.unflatten(0, (-1, num_frames))  # N T c h' w'
        cnn = self.cnn(self.texture(features, frame_offsets, shown))  # N C h' w'
        target = clip[:, shown].flatten(0, 1)  # N 3 h w
        return target, transformer[..., :height, :width], cnn[..., :height, :width]

    def _features(self, clip: Tensor) -> Tensor:
        """The stem's features of every frame, (N T, c, h', w'), padded to the stride."""
        frames = clip.flatten(0, 1)  # NT C h w
        height, width = frames.shape[-2:]
        padding = (0, -width % self.token_stride, 0, -height % self.token_stride)
        if any(padding):
            frames = F.pad(frames, padding, mode='replicate')
        return F.leaky_relu(self.stem(frames), 0.1, inplace=True)

    def _as_clip(self, x: Tensor) -> Tensor:
        """Check the input and give images a time axis of 1: (N, T, C, h, w)."""
        if x.ndim not in (4, 5):
            raise ValueError(
                f'the input has shape {tuple(x.shape)}; it must be a batch of clips '
                '(N, T, C, h, w) or of images (N, C, h, w)'
            )
        clip = x if x.ndim == 5 else x.unsqueeze(1)  # N T C h w
        _, num_frames, channels, height, width = clip.shape
        if num_frames < 1:
            raise ValueError(
                f'the clips have no frame: shape {tuple(x.shape)}, expected (N, T >= 1, C, h, w)'
            )
        if channels != self.in_channels:
            raise ValueError(
                f'the frames have {channels} channels (shape {tuple(x.shape)}); '
                f'in_channels is {self.in_channels}'
            )
        if min(height, width) < self.min_side:
            raise ValueError(
                f'the frames are {width}x{height} (w x h); '
                f'each side must be at least min_side={self.min_side}'
            )
        return clip
