"""Adaptive fusion: learned weights, at every pixel and channel, between branches of one size."""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

__all__ = ['AdaptiveFusionNeck']


@MODELS.register_module()
class AdaptiveFusionNeck(BaseModule):
    """Fuse same-size maps by a softmax over the branches, for each pixel and channel.

    The weights come from all branches together. They sum to the number of branches, and start at 1
    each: as the sum of the branches.

    Args:
        in_channels: Channels C of each branch.
        num_branches: Number B of branches.
        reduction: The weights are computed on C / ``reduction`` channels.
        weighted: Whether the weights are learned; False: the plain sum.
        norm_cfg: Norm of the fused map, which is then rectified, as a pose network's own stem hands
            it on: for the hand-off ``feature``. None: neither norm nor rectification.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If ``num_branches`` is below 1.
    """

    def __init__(
        self,
        in_channels: int = 32,
        num_branches: int = 2,
        reduction: int = 2,
        weighted: bool = True,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_branches < 1:
            raise ValueError(f'num_branches is {num_branches}; it must be at least 1')
        self.in_channels = in_channels
        self.num_branches = num_branches
        self.weighted = weighted
        self.norm = None
        if norm_cfg is not None:
            self.norm = build_norm_layer(norm_cfg, in_channels)[1]
        if not weighted:
            return
        hidden = max(in_channels // reduction, 1)
        self.squeeze = nn.Conv2d(num_branches * in_channels, hidden, 1)
        self.context = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.excite = nn.Conv2d(hidden, num_branches * in_channels, 1)
        nn.init.normal_(self.excite.weight, std=1e-3)
        nn.init.zeros_(self.excite.bias)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse the branches.

        Args:
            feats: The B branches, (N, C, h, w) each; one map before them is passed through.

        Returns:
            The map before the branches, if there is one, and the fused map (N, C, h, w).
        """
        *passed, branches = self._split(feats)
        if not self.weighted:
            fused = sum(branches)
        else:
            weights = self.num_branches * self.fusion_weights(feats)
            fused = (weights * torch.stack(branches, 1)).sum(1)  # N C h w
        return (*passed, fused if self.norm is None else F.relu(self.norm(fused)))

    def fusion_weights(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the share of each branch at every pixel and channel.

        Args:
            feats: As for :meth:`forward`.

        Returns:
            (N, B, C, h, w), in [0, 1]; they sum to 1 over B.
        """
        branches = self._split(feats)[-1]
        hidden = F.gelu(self.context(self.squeeze(torch.cat(branches, 1))))
        logits = self.excite(hidden).unflatten(1, (self.num_branches, -1))  # N B C h w
        return logits.softmax(1)

    def _split(self, feats: Sequence[Tensor]) -> tuple:
        """Part ``feats`` into what is passed through and the list of branches; check them."""
        extra = len(feats) - self.num_branches
        if extra not in (0, 1):
            raise ValueError(
                f'the neck got {len(feats)} maps; num_branches={self.num_branches} needs that '
                'many, or one more before them, which is passed through'
            )
        branches = list(feats[extra:])
        shapes = [tuple(branch.shape) for branch in branches]
        if any(shape != shapes[0] or shape[1] != self.in_channels for shape in shapes):
            raise ValueError(
                f'the branches have shapes {shapes}; they must be equal, with '
                f'in_channels={self.in_channels} channels'
            )
        return (*feats[:extra], branches)
