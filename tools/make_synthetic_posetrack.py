"""Make a synthetic data set in PoseTrack18's form: videos of people in motion, with labels.

Example:
    python tools/make_synthetic_posetrack.py --out data/synthetic --videos 20 --frames 60 --seed 7
"""

import argparse
import os
import pathlib
import sys
import time

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import cv2

from star_pose.engine.outputs import check_output
from star_pose.synthetic import (
    DatasetOptions,
    MotionLibrary,
    SceneOptions,
    contact_sheet,
    list_photographs,
    make_dataset,
)


def _size(text: str) -> tuple[int, int]:
    w, cross, h = text.lower().partition('x')
    if not (cross and w.isdigit() and h.isdigit()):
        raise argparse.ArgumentTypeError(f'size must be WxH, such as 640x360, got {text!r}')
    return int(w), int(h)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument('--videos', type=int, required=True, help='number of videos')
    parser.add_argument('--frames', type=int, required=True, help='frames a video')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (default 0)')
    parser.add_argument('--size', type=_size, default=(640, 360), help='WxH (default 640x360)')
    parser.add_argument('--val-videos', type=int, help='of the videos, for validation (a fifth)')
    parser.add_argument('--people', type=int, help='labelled people a video (default 1 to 5)')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1,
                        help='processes (default: one a core)')  # fmt: skip
    parser.add_argument('--motion', metavar='NPZ', help='real motion capture instead of parametric '
                        'motion: `names` and trials (frames, 31, 3), metres, 30 fps')  # fmt: skip
    parser.add_argument('--backgrounds', metavar='DIR', help='photographs for the backgrounds')
    parser.add_argument('--label-span', type=int, default=30,
                        help='labelled frames in the middle of a video (default 30)')  # fmt: skip
    parser.add_argument('--dense', action='store_true', help='label every frame')
    parser.add_argument('--ears', action='store_true',
                        help='label the ears, which PoseTrack never does')  # fmt: skip
    parser.add_argument(
        '--contact-sheet', metavar='JPG', help='also write a picture of a few frames'
    )
    parser.add_argument('--overwrite', action='store_true',
                        help='replace an earlier synthetic data set at --out')  # fmt: skip
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Make the data set and print what it holds."""
    args = parse_args(argv)
    val = args.val_videos
    if val is None:
        val = max(1, round(args.videos / 5)) if args.videos > 1 else 0
    try:
        if args.contact_sheet:
            check_output(args.contact_sheet)
        scene = SceneOptions(
            frames=args.frames,
            size=args.size,
            people=args.people,
            motion=MotionLibrary(args.motion) if args.motion else None,
            photographs=tuple(list_photographs(args.backgrounds)) if args.backgrounds else (),
            ears=args.ears,
        )
        options = DatasetOptions(
            args.videos, args.seed, scene, val, label_span=args.label_span, dense=args.dense
        )
        begin, done = time.perf_counter(), []

        def progress() -> None:
            done.append(1)
            rate = len(done) * args.frames / (time.perf_counter() - begin)
            print(f'\r{len(done)}/{args.videos} videos, {rate:.1f} frames/s', end='', flush=True)

        counts = make_dataset(args.out, options, args.workers, args.overwrite, progress)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print()
    if args.contact_sheet:
        path = pathlib.Path(args.contact_sheet)
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet = contact_sheet(args.out)
        cv2.imencode('.jpg', sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tofile(path)
    for split, count in counts.items():
        print(
            f'{split}: ' + ', '.join(f'{n} {name.replace("_", " ")}' for name, n in count.items())
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
