"""MOTA of the trackers on perturbed ground truth of a PoseTrack-form data set.

No network takes part, so that nothing but the tracking differs: the labelled poses are shaken, some
are missed, phantoms are added, and every tracker numbers the same result. The evaluation is that
of ``PoseTrackMetric``. A larger stride leaves out frames, as people who move faster would look.

Example:
    python tools/make_synthetic_posetrack.py --out data/synthetic --videos 16 --val-videos 16 \
        --frames 60 --people 6 --dense --size 320x180 --motion MOCAP.npz --seed 8
    python benchmarks/tracking.py --data data/synthetic/annotations/val
"""

import argparse
import dataclasses
import pathlib
import sys
import time

import numpy as np
from harness import write_result
from mmpose.registry import TASK_UTILS

import star_pose  # noqa: F401  (registers the trackers)
from star_pose.evaluation.posetrack_files import read_ground_truth
from star_pose.evaluation.posetrack_matching import match_persons
from star_pose.evaluation.posetrack_mot import joint_mota, sum_counts, tracking_counts
from star_pose.evaluation.posetrack_tables import FrameTable, PoseTable
from star_pose.tracking import UNTRACKED, track_videos

TRACKERS = {
    'greedy IoU': dict(type='GreedyIoUTracker'),
    'PoseTracker, IoU alone': dict(type='PoseTracker', oks_weight=0.0),
    'PoseTracker, OKS alone': dict(type='PoseTracker', oks_weight=1.0),
    'PoseTracker': dict(type='PoseTracker'),
}


def take_frames(
    frames: FrameTable, persons: PoseTable, stride: int
) -> tuple[FrameTable, PoseTable, np.ndarray]:
    """Keep every ``stride``-th frame of each video.

    Returns:
        Frames, persons, and the position of each kept frame in its video, (F,).
    """
    starts = np.searchsorted(frames.video, frames.video)  # first row of each frame's video
    position = np.arange(len(frames)) - starts
    rows = np.flatnonzero(position % stride == 0)
    kept = dataclasses.replace(
        frames,
        video=frames.video[rows],
        ids=[frames.ids[row] for row in rows],
        names=[frames.names[row] for row in rows],
        labelled=frames.labelled[rows],
        annotated=frames.annotated[rows],
        regions=[frames.regions[row] for row in rows],
        sizes=frames.sizes[rows],
    )
    new_row = np.full(len(frames), -1)
    new_row[rows] = np.arange(len(rows))
    persons = persons.take(new_row[persons.frame] >= 0)
    persons = dataclasses.replace(persons, frame=new_row[persons.frame])
    return kept, persons, position[rows] // stride


def perturb(
    truth: PoseTable, noise: float, missed: float, phantoms: float, rng: np.random.Generator
) -> PoseTable:
    """Ground truth as a mediocre pose estimator would report it.

    Args:
        truth: The labelled persons.
        noise: Standard deviation of the joints, as a share of the head's reference length.
        missed: Probability that a person is missed.
        phantoms: Probability that a person comes with a phantom: a shifted copy of low score.
        rng: Source of randomness.
    """
    seen = truth.take(rng.random(len(truth)) >= missed)
    sigma = noise * np.nan_to_num(seen.head_sizes, nan=20.0)
    points = seen.points + rng.normal(size=seen.points.shape) * sigma[:, None, None]
    scores = np.tile(rng.uniform(0.5, 1, (len(seen), 1)), (1, 15))
    ghost = seen.take(rng.random(len(seen)) < phantoms)
    away = (
        rng.normal(size=(len(ghost), 1, 2))
        * 4
        * np.nan_to_num(ghost.head_sizes, nan=20.0)[:, None, None]
    )
    return PoseTable.from_columns(
        np.concatenate([seen.frame, ghost.frame]),
        np.concatenate([points, ghost.points + away]),
        flags=np.concatenate([seen.flags, ghost.flags]),
        scores=np.concatenate([scores, np.full((len(ghost), 15), rng.uniform(0.15, 0.29))]),
    )


def measure(
    config: dict, frames: FrameTable, truth: PoseTable, seen: PoseTable, position: np.ndarray
) -> dict[str, float]:
    """Track and evaluate once."""
    present = ~((seen.points == 0).all(-1) & (seen.flags == 0))
    tracker = TASK_UTILS.build(config)
    start = time.perf_counter()
    ids = track_videos(
        tracker,
        frames.video[seen.frame],
        position[seen.frame],
        seen.points,
        np.where(present, seen.scores, 0),
    )
    seconds = time.perf_counter() - start
    tracked = dataclasses.replace(seen, track_ids=ids).take(ids != UNTRACKED)
    counts = sum_counts(
        tracking_counts(match_persons(frames, truth, tracked, 'posetrack18'), frames.video)
    )
    return {
        'MOTA': joint_mota(counts).mota[-1],
        'switches': counts['switches'].sum() / 15,
        'ms_per_frame': 1e3 * seconds / len(frames),
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data', required=True, type=pathlib.Path, help='folder of label files')
    parser.add_argument('--seeds', type=int, default=5, help='perturbations (default 5)')
    parser.add_argument('--strides', type=int, nargs='+', default=[1, 4, 8])
    parser.add_argument('--noise', type=float, default=0.15, help='of the head size (default 0.15)')
    parser.add_argument('--missed', type=float, default=0.1, help='share of people (default 0.1)')
    parser.add_argument('--phantoms', type=float, default=0.1, help='share (default 0.1)')
    parser.add_argument('--dry-run', action='store_true', help='print only, write no result file')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and write ``results/tracking.json``."""
    args = parse_args(argv)
    all_frames, everyone = read_ground_truth(args.data)
    settings = []
    for stride in args.strides:
        frames, truth, position = take_frames(all_frames, everyone, stride)
        runs = {name: [] for name in TRACKERS}
        for seed in range(args.seeds):
            rng = np.random.default_rng(seed)
            seen = perturb(truth, args.noise, args.missed, args.phantoms, rng)
            for name, config in TRACKERS.items():
                runs[name].append(measure(dict(config), frames, truth, seen, position))
        print(f'stride {stride}: {len(frames)} frames, {len(truth)} persons')
        rows = {}
        for name, results in runs.items():
            values = {key: np.array([run[key] for run in results]) for key in results[0]}
            rows[name] = {key: round(float(value.mean()), 3) for key, value in values.items()}
            rows[name]['MOTA_std'] = round(float(values['MOTA'].std()), 3)
            print(
                f'  {name:24s} MOTA {rows[name]["MOTA"]:6.2f} +- {rows[name]["MOTA_std"]:.2f}, '
                f'{rows[name]["switches"]:7.1f} switches, {rows[name]["ms_per_frame"]:.2f} ms/frame'
            )
        settings.append(
            {'stride': stride, 'frames': len(frames), 'persons': len(truth), 'trackers': rows}
        )
    if not args.dry_run:
        options = {
            k: v for k, v in vars(args).items() if k in ('seeds', 'noise', 'missed', 'phantoms')
        }
        command = 'python benchmarks/tracking.py --data data/synthetic/annotations/val'
        write_result('tracking', {**options, 'settings': settings}, command)
    return 0


if __name__ == '__main__':
    sys.exit(main())
