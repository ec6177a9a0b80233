"""Make the pictures of README and guides from shipped weights and rendered footage.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --model star_pose_movenet-lightning

writes ``star_pose.webp`` (moving), ``video.jpg``, ``adapt.jpg`` and ``fusion.jpg`` to
``docs/images``.
"""

import argparse
import pathlib
import tempfile

import harness  # noqa: F401  (before the package: it decides whose code runs)
from PIL import Image

from star_pose.apis.closeups import CloseUps
from star_pose.apis.synthetic_demo import longest_track, make_clip
from star_pose.apis.video_pose import VideoPose

IMAGES = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'images'
EVERY = 2  # frames of the clip to one of the moving picture
LARGEST = 3_000_000  # bytes that a README may ask its reader to load


def main() -> None:
    """Render the clip, find its poses, draw them."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', default='star_pose_movenet-thunder', help='a shipped model')
    parser.add_argument('--out', default=IMAGES, type=pathlib.Path, help='folder to write')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        frames = list(VideoPose(args.model)(str(make_clip(folder))))
    closeups, track = CloseUps(args.model), longest_track(frames)
    panels = [
        Image.fromarray(closeups.panel(frames, at, track)) for at in range(0, len(frames), EVERY)
    ]
    moving = args.out / 'star_pose.webp'
    panels[0].save(
        moving, save_all=True, append_images=panels[1:], duration=40 * EVERY, loop=0, quality=55,
        method=4,
    )  # fmt: skip
    if moving.stat().st_size > LARGEST:
        raise SystemExit(f'{moving} has {moving.stat().st_size:,} bytes, more than {LARGEST:,}')
    middle = len(frames) // 2
    panels[middle // EVERY].save(args.out / 'video.jpg', quality=85)
    Image.fromarray(closeups.sheet(frames, middle)).save(args.out / 'adapt.jpg', quality=85)
    Image.fromarray(closeups.fusion(frames, middle, 0)).save(args.out / 'fusion.jpg', quality=85)
    for name in ('star_pose.webp', 'video.jpg', 'adapt.jpg', 'fusion.jpg'):
        print(f'{args.out / name}: {(args.out / name).stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
