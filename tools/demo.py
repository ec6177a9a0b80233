"""See everything work without any data: poses by the shipped weights, then a short training.

Example:
    python tools/demo.py --out work_dirs/demo
"""

import argparse
import os
import pathlib
import time

import prelude  # noqa: F401  (before the package: it decides whose code runs)

TOOLS = pathlib.Path(__file__).resolve().parent
TINY = TOOLS.parent / 'configs' / 'star_pose_tiny_64x48_posetrack.py'
SHIPPED = 'star_pose_movenet-lightning'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', default='work_dirs/demo', help='folder to write')
    parser.add_argument('--model', default=SHIPPED, help=f'shipped weights to show ({SHIPPED})')
    parser.add_argument('--videos', type=int, default=4, help='videos to train on (default 4)')
    parser.add_argument('--frames', type=int, default=16, help='frames a video (default 16)')
    parser.add_argument('--steps', type=int, default=60, help='training steps (default 60)')
    parser.add_argument('--batch-size', type=int, default=16, help='clips a step (default 16)')
    parser.add_argument(
        '--max-seconds', type=float, default=60, help='end the training after this time (60)'
    )
    parser.add_argument('--seed', type=int, default=7, help='of data and training (default 7)')
    args = parser.parse_args()
    for name, least in (('videos', 2), ('frames', 1), ('steps', 1), ('batch_size', 1), ('seed', 0)):
        if getattr(args, name) < least:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least {least}, got {getattr(args, name)}')
    if os.path.isfile(args.out):
        parser.error(f'--out {args.out} is a file; name a folder')
    return args


def main() -> None:
    """Run the demo and say what it made."""
    args = parse_args()
    begin = time.monotonic()
    print(f'[1/3] Poses of four small people in a rendered clip, by the shipped {args.model}')
    print('      (some seconds until all is loaded)', flush=True)
    # Only now: whoever waits for it knows what for
    from star_pose.apis.synthetic_demo import SyntheticDemo

    demo = SyntheticDemo(TINY, args.out, args.seed)
    demo.show(args.model)

    cores = len(os.sched_getaffinity(0))
    print(f'[2/3] Smoke test: train {TINY.stem} for a minute, from random weights', flush=True)
    demo.make_data(args.videos, args.frames, workers=cores)
    runner = demo.build(args.steps, args.batch_size, min(2, cores), args.max_seconds)
    demo.train(runner)

    print('[3/3] Test it on another video', flush=True)
    metrics = runner.test()
    demo.draw(runner)
    done = f'{runner.iter} of {args.steps} steps: {metrics["posetrack/AP"]:.1f} AP'
    print_summary(demo, done, time.monotonic() - begin)


def print_summary(demo, done: str, seconds: float) -> None:
    """Say what to open and what to run next."""
    tiny = os.path.relpath(TINY)
    print(f"""
Done in {seconds:.0f} s. Open these:

  {demo.video}         what the shipped weights find
  {demo.closeups}         one person: pixels in, what the network gets, pose out
  {demo.picture}    of the smoke test: LR, SR, truth, its prediction

The smoke test made {done}. It shows that training works, not how good it gets.

Next, in a shell that has the environment:

  source .venv/bin/activate
  python tools/infer_video.py YOUR_VIDEO.mp4
  python tools/train.py {tiny} --cfg-options data_root={demo.data_root}/""")


if __name__ == '__main__':
    main()
