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

import cv2
import mmcv
import numpy as np
from harness import write_result
from mmengine.structures import InstanceData
from mmpose.registry import TASK_UTILS

import star_pose  # noqa: F401  (registers the trackers)
from star_pose.posetrack.joints import LIMBS
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.score_ap import match_persons
from star_pose.posetrack.score_mota import joint_mota, sum_counts, tracking_counts
from star_pose.posetrack.tables import FrameTable, PoseTable
from star_pose.tracking import UNTRACKED, track_videos
from star_pose.tracking.pose_similarity import box_iou, pose_boxes
from star_pose.visualization import ClipVisualizer
from star_pose.visualization.canvas import stack_columns, stack_row, titled

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
    rows = np.flatnonzero(frames.times % stride == 0)
    kept = dataclasses.replace(
        frames,
        video=frames.video[rows],
        times=frames.times[rows] // stride,
        ids=[frames.ids[row] for row in rows],
        names=[frames.names[row] for row in rows],
        labelled=frames.labelled[rows],
        annotated=frames.annotated[rows],
        regions=[frames.regions[row] for row in rows],
    )
    new_row = np.full(len(frames), -1)
    new_row[rows] = np.arange(len(rows))
    persons = persons.take(new_row[persons.frame] >= 0)
    persons = dataclasses.replace(persons, frame=new_row[persons.frame])
    return kept, persons, kept.times


def perturb(
    truth: PoseTable, noise: float, missed: float, phantoms: float, rng: np.random.Generator
) -> PoseTable:
    """Ground truth as a mediocre pose estimator would report it; unlabelled joints stay away.

    Args:
        truth: The labelled persons.
        noise: Standard deviation of the joints, as a share of the head's reference length.
        missed: Probability that a person is missed.
        phantoms: Probability that a person comes with a phantom: a shifted copy of low score.
        rng: Source of randomness.
    """
    seen = truth.take(rng.random(len(truth)) >= missed)
    length = np.nan_to_num(seen.head_sizes, nan=20.0)[:, None, None]
    shaken = seen.points + rng.normal(size=seen.points.shape) * noise * length
    away = seen.points + rng.normal(size=(len(seen), 1, 2)) * 4 * length
    haunted = rng.random(len(seen)) < phantoms
    missing = ~seen.given[..., None]
    return PoseTable.from_columns(
        np.concatenate([seen.frame, seen.frame[haunted]]),
        np.concatenate([np.where(missing, 0, shaken), np.where(missing, 0, away)[haunted]]),
        flags=np.concatenate([seen.flags, seen.flags[haunted]]),
        scores=np.concatenate(
            [
                np.tile(rng.uniform(0.5, 1, (len(seen), 1)), (1, 15)),
                np.tile(rng.uniform(0.1, 0.3, (haunted.sum(), 1)), (1, 15)),
            ]
        ),
    )


def measure(
    config: dict, frames: FrameTable, truth: PoseTable, seen: PoseTable, position: np.ndarray
) -> dict[str, float]:
    """Track and evaluate once."""
    present = seen.given
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


def draw_sequence(
    path: pathlib.Path,
    frames: FrameTable,
    seen: PoseTable,
    position: np.ndarray,
    images: pathlib.Path,
) -> None:
    """Draw what `PoseTracker` makes of one video: the one with the most people who overlap.

    Args:
        path: Picture to write: frames of the video side by side.
        frames: Frames of the data set.
        seen: The perturbed people.
        position: Position of each frame in its video, (F,).
        images: Folder that the frames' names are relative to.
    """
    present = seen.given
    scores = np.where(present, seen.scores, 0)
    ids = track_videos(
        TASK_UTILS.build(TRACKERS['PoseTracker']), frames.video[seen.frame], position[seen.frame],
        seen.points, scores,
    )  # fmt: skip
    boxes = pose_boxes(seen.points, present)
    overlap = np.zeros(len(frames))
    for frame in np.unique(seen.frame):
        inside = boxes[seen.frame == frame]
        overlap[frame] = np.triu(box_iou(inside, inside), 1).sum()
    video = np.bincount(frames.video, overlap).argmax()
    rows = np.flatnonzero(frames.video == video)
    visualizer = ClipVisualizer('tracking')
    visualizer.skeleton, visualizer.link_color = LIMBS, 'green'
    tiles = []
    for row in rows[np.linspace(0, len(rows) - 1, 6).astype(int)]:
        people = np.flatnonzero((seen.frame == row) & (ids != UNTRACKED))
        image = mmcv.imread(str(images / frames.names[row]), channel_order='rgb')
        zoom = 480 / image.shape[1]
        instances = InstanceData(
            keypoints=seen.points[people] * zoom,
            keypoint_scores=scores[people],
            bboxes=boxes[people] * zoom,
            track_ids=ids[people],
        )
        drawn = visualizer.draw_tracks(mmcv.imrescale(image, zoom), instances)
        tiles.append(titled(drawn, f'frame {position[row]}'))
    picture = stack_columns([stack_row(tiles[:3]), stack_row(tiles[3:])])
    mmcv.imwrite(picture[..., ::-1], str(path), [cv2.IMWRITE_JPEG_QUALITY, 85])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data', required=True, type=pathlib.Path, help='folder of label files')
    parser.add_argument('--seeds', type=int, default=5, help='perturbations (default 5)')
    parser.add_argument('--strides', type=int, nargs='+', default=[1, 4, 8])
    parser.add_argument('--noise', type=float, default=0.15, help='of the head size (default 0.15)')
    parser.add_argument('--missed', type=float, default=0.1, help='share of people (default 0.1)')
    parser.add_argument('--phantoms', type=float, default=0.1, help='share (default 0.1)')
    parser.add_argument('--picture', type=pathlib.Path, help='draw a tracked video to this file')
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
        if args.picture and stride == args.strides[0]:
            draw_sequence(args.picture, frames, seen, position, args.data.parents[1])
        print(f'stride {stride}: {len(frames)} frames, {len(truth)} persons')
        rows = {}
        for name, results in runs.items():
            values = {key: np.array([run[key] for run in results]) for key in results[0]}
            rows[name] = {key: round(float(value.mean()), 3) for key, value in values.items()}
            rows[name]['MOTA_std'] = round(float(values['MOTA'].std()), 3)
            # Every tracker numbers the same people: the gain is paired, perturbation by
            # perturbation.
            gain = values['MOTA'] - [run['MOTA'] for run in runs['greedy IoU']]
            rows[name]['gain'] = [round(float(value), 3) for value in gain]
            row = rows[name]
            print(
                f'  {name:24s} MOTA {row["MOTA"]:6.2f} +- {row["MOTA_std"]:.2f}, '
                f'gain {gain.min():5.2f} to {gain.max():5.2f}, {row["switches"]:6.1f} switches, '
                f'{row["ms_per_frame"]:.2f} ms/frame'
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
