"""Linear attention over a feature map, as a neck on any backbone of MMPose."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

from ..layers.st_transformer import STTransformer

__all__ = ['LinearAttentionNeck']


@MODELS.register_module()
class LinearAttentionNeck(BaseModule):
    """Let every place of one of a backbone's maps attend to all others, in linear cost.

    The result is added to the map through a projection that starts at zero, so that a pretrained
    backbone and head start with what they computed before.

    Args:
        in_channels: Channels of the map.
        embed_channels: Width C of the attention; a multiple of 4 and of ``num_heads``.
        depth: Transformer blocks.
        index: Which of the backbone's maps; the others are passed through.
        num_heads: Heads of the attention.
        kernel: ``'leaky_relu'``, ``'relu'`` or ``'softmax'``.
        normaliser: ``'absolute'`` or ``'naive'``.
        slope: Slope of the LeakyReLU kernel below zero.
        init_cfg: As :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        embed_channels: int = 64,
        depth: int = 2,
        index: int = -1,
        num_heads: int = 4,
        kernel: str = 'leaky_relu',
        normaliser: str = 'absolute',
        slope: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.index = index
        self.project_in = nn.Linear(in_channels, embed_channels)
        self.transformer = STTransformer(
            embed_channels,
            depth,
            num_heads,
            dict(kernel=kernel, normaliser=normaliser, slope=slope),
        )
        self.project_out = nn.Linear(embed_channels, in_channels)
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, feats: Sequence[Tensor] | Tensor) -> tuple[Tensor, ...]:
        """Refine one map.

        Args:
            feats: Maps (N, in_channels, h, w), of which ``index`` is taken, or a single one.

        Returns:
            As many maps, that one refined.

        Raises:
            ValueError: If there is no such map or its channels are not ``in_channels``.
        """
        feats = [feats] if isinstance(feats, Tensor) else list(feats)
        if not -len(feats) <= self.index < len(feats):
            raise ValueError(f'index is {self.index}, but the backbone gives {len(feats)} maps')
        x = feats[self.index]
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'map {self.index} has shape {tuple(x.shape)}; it must be '
                f'(N, {self.in_channels}, h, w), in_channels={self.in_channels}'
            )
        tokens = self.project_in(x.permute(0, 2, 3, 1)).unsqueeze(1)  # N 1 h w C
        now = torch.zeros(1, device=x.device)
        tokens = self.transformer(tokens, now).squeeze(1)  # N h w C
        feats[self.index] = x + self.project_out(tokens).permute(0, 3, 1, 2)  # N in_channels h w
        return tuple(feats)
