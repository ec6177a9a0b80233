"""See the whole way work without any data: generate clips, train, evaluate, draw.

Example:
    python tools/demo.py --out work_dirs/demo
"""

import argparse
import os
import pathlib
import time

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import star_pose
from star_pose.apis.synthetic_demo import SyntheticDemo

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'
TINY = CONFIGS / 'star_pose_tiny_64x48_posetrack.py'
FLAGSHIP = CONFIGS / 'star_pose_64x48_posetrack.py'
WEIGHTS = pathlib.Path(star_pose.__file__).parent / 'weights'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', default='work_dirs/demo', help='folder to write')
    parser.add_argument('--videos', type=int, default=6, help='videos to generate (default 6)')
    parser.add_argument('--frames', type=int, default=20, help='frames a video (default 20)')
    parser.add_argument('--steps', type=int, default=60, help='training steps (default 60)')
    parser.add_argument('--batch-size', type=int, default=16, help='clips a step (default 16)')
    parser.add_argument(
        '--max-seconds', type=float, default=150, help='end the training after this time'
    )
    parser.add_argument('--seed', type=int, default=7, help='of data and training (default 7)')
    return parser.parse_args()


def main() -> None:
    """Run the demo and say what it made."""
    args = parse_args()
    begin = time.monotonic()
    cores = len(os.sched_getaffinity(0))
    demo = SyntheticDemo(TINY, args.out, args.seed)

    print(f'[1/4] Generating clips of moving people in {demo.data_root}', flush=True)
    counts = demo.make_data(args.videos, args.frames, workers=cores)
    for split, count in counts.items():
        print(f'      {split}: ' + ', '.join(f'{n} {what}' for what, n in count.items()))

    shipped = sorted(WEIGHTS.glob('star_pose_tiny*.pth'))
    weights = str(shipped[0]) if shipped else None
    begins = f'the shipped {shipped[0].name}' if shipped else 'random weights'
    print(f'[2/4] Training {TINY.stem} from {begins}', flush=True)
    runner = demo.build(args.steps, args.batch_size, min(2, cores), args.max_seconds, weights)
    demo.train(runner)

    print('[3/4] Evaluating it on other videos', flush=True)
    metrics = runner.test()
    print(f'[4/4] Drawing {demo.draw(runner)}', flush=True)
    print_summary(demo, runner.iter, args.steps, metrics, time.monotonic() - begin)


def print_summary(
    demo: SyntheticDemo, done: int, steps: int, metrics: dict, seconds: float
) -> None:
    """Say where things are and what to run next."""
    values = ', '.join(
        f'{key.removeprefix("posetrack/")} {metrics[key]:.1f}'
        for key in ('posetrack/AP', 'posetrack/Precision', 'posetrack/Recall')
        if key in metrics
    )
    print(f"""
Done in {seconds:.0f} s. {done} of {steps} steps: {values} (percent, poseval's rules).
So short a training shows that everything works, not how good it gets.

  picture     {demo.picture}   LR | SR | ground truth | prediction, and the clip below
  data        {demo.data_root}   PoseTrack18's form
  checkpoint  {demo.checkpoint}   with the config beside it

Next, train longer on these clips:
  python tools/train.py {os.path.relpath(TINY)} --cfg-options data_root={demo.data_root}/
or with your own PoseTrack18 (folders as docs/data.md says):
  python tools/train.py {os.path.relpath(FLAGSHIP)} --cfg-options data_root=PATH/
  python tools/test.py {os.path.relpath(FLAGSHIP)} CHECKPOINT --cfg-options data_root=PATH/""")


if __name__ == '__main__':
    main()
