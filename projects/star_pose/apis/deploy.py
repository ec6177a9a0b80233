"""A trained model as one plain network in front of MMPose's own head: folded, and compiled."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable

import torch
from mmcv.cnn import fuse_conv_bn
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor, nn

from ..models.heads.star_pose_head import STARPoseHead

__all__ = ['DeployedNetwork', 'deploy']

TOLERANCE = 1e-4
"""How far folding may move the features, relative to their largest value."""


class _PoseFeatures(nn.Module):
    """Everything of a model that comes before its pose head, as one network."""

    def __init__(self, model: TopdownPoseEstimator) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.handoff = model.head.handoff
        self.pose_net = model.head.pose_net
        self.sr_decoder = model.head.sr_decoder if self.handoff.needs_sr else None

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """(N, T, 3, h, w) -> the levels that the pose head reads, fp32."""
        feats = self.neck(self.backbone(clip))
        sr = feats[-1] if self.sr_decoder is None else self.sr_decoder(feats[-1], feats[0])
        levels = self.handoff(self.pose_net, feats[0], feats[-1], sr)
        return tuple(level.float() for level in levels)


class DeployedNetwork(nn.Module):
    """A network for inference, in a type of its own, compiled for one shape of its input.

    Args:
        network: The network; it takes one tensor.
        dtype: Type of the arithmetic: float32, or what autocast shall use.
        example: Input of the shape to compile for; None: it is not compiled.
    """

    def __init__(
        self, network: nn.Module, dtype: torch.dtype, example: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.compiled: Callable | None = None
        if example is not None:
            self.shape = example.shape
            self.compiled = self._compile(example)

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Run the compiled form for the shape that it was made for, and the plain one for others.

        Args:
            clip: (N, T, 3, h, w) or (N, 3, h, w), normalised.

        Returns:
            tuple[Tensor, ...]: What the network returns.
        """
        run = self.network
        if self.compiled is not None and clip.shape == self.shape:
            run = self.compiled
        with torch.no_grad(), self._autocast(clip):
            return run(clip)

    def _compile(self, example: Tensor) -> Callable:
        with torch.no_grad(), self._autocast(example):
            graph = torch.export.export(self.network, (example,), strict=False).module()
        # These state types that are true under the autocast of the export alone.
        for node in list(graph.graph.nodes):
            if node.target == torch.ops.aten._assert_tensor_metadata.default:
                graph.graph.erase_node(node)
        graph.recompile()
        # Freezing makes the weights constants, which the compiler may reorder and convert.
        run = torch.compile(graph, options={'freezing': True})
        with torch.no_grad(), self._autocast(example):
            run(example)
        return run

    def _autocast(self, like: Tensor) -> contextlib.AbstractContextManager:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(like.device.type, self.dtype)


def deploy(
    model: TopdownPoseEstimator,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    compiled: bool = True,
) -> TopdownPoseEstimator:
    """Turn a trained model into a faster one that predicts the same keypoints.

    All that comes before the pose head becomes one network: batch norms are folded into the
    convolutions before them, weights are laid out channels-last, and ``torch.compile`` fuses the
    rest. The result is MMPose's own ``TopdownPoseEstimator`` with the pose network's head, for the
    same samples.

    In float32 the result differs by the rounding of another order of summation; in bfloat16 as
    under autocast. There is no super-resolved frame to show, and nothing left to train.

    Args:
        model: A model with a :class:`STARPoseHead`, a baseline's or a cascade's too. It is not
            changed.
        shape: Shape (N, T, 3, h, w) of the clips. Others run too, but uncompiled.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
        compiled: Whether to compile, which takes about a minute and, on a CPU, a C++ compiler.

    Returns:
        TopdownPoseEstimator: In eval mode, with the same ``test_cfg``.

    Raises:
        TypeError: If the model has no :class:`STARPoseHead`.
        ValueError: If ``dtype`` is another one, the model fuses evidence, or folding changed the
            features: a backbone whose batch norms do not follow the convolution that is defined
            before them.
    """
    if not isinstance(getattr(model, 'head', None), STARPoseHead):
        raise TypeError(
            f'{type(model).__name__} has no STARPoseHead; deploy() takes models of this package'
        )
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f'dtype is {dtype}; it must be torch.float32 or torch.bfloat16')
    if model.head.evidence_fusion is not None:
        raise ValueError(
            'deploy() makes a network of single frames: set model.head.evidence_fusion=None and '
            'fuse the maps that it puts out'
        )
    model = copy.deepcopy(model).eval().requires_grad_(False)
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0), device='cpu').to(
        next(model.parameters()).device
    )
    network = _fold(_PoseFeatures(model), example)
    head = model.head
    inner = {} if head.pose_net is None else head.pose_net.test_cfg
    model.test_cfg = {**inner, **(model.test_cfg or {})}
    model.backbone = DeployedNetwork(network, dtype, example if compiled else None)
    model.neck, model.head = None, head.pose_head
    return model


@torch.no_grad()
def _fold(network: nn.Module, example: Tensor) -> nn.Module:
    """Fold batch norms and lay the weights out channels-last; check that nothing else changed."""
    expected = network(example)
    network = fuse_conv_bn(network).to(memory_format=torch.channels_last)
    for level, wanted in zip(network(example), expected, strict=True):
        error = (level - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12)
        if not error <= TOLERANCE:
            raise ValueError(
                f'folding batch norms moved the features by {float(error):.1e} of their largest '
                f'value, allowed are {TOLERANCE}: this backbone defines its layers in another '
                'order than it runs them'
            )
    return network
