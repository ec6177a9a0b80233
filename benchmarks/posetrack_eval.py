"""Time the PoseTrack evaluation at the size of PoseTrack18's validation set, beside a plain loop.

    OMP_NUM_THREADS=1 python benchmarks/posetrack_eval.py

Random people in 170 videos with 8,923 labelled frames are written as official files. Both sides
read the same files and compute AP and MOTA, turn by turn; they must agree before a time is
reported. Times are processor seconds, so that other programs on the machine count less.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
from harness import write_result
from posetrack_loop import load_frames, loop_ap, loop_mot

from star_pose.posetrack.evaluate import evaluate, tied_scores
from star_pose.posetrack.joints import CATEGORY
from star_pose.posetrack.read_labels import parse_ground_truth, read_ground_truth
from star_pose.posetrack.read_predictions import parse_predictions, read_predictions

NUM_VIDEOS, NUM_FRAMES, PEOPLE = 170, 8923, 3
CASES = pathlib.Path(__file__).parents[1] / 'tests' / 'posetrack_ap_cases'


def make_video(video, num_frames, rng):
    """Return the ground truth and the predictions of one video as official documents."""
    name = f'{video:06d}_mpii_test'
    categories = [CATEGORY]
    images, truth, predicted = [], [], []
    shape = rng.uniform(-80, 80, (PEOPLE + 2, 17, 2))
    centre = rng.uniform(200, 1000, (PEOPLE + 2, 1, 2))
    tracks = rng.permutation(PEOPLE + 2)
    for frame in range(num_frames):
        image_id = 10**10 + video * 10**4 + frame
        x, y = rng.uniform(0, 1200), rng.uniform(0, 600)
        regions = ([[x, x + 90, x + 40]], [[y, y, y + 70]]) if frame % 4 == 0 else ([], [])
        images.append(
            {
                'id': image_id,
                'file_name': f'images/val/{name}/{frame:06d}.jpg',
                'is_labeled': True,
                'ignore_regions_x': regions[0],
                'ignore_regions_y': regions[1],
            }
        )
        centre = centre + rng.normal(0, 4, centre.shape)
        for person in range(rng.integers(PEOPLE - 1, PEOPLE + 2)):
            joints = np.zeros((17, 3))
            joints[:, :2] = centre[person] + shape[person] + rng.normal(0, 2, (17, 2))
            joints[:, 2] = 1
            joints[rng.random(17) < 0.15] = 0
            joints[3:5] = 0  # ears are never labelled
            truth.append(
                {
                    'image_id': image_id,
                    'id': len(truth),
                    'track_id': person,
                    'bbox_head': [*(centre[person, 0] - 20).tolist(), 35.0, 45.0],
                    'keypoints': joints.round(3).ravel().tolist(),
                }
            )
        if rng.random() < 0.02:
            tracks = rng.permutation(PEOPLE + 2)
        for person in range(rng.integers(PEOPLE - 1, PEOPLE + 2)):
            joints = np.ones((17, 3))
            joints[:, :2] = centre[person] + shape[person] + rng.normal(0, 9, (17, 2))
            predicted.append(
                {
                    'image_id': image_id,
                    'id': len(predicted),
                    'track_id': int(tracks[person]),
                    'keypoints': joints.round(3).ravel().tolist(),
                    'scores': rng.random(17).tolist(),
                }
            )
    return (
        name,
        {'images': images, 'annotations': truth, 'categories': categories},
        {'images': images, 'annotations': predicted, 'categories': categories},
    )


def write_data(folder, num_videos, num_frames):
    """Write the videos of a data set; frames are shared out evenly."""
    rng = np.random.default_rng(0)
    counts = np.full(num_videos, num_frames // num_videos)
    counts[: num_frames % num_videos] += 1
    for side in ('gt', 'pred'):
        (folder / side).mkdir()
    for video, count in enumerate(counts):
        name, truth, predicted = make_video(video, int(count), rng)
        (folder / 'gt' / f'{name}.json').write_text(json.dumps(truth))
        (folder / 'pred' / f'{name}.json').write_text(json.dumps(predicted))


def read_package(folder):
    """Read both sides into the package's tables."""
    frames, truth = read_ground_truth(folder / 'gt', order='name')
    return frames, truth, read_predictions(folder / 'pred', frames, tracking=True)


def evaluate_package(tables):
    """Evaluate with the package."""
    frames, truth, predicted = tables
    return evaluate(frames, truth, predicted, tracked=predicted).total


def read_loop(folder):
    """Read both sides into the loop's lists of frames."""
    return load_frames(
        *(
            {file.stem: json.loads(file.read_text()) for file in sorted(side.glob('*.json'))}
            for side in (folder / 'gt', folder / 'pred')
        )
    )


def evaluate_loop(frames):
    """Evaluate with the loop."""
    return loop_ap(frames), loop_mot(frames)


def timed(run, folder):
    """Return what ``run`` returns and its processor seconds, all threads together."""
    start = time.process_time()
    value = run(folder)
    return value, time.process_time() - start


def rounded(value):
    """Round all times and percentages to two places; tiny differences stay as they are."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return round(value, 2) if isinstance(value, float) and value > 0.01 else value


def compare_cases(folder):
    """Return the largest difference to poseval's own output for each case of a folder.

    AP is compared where no true positive shares its score with a false one: how poseval ranks those
    depends on the processor it ran on.
    """
    differences = {}
    for file in sorted(folder.glob('case*.json')):
        case = json.loads(file.read_text())
        for content in (*case['gt'].values(), *case['pred'].values()):
            content['categories'] = [CATEGORY]
        frames, truth = parse_ground_truth(list(case['gt'].items()), merged=False)
        predicted, problems = parse_predictions(list(case['pred'].items()), frames, merged=False)
        if problems:
            sys.exit('\n'.join(map(str, problems)))
        result = evaluate(frames, truth, predicted, tracked=predicted)
        ours, expected = result.total.as_dict(), case['expected']
        untied = tied_scores(result.matching) == 0
        pairs = {name: (ours[name], expected[name]) for name in ours if name.endswith('per_joint')}
        pairs['ap_per_joint'] = [np.array(side)[untied] for side in pairs['ap_per_joint']]
        pairs |= {n: (ours['tracking'][n], values) for n, values in expected['tracking'].items()}
        differences[file.stem] = {
            'joints_without_ties': int(untied.sum()),
            **{name: float(np.abs(np.subtract(*sides)).max()) for name, sides in pairs.items()},
        }
    return differences


def main():
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description='Time the PoseTrack evaluation.')
    parser.add_argument('--videos', type=int, default=NUM_VIDEOS)
    parser.add_argument('--frames', type=int, default=NUM_FRAMES)
    parser.add_argument('--rounds', type=int, default=3, help='timed runs of each side')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_data(folder, args.videos, args.frames)
        read_package(folder)  # warms the file cache for both
        rounds = []
        for _ in range(args.rounds):
            tables, read = timed(read_package, folder)
            result, evaluated = timed(evaluate_package, tables)
            frames, loop_read = timed(read_loop, folder)
            (ap, mot), loop_evaluated = timed(evaluate_loop, frames)
            rounds.append((read, evaluated, loop_read, loop_evaluated))
    pairs = [(ap[0], result.ap.ap), (ap[1], result.ap.precision), (ap[2], result.ap.recall)]
    pairs += [(mot[0], result.tracking.mota[:15]), (mot[1], result.tracking.motp[:15])]
    difference = max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)
    if difference > 1e-6:
        sys.exit(f'the two evaluations differ by {difference}: no time is worth reporting')
    seconds = [statistics.median(times) for times in zip(*rounds, strict=True)]
    numbers = {
        'videos': args.videos,
        'frames': args.frames,
        'package_cpu_seconds': {'read': seconds[0], 'evaluate': seconds[1]},
        'loop_cpu_seconds': {'read': seconds[2], 'evaluate': seconds[3]},
        'times_faster': sum(seconds[2:]) / sum(seconds[:2]),
        'times_faster_without_reading': seconds[3] / seconds[1],
        'rounds': rounds,
        'largest_difference': difference,
        'AP': result.ap.total,
        'MOTA': float(result.tracking.mota[15]),
    }
    numbers = rounded(numbers)
    numbers['difference_to_poseval'] = compare_cases(CASES)
    print(json.dumps(numbers, indent=1))
    if (args.videos, args.frames) == (NUM_VIDEOS, NUM_FRAMES):
        write_result('posetrack_eval', numbers, 'python benchmarks/posetrack_eval.py')


if __name__ == '__main__':
    main()
