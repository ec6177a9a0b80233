"""Start a pose network from a published checkpoint, joint by joint where the joints differ."""

from __future__ import annotations

import torch
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from torch import Tensor, nn

from ..checkpoint import CheckpointError, check_fit, made_for, read_checkpoint, select_weights

__all__ = ['PretrainedPoseNet']

FINAL_LAYER = 'head.final_layer.'


@WEIGHT_INITIALIZERS.register_module()
class PretrainedPoseNet:
    """Initialise an estimator, then load a whole checkpoint into it, or refuse.

    MMEngine's ``Pretrained`` loads whatever weights happen to have the right names, and goes by the
    place of a joint: between COCO's 17 joints and PoseTrack18's 17, the left eye would become the
    bottom of the head without a word. Here every weight must fit, and the final layer's channels go
    by the names of the joints; those that the checkpoint does not know start anew.

    For ``init_cfg`` of an MMPose estimator, ``pose_net`` of :class:`STARPoseHead` or any other.

    Args:
        checkpoint: A file, or an address that MMEngine loads from. None: none is loaded, and the
            parts start by their own rules.
        from_joints: Config of the data set whose joints the checkpoint has, such as
            ``'configs/_base_/datasets/coco.py'``, which MMPose brings along. None: the same joints
            in the same order.
        to_joints: The same of the model's joints; needed with ``from_joints`` and only then.

    Raises:
        ValueError: If one of ``from_joints`` and ``to_joints`` is given alone.
    """

    def __init__(
        self,
        checkpoint: str | None,
        from_joints: str | None = None,
        to_joints: str | None = None,
    ) -> None:
        if (from_joints is None) != (to_joints is None):
            raise ValueError(
                f'from_joints={from_joints!r} and to_joints={to_joints!r}: give both or neither'
            )
        self.checkpoint = checkpoint
        self.from_joints, self.to_joints = from_joints, to_joints

    def __call__(self, module: nn.Module) -> None:
        """Initialise the estimator's parts, then load.

        Args:
            module: The estimator, which is modified.

        Raises:
            CheckpointError: As :func:`star_pose.checkpoint.load_weights`; or the final layer does
                not have the channels that the joints ask for.
        """
        # MMEngine initialises the parts after the whole, which would overwrite what is loaded, but
        # never twice.
        for part in module.children():
            if hasattr(part, 'init_weights') and not getattr(part, 'is_init', False):
                part.init_weights()
        if self.checkpoint is None:
            return
        content = read_checkpoint(self.checkpoint)
        weights = select_weights(content, module, self.checkpoint)
        if self.from_joints is not None:
            weights = self._by_names(module.state_dict(), weights)
        check_fit(module, weights, self.checkpoint, made_for(content))
        wanted = module.state_dict()
        module.load_state_dict({n: v for n, v in weights.items() if n in wanted}, strict=False)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'{type(self).__name__}: loaded from {self.checkpoint}')

    def _by_names(self, own: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights with the final layer's channels in the order of the model's joints."""
        known, wanted = (_joint_names(path) for path in (self.from_joints, self.to_joints))
        rows = [(wanted.index(name), known.index(name)) for name in wanted if name in known]
        new, old = (torch.tensor(indices) for indices in zip(*rows, strict=True))
        mapped = dict(weights)
        layers = [name for name in own if name.startswith(FINAL_LAYER)]
        if not layers:
            raise CheckpointError(
                f'checkpoint {self.checkpoint}: from_joints is given, but the pose network has '
                f'no {FINAL_LAYER}weight, whose channels are joints; drop from_joints and to_joints'
            )
        for name in set(layers) & weights.keys():
            sizes = len(weights[name]), len(own[name])
            if sizes != (len(known), len(wanted)):
                raise CheckpointError(
                    f'checkpoint {self.checkpoint}: {name} has {sizes[0]} channels there and '
                    f'{sizes[1]} here, but {self.from_joints} has {len(known)} joints and '
                    f'{self.to_joints} {len(wanted)}; change from_joints and to_joints of init_cfg'
                )
            if weights[name].shape[1:] != own[name].shape[1:]:
                continue  # it fits no joint, and check_fit will say so
            mapped[name] = own[name].clone()
            mapped[name][new] = weights[name][old].to(own[name].dtype)
        return mapped


def _joint_names(path: str) -> list[str]:
    names = parse_pose_metainfo({'from_file': path})['keypoint_id2name']
    return [names[index] for index in range(len(names))]
