"""Small PoseTrack documents for the tests of the evaluation."""

import importlib.util
import json
import pathlib

import numpy as np

from star_pose.posetrack.evaluate import evaluate
from star_pose.posetrack.joints import KEYPOINTS
from star_pose.posetrack.read_labels import parse_ground_truth
from star_pose.posetrack.read_predictions import check_persons, parse_predictions
from star_pose.posetrack.tables import PoseTrackError

VIDEO = '000001_mpii_test'
CASES = pathlib.Path(__file__).parent / 'posetrack_ap_cases'
EARS = (3, 4)
CATEGORIES = [{'id': 1, 'name': 'person', 'keypoints': list(KEYPOINTS)}]


def loop():
    """The plain loop of the benchmarks, which serves as the oracle."""
    path = pathlib.Path(__file__).parents[1] / 'benchmarks' / 'posetrack_loop.py'
    spec = importlib.util.spec_from_file_location('posetrack_loop', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_case(name):
    """A case with poseval's own results: ``gt`` and ``pred`` {video: document}, ``expected``."""
    case = json.loads((CASES / f'{name}.json').read_text())
    for side in ('gt', 'pred'):
        for content in case[side].values():
            content['categories'] = CATEGORIES
    return case


def write_case(folder, name):
    """Write a case as two folders of official files; return them and poseval's results."""
    case = load_case(name)
    sides = [write(folder / side, case[side]) for side in ('gt', 'pred')]
    return *sides, case['expected']


def pose(x=100.0, y=100.0, shift=(0.0, 0.0), absent=()):
    """17 keypoints on a grid 40 px apart, further than any hit; ears absent."""
    points = np.zeros((17, 3))
    points[:, 0] = x + shift[0] + 40 * (np.arange(17) % 4)
    points[:, 1] = y + shift[1] + 40 * (np.arange(17) // 4)
    points[:, 2] = 1
    points[[*EARS, *absent]] = 0
    return points.ravel().tolist()


def label(frame, keypoints, track=0, head=(0, 0, 30, 40), **fields):
    """A labelled person; its head box of 30x40 makes the hit distance 15 px."""
    return {
        'image_id': frame,
        'id': 100 * frame + track,
        'track_id': track,
        'keypoints': keypoints,
        **({'bbox_head': list(head)} if head else {}),
        **fields,
    }


def prediction(frame, keypoints, score=0.5, track=0, **fields):
    """A predicted person with the same score at every joint, or a list of scores."""
    scores = list(score) if np.ndim(score) else [score] * 17
    return {
        'image_id': frame,
        'id': 100 * frame + track,
        'track_id': track,
        'keypoints': keypoints,
        'scores': scores,
        **fields,
    }


def document(annotations, num_frames=1, regions=None, labelled=None, video=VIDEO):
    """One video with frames 0 .. num_frames - 1, whose image ids are the same numbers."""
    images = [
        {
            'id': i,
            'file_name': f'images/val/{video}/{i:06d}.jpg',
            'is_labeled': True if labelled is None else labelled[i],
            'ignore_regions_x': [[p[0] for p in poly] for poly in (regions or {}).get(i, [])],
            'ignore_regions_y': [[p[1] for p in poly] for poly in (regions or {}).get(i, [])],
        }
        for i in range(num_frames)
    ]
    return {'images': images, 'annotations': annotations, 'categories': CATEGORIES}


def run(truth, predicted, *, tracking=False, **options):
    """Evaluate documents, each a dict for one video or {name: dict} for several."""
    sides = [{VIDEO: side} if 'images' in side else side for side in (truth, predicted)]
    frames, persons = parse_ground_truth(list(sides[0].items()), merged=False)
    table, problems = parse_predictions(list(sides[1].items()), frames, merged=False)
    problems += check_persons(frames, table, tracking=tracking)
    if problems:
        raise PoseTrackError(problems)
    return evaluate(frames, persons, table, tracked=table if tracking else None, **options)


def write(folder, documents):
    """Write {name: document} as json files and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        (folder / f'{name}.json').write_text(json.dumps(content))
    return folder


def random_documents(rng, num_videos=3, num_frames=6):
    """Crowded videos with misses, false positives, swaps of track and ignore regions."""
    truth, predicted = {}, {}
    for video in range(num_videos):
        name = f'{video:06d}_mpii_test'
        labels, guesses, regions = [], [], {}
        for frame in range(num_frames):
            people = rng.integers(0, 4)
            centres = rng.uniform(80, 160, (people, 2))
            for track, centre in enumerate(centres):
                absent = np.flatnonzero(rng.random(17) < 0.2)
                labels.append(label(frame, pose(*centre, absent=absent), track))
            for track in range(rng.integers(0, 5)):
                near = centres[track % people] if people else (100, 100)
                points = np.array(pose(*near)).reshape(17, 3)
                points[:, :2] += rng.normal(0, 9, (17, 2))
                points[rng.random(17) < 0.1] = 0
                number = 10 * track + int(rng.random() < 0.2)  # now and then another track
                points = points.ravel().tolist()
                guesses.append(prediction(frame, points, rng.random(17), number))
            if rng.random() < 0.4:
                x, y = rng.uniform(80, 200, 2)
                regions[frame] = [[(x, y), (x + 70, y), (x + 30, y + 60)]]
        truth[name] = document(labels, num_frames, regions, video=name)
        predicted[name] = document(guesses, num_frames, video=name)
    return truth, predicted
