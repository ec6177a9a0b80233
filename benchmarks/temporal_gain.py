"""What other frames are worth to super-resolution: moving photographs, one change at a time.

    python benchmarks/temporal_gain.py --images FOLDER_OF_PHOTOGRAPHS --steps 800

Crops of photographs move along random sub-pixel paths (a velocity, a jitter, a slow turn), are
averaged to a quarter of their size and get noise. The front end and the decoder, at half their
width, learn the target frame. All variants see the same clips in the same order; the one with T=1
gets the target frame alone. What is told is the PSNR over bicubic upsampling on held-out clips.

Writes ``benchmarks/results/temporal_gain.json``.
"""

from __future__ import annotations

import argparse
import pathlib
import shlex
import sys

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from harness import write_result
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from rich.progress import track
from torch import Tensor, nn

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.posetrack.evaluate import markdown_table

CHANNELS, NUM_FRAMES, SCALE = 32, 5, 4
SIZE, PHOTO = (96, 128), (144, 192)  # (w, h) of the high-resolution frame, and of what it moves in
NOISE = 0.02  # standard deviation, as a share of that of the photographs' pixels
NUM_HELD_OUT = 64
VARIANTS = {
    'T=1': (1, {}),
    'T=5': (5, {}),
    'T=5, neighbours in the CNN branch': (5, dict(num_neighbours=2)),
}


class SuperResolver(nn.Module):
    """Front end and decoder: (N, T, 3, h, w) -> (N, 3, 4 h, 4 w)."""

    def __init__(self, **backbone) -> None:
        super().__init__()
        self.backbone = MODELS.build(
            dict(type='STARPoseNet', embed_channels=CHANNELS, token_stride=2) | backbone
        )
        self.neck = MODELS.build(dict(type='AdaptiveFusionNeck', in_channels=CHANNELS))
        self.decoder = MODELS.build(
            dict(type='PixelShuffleSRDecoder', in_channels=CHANNELS, mid_channels=CHANNELS)
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Super-resolve the target frame."""
        feats = self.neck(self.backbone(clip))
        return self.decoder(feats[-1], feats[0])


def load_photographs(folder: pathlib.Path, number: int) -> Tensor:
    """Read the centres of photographs that are large enough, normalised: (P, 3, h, w).

    Raises:
        FileNotFoundError: If the folder holds fewer than ``number``.
    """
    width, height = PHOTO
    crops = []
    for path in sorted(folder.rglob('*.jpg')):
        image = cv2.imread(str(path))
        if image is None or image.shape[0] < height or image.shape[1] < width:
            continue
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        crops.append(image[top : top + height, left : left + width, ::-1])
        if len(crops) == number:
            return (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() - 116) / 58
    raise FileNotFoundError(
        f'{folder} holds {len(crops)} jpg photographs of at least {width}x{height}; '
        f'{number} are needed: give another --images'
    )


def move(photos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move photographs: LR clips (N, T, 3, h, w) and the HR target frame (N, 3, H, W)."""
    number, (width, height) = len(photos), SIZE

    def draw(*shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=generator)

    time = torch.arange(NUM_FRAMES) - NUM_FRAMES // 2
    jitter = 1.5 * draw(NUM_FRAMES, 2) * (time != 0)[:, None]
    shift = 3 * draw(1, 2) * time[:, None] + jitter + 4 * draw(1, 2)  # HR pixels, N T 2
    turn, zoom = 0.02 * draw(1) * time, 1 + 0.01 * draw(1) * time  # N T
    # affine_grid wants fractions of the frame that it makes, in fractions of the photograph.
    ratio = torch.tensor(SIZE) / torch.tensor(PHOTO)[:, None]  # 2 2
    cosine, sine = zoom * turn.cos(), zoom * turn.sin()
    affine = torch.stack((cosine, -sine, sine, cosine), -1).unflatten(-1, (2, 2))  # N T 2 2
    offset = shift * 2 / torch.tensor(PHOTO)  # N T 2
    matrix = torch.cat((affine * ratio, offset[..., None]), -1).flatten(0, 1)  # NT 2 3
    grid = F.affine_grid(matrix, (len(matrix), 3, height, width), align_corners=False)
    frames = photos.repeat_interleave(NUM_FRAMES, 0)  # NT 3 h w
    hr = F.grid_sample(frames, grid, mode='bicubic', padding_mode='reflection', align_corners=False)
    lr = F.avg_pool2d(hr, SCALE)
    lr = lr + NOISE * torch.randn(lr.shape, generator=generator)
    return lr.unflatten(0, (number, -1)), hr.unflatten(0, (number, -1))[:, NUM_FRAMES // 2]


def shorten(clip: Tensor, num_frames: int) -> Tensor:
    """The frames around the target."""
    first = (clip.shape[1] - num_frames) // 2
    return clip[:, first : first + num_frames]


@torch.no_grad()
def gain_over_bicubic(model: nn.Module, photos: Tensor, num_frames: int) -> float:
    """Mean PSNR of the held-out photographs' target frames above bicubic's, in dB."""
    generator, gains = torch.Generator().manual_seed(99), []
    for batch in photos.split(8):
        clip, hr = move(batch, generator)
        target = clip[:, NUM_FRAMES // 2]
        bicubic = F.interpolate(target, scale_factor=SCALE, mode='bicubic')
        errors = [
            (found - hr).square().mean((1, 2, 3))
            for found in (bicubic, model(shorten(clip, num_frames)))
        ]
        gains.append(10 * torch.log10(errors[0] / errors[1]))
    return float(torch.cat(gains).mean())


def train(name: str, photos: Tensor, args: argparse.Namespace) -> dict[int, float]:
    """Train one variant: step to gain."""
    num_frames, backbone = VARIANTS[name]
    torch.manual_seed(args.seed)
    model = SuperResolver(**backbone)
    model.decoder.init_weights()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=args.steps, pct_start=0.1
    )
    generator, curve = torch.Generator().manual_seed(args.seed + 1), {}
    held_out, photos = photos[:NUM_HELD_OUT], photos[NUM_HELD_OUT:]
    for step in track(range(1, args.steps + 1), name):
        index = torch.randint(len(photos), (args.batch,), generator=generator)
        clip, hr = move(photos[index], generator)
        difference = model(shorten(clip, num_frames)) - hr
        optimiser.zero_grad()
        (difference.square() + 1e-6).sqrt().mean().backward()
        optimiser.step()
        schedule.step()
        if step % args.every == 0 or step == args.steps:
            curve[step] = round(gain_over_bicubic(model.eval(), held_out, num_frames), 3)
            model.train()
    return curve


def main() -> None:
    """Train every variant, print the table, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--images', type=pathlib.Path, required=True, help='folder of jpg files')
    parser.add_argument('--number', type=int, default=664, help='photographs that are used')
    parser.add_argument('--steps', type=int, default=800)
    parser.add_argument('--every', type=int, default=200, help='steps between evaluations')
    parser.add_argument('--batch', type=int, default=6)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    init_default_scope('mmpose')
    photos = load_photographs(args.images, args.number)
    curves = {name: train(name, photos, args) for name in args.variants}
    steps = list(next(iter(curves.values())))
    rows = [[name, *(f'{curve[step]:.2f}' for step in steps)] for name, curve in curves.items()]
    print(markdown_table(['dB over bicubic', *(f'{step} steps' for step in steps)], rows))
    result = dict(gain_db=curves, steps=args.steps, batch=args.batch, seed=args.seed)
    line = shlex.join(['python', *sys.argv]).replace(str(args.images), 'FOLDER')
    print(write_result('temporal_gain', result, line))


if __name__ == '__main__':
    main()
