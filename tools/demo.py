"""See everything work without any data: poses by the shipped weights, then a short training.

Example:
    python tools/demo.py --out work_dirs/demo
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from star_pose.apis.synthetic_demo import SyntheticDemo

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'
TINY = CONFIGS / 'star_pose_tiny_64x48_posetrack.py'
FLAGSHIP = CONFIGS / 'star_pose_64x48_posetrack.py'
VIDEO_TOOL = pathlib.Path(__file__).with_name('infer_video.py')
SHIPPED = 'star_pose_movenet-lightning'


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

    print(f'[2/4] Poses by the shipped {SHIPPED}, each person seen at 64x48 pixels', flush=True)
    video = show_shipped(demo)

    print(f'[3/4] Smoke test: training {TINY.stem} from random weights for a minute', flush=True)
    runner = demo.build(args.steps, args.batch_size, min(2, cores), args.max_seconds)
    demo.train(runner)

    print('[4/4] Evaluating it on other videos', flush=True)
    metrics = runner.test()
    demo.draw(runner)
    print_summary(demo, video, runner.iter, args.steps, metrics, time.monotonic() - begin)


def show_shipped(demo: SyntheticDemo) -> pathlib.Path:
    """Run the video tool on a generated clip; the drawn video."""
    frames = sorted((demo.data_root / 'images' / 'val').iterdir())[0]
    video = demo.out / 'poses.mp4'
    line = [VIDEO_TOOL, frames, '--model', SHIPPED, '--out-json', demo.out / 'poses.json']
    line += ['--out-video', video, '--overwrite']
    subprocess.run([sys.executable, *map(str, line)], check=True)
    return video


def print_summary(
    demo: SyntheticDemo,
    video: pathlib.Path,
    done: int,
    steps: int,
    metrics: dict,
    seconds: float,
) -> None:
    """Say where things are and what to run next."""
    values = ', '.join(
        f'{key.removeprefix("posetrack/")} {metrics[key]:.1f}'
        for key in ('posetrack/AP', 'posetrack/Precision', 'posetrack/Recall')
        if key in metrics
    )
    print(f"""
Done in {seconds:.0f} s. Open {video}: what the shipped weights find.

The smoke test, {done} of {steps} steps: {values} (percent, poseval's rules).
So short a training shows that everything works, not how good it gets.

  picture     {demo.picture}   LR | SR | ground truth | its prediction, and the clip below
  data        {demo.data_root}   PoseTrack18's form
  checkpoint  {demo.checkpoint}   with the config beside it

Next, train longer on these clips:
  python tools/train.py {os.path.relpath(TINY)} --cfg-options data_root={demo.data_root}/
or with your own PoseTrack18 (folders as docs/data.md says):
  python tools/train.py {os.path.relpath(FLAGSHIP)} --cfg-options data_root=PATH/
  python tools/test.py {os.path.relpath(FLAGSHIP)} CHECKPOINT --cfg-options data_root=PATH/""")


if __name__ == '__main__':
    main()
