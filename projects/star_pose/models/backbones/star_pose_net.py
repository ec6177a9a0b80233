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

from ..data_samples import TARGETS, as_clip, check_target, target_index
from ..layers.cnn_branch import NeighbourTexture, ResidualBlock, kaiming_scaled_
from ..layers.st_transformer import STTransformer

__all__ = ['STARPoseNet']

MIN_SIDE = 16
"""The smallest height and width of a frame, in pixels."""


@MODELS.register_module()
class STARPoseNet(BaseModule):
    """A spatial-temporal Transformer and a CNN branch side by side.

    The Transformer sees all frames, on tokens of ``token_stride`` pixels; the CNN branch sees the
    target frame at full resolution. Both return a map of the target frame, which a neck fuses. The
    Transformer's starts at zero, so that the front end starts as the CNN alone, and learns as fast.

    Sizes need not be multiples of the stride (frames are padded and the maps cropped), and any
    number of frames goes through the same weights. A batch of images is a batch of clips with T=1.
    Times are counted in frames of the clip.

    Args:
        embed_channels: Width C of both maps.
        stem_channels: Width of the convolution in front of the CNN branch.
        depth: Transformer blocks; 0: there is no Transformer, and the CNN branch's map alone is
            returned.
        num_cnn_blocks: Residual blocks of the CNN branch.
        token_stride: Pixels between tokens.
        token_channels: Width of the tokens.
        num_heads: Heads of the attention.
        kernel: ``'leaky_relu'``, ``'relu'`` or ``'softmax'``.
        normaliser: ``'absolute'`` or ``'naive'``.
        slope: Slope of the LeakyReLU kernel below zero.
        tokens: What tokens are made of: ``'pixels'`` of each frame, or ``'stem'``: what the stem
            sees in it, which then runs on all frames.
        num_neighbours: Frames beside the target that the CNN branch sees too: half of them before
            and half after it, or all before a target that is the last.
        global_skip: Rectify what enters the residual blocks, and add it to what leaves them.
        target: Which frame the maps belong to: ``'centre'``, ``'last'``, or ``'all'``, which
            returns the maps of every frame, as a batch of N T.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If an argument is not among those named.
    """

    def __init__(
        self,
        embed_channels: int = 32,
        stem_channels: int = 32,
        depth: int = 2,
        num_cnn_blocks: int = 6,
        token_stride: int = 4,
        token_channels: int = 64,
        num_heads: int = 4,
        kernel: str = 'leaky_relu',
        normaliser: str = 'absolute',
        slope: float = 0.1,
        tokens: str = 'pixels',
        num_neighbours: int = 0,
        global_skip: bool = True,
        target: str = 'centre',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if token_stride < 1:
            raise ValueError(f'token_stride is {token_stride}; it must be at least 1')
        if tokens not in ('pixels', 'stem'):
            raise ValueError(f"tokens is {tokens!r}; it must be 'pixels' or 'stem'")
        self.token_stride, self.tokens, self.global_skip = token_stride, tokens, global_skip
        self.target = check_target(target, (*TARGETS, 'all'))

        self.stem = nn.Conv2d(3, stem_channels, 3, padding=1)
        kaiming_scaled_(self.stem)
        self.texture = NeighbourTexture(
            stem_channels, embed_channels, num_neighbours, past_only=target == 'last'
        )
        self.cnn = nn.Sequential(*(ResidualBlock(embed_channels) for _ in range(num_cnn_blocks)))
        self.transformer = None
        if depth:
            pixels = token_stride**2
            # A linear layer, not a strided convolution: oneDNN's bfloat16 convolution of 4x4 and
            # stride 4 is wrong on processors with AMX (torch 2.13.0).
            width = 3 if tokens == 'pixels' else stem_channels
            self.tokenise = nn.Linear(width * pixels, token_channels)
            kaiming_scaled_(self.tokenise)
            form = dict(kernel=kernel, normaliser=normaliser, slope=slope)
            self.transformer = STTransformer(token_channels, depth, num_heads, form)
            self.untokenise = nn.Linear(token_channels, embed_channels * pixels)
            nn.init.zeros_(self.untokenise.weight)
            nn.init.zeros_(self.untokenise.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the maps of the target frame.

        Args:
            x: Clips (N, T, 3, h, w) in time order, or images (N, 3, h, w).

        Returns:
            The target frame (N, 3, h, w), the Transformer's map (N, C, h, w) unless there is none,
            and the CNN branch's (N, C, h, w); N T instead of N with ``target='all'``.

        Raises:
            ValueError: If a shape is not one of these, or a side is below 16 pixels.
        """
        clip = as_clip(x)  # N T 3 h w
        num_frames, (height, width) = clip.shape[1], clip.shape[-2:]
        if min(height, width) < MIN_SIDE:
            raise ValueError(
                f'the frames are {width}x{height} (w x h); each side must be at least {MIN_SIDE}'
            )
        index = target_index(num_frames, 'centre' if self.target == 'all' else self.target)
        shown = slice(None) if self.target == 'all' else slice(index, index + 1)

        padding = (0, -width % self.token_stride, 0, -height % self.token_stride)
        frames = F.pad(clip.flatten(0, 1), padding, mode='replicate')  # NT 3 h' w'
        frames = frames.unflatten(0, (-1, num_frames))  # N T 3 h' w'
        target_alone = self.tokens == 'pixels' and self.texture.steps == (0,)
        seen = frames[:, shown] if target_alone else frames
        features = F.leaky_relu(self.stem(seen.flatten(0, 1)), 0.1)  # NT c h' w'
        features = features.unflatten(0, (-1, seen.shape[1]))  # N T c h' w'

        cnn = self.texture(features, slice(None) if target_alone else shown)  # N C h' w'
        if self.global_skip:
            cnn = F.leaky_relu(cnn, 0.1)
            cnn = cnn + self.cnn(cnn)
        else:
            cnn = self.cnn(cnn)
        maps = [cnn]
        if self.transformer is not None:
            offsets = torch.arange(num_frames, device=x.device) - index
            source = frames if self.tokens == 'pixels' else features
            maps.insert(0, self._transform(source, offsets, shown))
        target = clip[:, shown].flatten(0, 1)  # N 3 h w
        return (target, *(fmap[..., :height, :width] for fmap in maps))

    def _transform(self, frames: Tensor, offsets: Tensor, shown: slice) -> Tensor:
        """Run the Transformer branch: (N, T, c, h', w') -> the map of the frames shown."""
        cells = F.pixel_unshuffle(frames.flatten(0, 1), self.token_stride).permute(0, 2, 3, 1)
        tokens = self.tokenise(cells)  # NT h'/s w'/s css -> NT h'/s w'/s C
        tokens = tokens.unflatten(0, (-1, frames.shape[1]))  # N T h'/s w'/s C
        tokens = self.transformer(tokens, offsets, shown).flatten(0, 1)  # N h'/s w'/s C
        cells = self.untokenise(tokens).permute(0, 3, 1, 2)  # N Css h'/s w'/s
        return F.pixel_shuffle(cells, self.token_stride)  # N C h' w'
