"""The front end and the decoder as a pure super-resolution network, for MMagic or on its own."""

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

__all__ = ['STARPoseSRNet']


@MODELS.register_module()
class STARPoseSRNet(BaseModule):
    """Super-resolve every frame of a clip, or an image: a generator as MMagic's models expect it.

    Frames are RGB in [0, 1], as MMagic's networks have them. They are normalised inside by the
    same mean and standard deviation as the pose model's, so that the weights of ``backbone``,
    ``neck`` and ``sr_decoder`` move between the two. In a config of MMagic the type is
    ``'mmpose.STARPoseSRNet'``.

    Args:
        backbone: Config of :class:`~star_pose.models.backbones.star_pose_net.STARPoseNet`;
            its ``target`` is set to ``'all'`` here.
        neck: Config of the fusion.
        sr_decoder: Config of the decoder, called with the fused map and the frame.
        mean: Mean of the channels, RGB in [0, 255].
        std: Standard deviation of the channels, alike.
        init_cfg: As :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: If ``backbone`` names another target.
    """

    def __init__(
        self,
        backbone: dict | None = None,
        neck: dict | None = None,
        sr_decoder: dict | None = None,
        mean: tuple[float, float, float] = (123.675, 116.28, 103.53),
        std: tuple[float, float, float] = (58.395, 57.12, 57.375),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        backbone = dict(type='STARPoseNet', target='all') | (backbone or {})
        if backbone['target'] != 'all':
            raise ValueError(
                f"the backbone's target is {backbone['target']!r}; a super-resolver needs every "
                "frame: leave it out, or set target='all'"
            )
        # MMagic builds this class while its own scope is the default one.
        self.backbone = MODELS.build(_in_mmpose(backbone))
        self.neck = MODELS.build(_in_mmpose(neck or dict(type='AdaptiveFusionNeck')))
        self.sr_decoder = MODELS.build(
            _in_mmpose(sr_decoder or dict(type='PixelShuffleSRDecoder', scale=4))
        )
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1) / 255, persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1) / 255, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Super-resolve.

        Args:
            x: Clips (N, T, 3, h, w) in time order, or images (N, 3, h, w); RGB in [0, 1].

        Returns:
            (N, T, 3, H, W) or (N, 3, H, W), RGB, unclipped.
        """
        feats = self.neck(self.backbone((x - self.mean) / self.std))
        frames = self.sr_decoder(feats[-1], feats[0]) * self.std + self.mean  # NT 3 H W
        return frames.unflatten(0, x.shape[:2]) if x.ndim == 5 else frames


def _in_mmpose(config: dict) -> dict:
    """Name the registry in which an unprefixed type is looked up."""
    scoped = config['type'] if '.' in config['type'] else f'mmpose.{config["type"]}'
    return config | dict(type=scoped)
