"""The head of STAR-Pose: super-resolve the target frame, estimate the pose by any MMPose model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.utils.typing import Features, OptSampleList, Predictions, SampleList
from torch import Tensor, nn

from ..data_samples import check_target, gather_pose_targets
from ..layers.pixel_grid import move_grid
from .evidence_batch import EvidenceBatch
from .head_checks import build_part, check_batch, check_sr_parts
from .pose_handoff import build_handoff
from .pose_teacher import PoseTeacher, build_pose_net, build_twin, freeze, full_precision, to_float
from .supervision import add_pred_sr, distillation_losses, pose_losses, sr_losses

__all__ = ['STARPoseHead']


@MODELS.register_module()
class STARPoseHead(BaseHead):
    """Hand the front end's fused map to a whole pose estimator, supervised by super-resolution.

    The pose network is an ordinary MMPose estimator definition inside the head, so that any model
    of MMPose moves in unchanged and a published checkpoint loads whole (``init_cfg`` of
    ``pose_net``). Of its data preprocessor only ``mean`` and ``std`` are used: frames are handed on
    in its own normalisation. Of its ``test_cfg`` only what the outer one leaves open is used.

    The super-resolved frame is computed in training; at inference only where the hand-off reads it
    or ``test_cfg=dict(output_sr=True)`` asks for it, which puts it in ``data_sample.pred_sr``.

    Layer-wise decay rules and MMPose's distiller read the names of a flat estimator and do not fit
    this nesting.

    Args:
        pose_net: Definition of an MMPose estimator with a head; None to decode the fused map by
            ``head``.
        handoff: ``'image'``, ``'residual'`` or ``'feature'``, or a dict with a registered ``type``.
            Ignored with ``head``.
        sr_decoder: Turns the fused map and the LR frame into the SR frame. None: there is no SR
            frame, or, with ``'image'``, the last map of the input is the SR frame itself (a
            cascade).
        sr_loss: Loss between the SR frame and ``gt_sr``, weighing the pose losses too. None: pose
            losses alone.
        distillation: Config of a loss such as :class:`FrozenNetworkDistillation`, which compares
            what the pose network makes of the clip with what the same network, trained and
            untouched, makes of ``gt_sr``. With a pose network that learns, the untouched one is
            read from ``init_cfg`` of ``pose_net``.
        evidence_fusion: Config of :class:`EvidenceFusion`: the pose head's heatmaps of E frames
            become those of the target. The data preprocessor's ``window`` makes the E clips of
            each sample.
        freeze_pose_net: Leave the pose network as it is: in eval mode and without gradients.
        aux_head: Supervision of the fused map in training, such as :class:`JointMapHead`: the map
            must show the joints. Its loss is ``loss_aux``.
        head: A pose head that decodes the fused map directly; exactly one of it and ``pose_net``.
        target: ``'centre'`` or ``'last'``: the frame that the backbone reconstructs; compared with
            the samples' ``target_idx``.
        in_channels: Channels C of the fused map.
        scale: From the LR frame to the pose network's input. 1: the pose network reads the LR
            frame, and its codec alone speaks of high-resolution pixels.
        mean: What the model's data preprocessor subtracts, RGB in [0, 255].
        std: What it divides by.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If the parts contradict each other; the message says which and what to change.
        TypeError: If ``pose_net`` is not an estimator with backbone and head.
    """

    def __init__(
        self,
        pose_net: dict | None = None,
        handoff: str | dict = 'residual',
        sr_decoder: dict | None = None,
        sr_loss: dict | None = None,
        distillation: dict | None = None,
        freeze_pose_net: bool = False,
        evidence_fusion: dict | None = None,
        aux_head: dict | None = None,
        head: dict | None = None,
        target: str = 'centre',
        in_channels: int = 32,
        scale: int = 4,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if (pose_net is None) == (head is None):
            raise ValueError(
                'give exactly one of `pose_net` (a whole estimator) and `head` (a head alone)'
            )
        if pose_net is None and (freeze_pose_net or distillation is not None):
            raise ValueError('freeze_pose_net and distillation need a pose_net')
        self.target = check_target(target)
        self.in_channels = in_channels
        self.scale = scale
        self.norm = {'mean': tuple(mean), 'std': tuple(std)}
        self.pose_net = None if pose_net is None else build_pose_net(pose_net)
        self.frozen = freeze_pose_net
        if freeze_pose_net:
            freeze(self.pose_net)
        self.head = None if head is None else MODELS.build(head)
        self.handoff = build_handoff(
            'direct' if pose_net is None else handoff, in_channels, scale, self.pose_net, self.norm
        )
        self.sr_decoder = build_part('sr_decoder', sr_decoder, in_channels=in_channels, scale=scale)
        self.sr_loss = None if sr_loss is None else MODELS.build(sr_loss)
        self.aux_head = build_part('aux_head', aux_head, in_channels=in_channels)
        self.evidence_fusion = None if evidence_fusion is None else MODELS.build(evidence_fusion)
        self.batch = EvidenceBatch(self.evidence_fusion, target)
        self.distillation = None if distillation is None else MODELS.build(distillation)
        self.teacher: PoseTeacher | None = None
        if distillation is not None:
            self.distillation.check(self.pose_net)
            self.teacher = PoseTeacher(self.pose_net) if self.frozen else build_twin(pose_net)
        check_sr_parts(self.handoff, self.sr_decoder, self.sr_loss, self._has_sr_loss)
        if self.evidence_fusion is not None and not hasattr(self.decoder, 'heatmap_size'):
            raise ValueError(
                f'evidence_fusion moves heatmaps, but the codec of the pose head is '
                f'{type(self.decoder).__name__}; drop evidence_fusion'
            )

    def init_weights(self) -> None:
        """Initialise, and read the weights of a teacher that is not the pose network itself."""
        super().init_weights()
        if self.teacher is not None and not self.frozen:
            self.teacher.net.init_weights()
            freeze(self.teacher.net)

    def train(self, mode: bool = True) -> STARPoseHead:
        """Set the mode, but for a frozen pose network, which stays in eval."""
        super().train(mode)
        if self.frozen:
            self.pose_net.eval()
        return self

    def _apply(self, fn: Callable, *args, **kwargs) -> STARPoseHead:
        """Take a teacher along to another device or type."""
        super()._apply(fn, *args, **kwargs)
        if self.teacher is not None and not self.frozen:
            self.teacher.net._apply(fn, *args, **kwargs)
        return self

    @property
    def num_evidence(self) -> int:
        """Frames E of each sample whose heatmaps are fused."""
        return self.batch.num_frames

    @property
    def _has_sr_loss(self) -> bool:
        """Whether a loss compares the SR frame itself."""
        pixels = self.distillation is not None and self.distillation.pixel_weight > 0
        return self.sr_loss is not None or (pixels and self.sr_decoder is not None)

    @property
    def optional_parts(self) -> tuple[str, ...]:
        """Parts that poses do not need here: a checkpoint may lack them, or hold them in excess."""
        # Evidence fusion starts as the plain average, which is what an adapted model goes on with.
        parts = ('sr_loss', 'aux_head', 'evidence_fusion')
        return parts if self.handoff.needs_sr else (*parts, 'sr_decoder')

    @property
    def pose_head(self) -> nn.Module:
        """The head that turns features into keypoints."""
        return self.head if self.pose_net is None else self.pose_net.head

    @property
    def decoder(self) -> object:
        """The codec of the pose head."""
        return self.pose_head.decoder

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Return the pose head's raw output (heatmaps, SimCC vectors or coordinates).

        Args:
            feats: The LR target frame (N, 3, h, w) first and the fused map (N, C, h, w) last. With
                evidence fusion there are N E of each.
        """
        return self.batch.fuse(self.evidence(feats), feats[0])

    def evidence(self, feats: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Return what the pose head puts out for each clip by itself, before any fusion.

        A video keeps these maps for a track, with the LR frames ``feats[0]`` that they are of, and
        calls ``evidence_fusion`` with those of the last frames.

        Args:
            feats: As :meth:`forward`, of any number of clips.
        """
        sr = self.super_resolve(feats) if self.handoff.needs_sr else None
        pose_feats = self._pose_features(feats, sr)
        with full_precision(feats[-1]):
            return self.pose_head(pose_feats)

    def super_resolve(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the SR target frame (N, 3, H, W), unclipped.

        Raises:
            ValueError: If there is no decoder and the last map is no RGB frame either.
        """
        if self.sr_decoder is not None:
            return self.sr_decoder(feats[-1], feats[0])
        if feats[-1].shape[1] != 3 or not self.handoff.needs_sr:
            raise ValueError(
                'no SR frame: sr_decoder is None and the last map has shape '
                f'{tuple(feats[-1].shape)}; set sr_decoder, or use SRCascadeBackbone with the '
                'image hand-off'
            )
        return feats[-1]

    def predict(
        self, feats: Features, batch_data_samples: OptSampleList, test_cfg: dict | None = None
    ) -> Predictions:
        """Predict keypoints, as the pose head would on its own features.

        Args:
            feats: As :meth:`forward`; with ``flip_test`` a list of two such tuples, plain and
                flipped.
            batch_data_samples: N samples; with ``output_sr`` each receives ``pred_sr``.
            test_cfg: The outer estimator's; it goes before the pose network's own.

        Returns:
            What the pose head's ``predict`` returns: keypoints in HR pixels.

        Raises:
            ValueError: If the samples contradict ``target`` or the sizes.
        """
        test_cfg = test_cfg or {}
        flip_test = test_cfg.get('flip_test', False)
        views = list(feats) if flip_test else [feats]
        self._check(views[0], batch_data_samples)
        output_sr = test_cfg.get('output_sr', False)
        pose_feats = []
        for index, view in enumerate(views):
            wanted = self.handoff.needs_sr or (output_sr and index == 0)
            sr = self.super_resolve(view) if wanted else None
            if output_sr and index == 0:
                add_pred_sr(self.batch.of_target(sr), batch_data_samples)
            levels = self._pose_features(view, sr)
            pose_feats.append(levels if self.evidence_fusion is None else (levels, view[0]))
        inner = {} if self.pose_net is None else self.pose_net.test_cfg
        test_cfg = {**inner, **test_cfg, 'flip_test': flip_test}
        head = self.pose_head
        head = head if self.evidence_fusion is None else self.batch.fusing_head(head)
        with full_precision(views[0][-1]):
            return head.predict(
                pose_feats if flip_test else pose_feats[0], batch_data_samples, test_cfg=test_cfg
            )

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Compute the pose head's losses and the super-resolution losses.

        Args:
            feats: As :meth:`forward`.
            batch_data_samples: N samples with the pose head's labels; those with ``gt_sr``
                supervise the SR frame, the others decode it with weight 0.
            train_cfg: The outer estimator's.

        Returns:
            dict[str, Tensor]: The pose head's entries, ``loss_sr_*``, and ``psnr`` in dB, to be
            logged.

        Raises:
            ValueError: If the samples contradict ``target`` or the sizes.
        """
        self._check(feats, batch_data_samples)
        needs_sr = self.handoff.needs_sr or self._has_sr_loss
        sr = self.super_resolve(feats) if needs_sr else None
        recording = contextlib.nullcontext()
        if self.distillation is not None:
            recording = self.distillation.record(self.pose_net)
        with recording as seen:
            pose_feats = self._pose_features(feats, sr)
        losses = {}
        with full_precision(feats[-1]):
            sr = None if sr is None else self.batch.of_target(sr.float())
            weight = 1.0 if self.distillation is None else self.distillation.label_weight
            if weight:
                inner = {} if self.pose_net is None else self.pose_net.train_cfg
                losses = pose_losses(
                    self.pose_head,
                    self.batch.of_target(pose_feats),
                    batch_data_samples,
                    {**inner, **(train_cfg or {})},
                    weight,
                )
            if self.sr_loss is not None:
                losses = sr_losses(self.sr_loss, sr, batch_data_samples, losses)
            if self.distillation is not None:
                output = self.batch.fuse(self.pose_head(pose_feats), feats[0])
                levels = {name: self.batch.of_target(level) for name, level in seen.items()}
                frame = self.batch.of_target(feats[0])
                losses.update(self._distil((levels, output), frame, sr, batch_data_samples))
        if self.aux_head is not None:
            joints = gather_pose_targets(batch_data_samples, feats[-1].device)
            fused = move_grid(self.batch.of_target(feats[-1]), self.scale)
            losses['loss_aux'] = self.aux_head.loss(fused, *joints, self.scale)
        return losses

    def _check(self, feats: tuple[Tensor, ...], samples: OptSampleList) -> None:
        """Refuse maps and samples that contradict what the head was built for."""
        size = getattr(self.decoder, 'input_size', None)
        form = self.in_channels, self.scale, self.target, self.num_evidence, size, self.norm
        check_batch(feats, samples, *form)

    def _pose_features(self, feats: tuple[Tensor, ...], sr: Tensor | None) -> tuple[Tensor, ...]:
        """Return the levels that the pose head reads, in fp32: several heads call NumPy on them."""
        return to_float(self.handoff(self.pose_net, feats[0], feats[-1], sr))

    def _distil(
        self,
        view: tuple[dict, Tensor | tuple],
        lr_target: Tensor,
        sr: Tensor | None,
        samples: SampleList,
    ) -> dict[str, Tensor]:
        """Compare the student's view (levels and output) with the teacher's of the HR frame."""
        height, width = (self.scale * side for side in lr_target.shape[-2:])
        like = lr_target.new_zeros((len(lr_target), 3, height, width), dtype=torch.float32)
        return distillation_losses(
            self.distillation,
            view,
            lambda hr: self.teacher.look(self.handoff.to_pose_space(hr), self.distillation),
            sr,
            samples,
            like if sr is None else sr.detach(),
        )
