"""Train what super-resolves in a config, before and without its pose network, on a pool's crops.

    python benchmarks/train_sr.py configs/cascades/edsr_tiny_64x48_posetrack.py --pool POOL --out SR

That is the network of an ``SRCascadeBackbone``, or front end, neck and SR decoder of STAR-Pose. The
loss is the L1 distance to the high-resolution crop inside the source image, as EDSR was trained
(Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017). The
weights are saved under the names that they have in the whole model, so that ``accuracy.py
--load-from`` finds them.
"""

from __future__ import annotations

import argparse
import pathlib

import torch
from accuracy import load_parts
from mmengine.config import DictAction
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpose.registry import MODELS

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.engine.config_options import read_config
from star_pose.models.data_samples import masked_psnr


class SuperResolver(BaseModel):
    """A whole model of which only the way to the super-resolved frame is run and trained.

    Args:
        model: Definition of the model; a cascade's network is thawed.
    """

    def __init__(self, model: dict) -> None:
        if model.backbone.type == 'SRCascadeBackbone':
            model.backbone.update(frozen=False, checkpoint=None)
        model.head.pose_net.init_cfg = None  # it is not run
        whole = MODELS.build(model)
        super().__init__(whole.data_preprocessor)
        whole.init_weights()
        self.backbone, self.head = whole.backbone, whole.head
        self.neck = whole.neck if whole.with_neck else None
        self.head.requires_grad_(False)
        if self.head.sr_decoder is not None:
            self.head.sr_decoder.requires_grad_(True)
        std = torch.tensor(model.data_preprocessor.std) / 255
        self.register_buffer('std', std.view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> SuperResolver:
        """Switch the mode of all but the pose network, whose statistics stay as they are."""
        super().train(mode)
        self.head.pose_net.eval()
        return self

    def forward(self, inputs: torch.Tensor, data_samples: list, mode: str) -> dict:
        """Return the losses, and PSNR to be logged."""
        feats = self.backbone(inputs)
        feats = feats if self.neck is None else self.neck(feats)
        sr = self.head.super_resolve(feats).float()
        hr = torch.stack([sample.gt_sr.img for sample in data_samples])
        mask = torch.stack([sample.gt_sr.mask for sample in data_samples]).float()
        error = ((sr - hr) * self.std).abs() * mask
        loss = error.sum() / (3 * mask.sum()).clamp(min=1)
        return {'loss': loss, 'psnr': masked_psnr(sr.detach(), hr, mask, data_samples)}

    def trained(self) -> dict[str, torch.Tensor]:
        """Return the state of what was trained."""
        skipped = ('head.pose_net.', 'head.sr_loss.', 'data_preprocessor.')
        return {k: v for k, v in self.state_dict().items() if not k.startswith(skipped)}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('--pool', type=pathlib.Path, required=True, help='folder of clip_pool.py')
    parser.add_argument('--out', type=pathlib.Path, required=True, help='file for the weights')
    parser.add_argument('--load-from', type=pathlib.Path, help='checkpoint with the pose network')
    parser.add_argument('--steps', type=int, default=600)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--lr', type=float, default=4e-4)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes of the config')
    return parser.parse_args()


def main() -> None:
    """Train, then save the weights."""
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    torch.manual_seed(0)
    steps = {step['type']: step for step in config.train_dataloader.dataset.pipeline}
    clips = dict(
        type='PooledClips',
        path=str(args.pool / 'train.pth'),
        num_frames=steps['SampleClipFrames']['num_frames'],
    )
    net = SuperResolver(config.model)
    if args.load_from is not None:
        load_parts(net, args.load_from)
    runner = Runner(
        net.to(memory_format=torch.channels_last),
        work_dir=str(args.out.with_suffix('')),
        train_dataloader=dict(
            dataset=clips, batch_size=args.batch, sampler=dict(type='InfiniteSampler', seed=0)
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=args.steps),
        optim_wrapper=dict(type='AutocastOptimWrapper', optimizer=dict(type='Adam', lr=args.lr)),
        param_scheduler=dict(type='CosineAnnealingLR', by_epoch=False, T_max=args.steps),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=100)),
        log_processor=dict(by_epoch=False, window_size=50),
        randomness=dict(seed=0),
        resume=True,
        default_scope='mmpose',
    )
    runner.train()
    torch.save({'state_dict': net.trained()}, args.out)


if __name__ == '__main__':
    main()
