"""Damaged label and prediction files end in a result or in the project's own errors.

STAR_POSE_FUZZ sets the number of damaged files; 10,000 take some minutes.
"""

import contextlib
import copy
import json
import os
import random
import resource
import time

import numpy as np
import pytest

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction
from star_pose.datasets import LabelError
from star_pose.datasets.labels.label_files import read_labels
from star_pose.posetrack.evaluate import evaluate
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.tables import PoseTrackError
from star_pose.posetrack.write_submission import validate_submission

NUMBER = int(os.environ.get('STAR_POSE_FUZZ', 300))
SECONDS = 5.0  # for one file of a few kilobytes
# What a file may hold instead of what belongs there.
STRANGE = (
    None, True, False, 0, -1, 1, 3.5, -0.25, 1e300, 10**400, 2**63, float('nan'), float('inf'), '',
    'text', '7', '../x.jpg', 'a#b', '000001.jpg', [], {}, [[]], [None], {'id': 1}, [1, 2, 3],
    ['a'] * 51, [0.0] * 51, [1e308] * 51, 'ä' * 300,
)  # fmt: skip


def annolist(content, scored):
    """The same content in PoseTrack17's form."""
    frames = []
    for image in content['images']:
        rects = []
        for ann in content['annotations']:
            if ann['image_id'] == image['id']:
                points = [
                    {
                        'id': [j],
                        'x': [10.0 * j],
                        'y': [5.0 * j],
                        **({'score': [0.5]} if scored else {}),
                    }
                    for j in range(15)
                ]
                rect = {'x1': [0], 'y1': [0], 'x2': [30], 'y2': [40]}
                rects.append(rect | {'track_id': [0], 'annopoints': [{'point': points}]})
        frames.append({'image': [{'name': image['file_name']}], 'annorect': rects})
    return {'annolist': frames}


def places(node, path=()):
    """Paths of all entries of nested lists and dicts."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def damage(content, rng):
    """Change one to three entries: lost, doubled, exchanged for something else, or another's."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        every = list(places(content))
        if not every:
            break
        # The long lists of numbers would get nearly all of the damage.
        shallow = [path for path in every if len(path) < 4] or every
        *parents, key = rng.choice(shallow if rng.random() < 0.7 else every)
        node = content
        for parent in parents:
            node = node[parent]
        action = rng.choice(('lose', 'strange', 'strange', 'double', 'move'))
        if action == 'lose':
            del node[key]
        elif action == 'strange':
            node[key] = copy.deepcopy(rng.choice(STRANGE))
        elif action == 'double' and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        else:
            other = content
            for part in rng.choice(every):
                if isinstance(other, (dict, list)) and (
                    part in other if isinstance(other, dict) else part < len(other)
                ):
                    other = other[part]
            node[key] = copy.deepcopy(other)
    return content


def damaged_text(text, rng):
    """Cut or change the file's bytes, as a broken copy does."""
    data = bytearray(text.encode())
    if rng.random() < 0.5:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.randint(1, 5)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def sources():
    """Labels and predictions in both forms, and a list of COCO results."""
    regions = {0: [[(0.0, 0.0), (50.0, 0.0), (0.0, 50.0)]]}
    truth = document([label(f, pose()) for f in range(3)], 3, regions)
    for ann in truth['annotations']:
        ann.update(bbox=[90, 90, 200, 200], category_id=1)
    for image in truth['images']:
        image.update(width=640, height=480, vid_id='1', frame_id=image['id'])
    predicted = document([prediction(f, pose()) for f in range(3)], 3)
    points = np.array(pose()).reshape(17, 3)
    results = [
        {'image_id': f, 'category_id': 1, 'score': 0.5, 'keypoints': points.ravel().tolist()}
        for f in range(3)
    ]
    return truth, {
        'truth': truth,
        'annolist truth': annolist(truth, False),
        'predicted': predicted,
        'annolist predicted': annolist(predicted, True),
        'results': results,
    }


def use(kind, folder, whole):
    """Read the damaged file, alone and as a folder, with all that reads such files; evaluate."""
    for path in (folder, folder / f'{VIDEO}.json'):
        if 'truth' in kind:
            frames, truth = read_ground_truth(path)
            predicted = truth
        else:
            frames, truth = read_ground_truth(whole)
            if path.is_dir():
                validate_submission(path, frames, tracking=True)
            predicted = read_predictions(path, frames, allow_missing_scores=True)
        result = evaluate(frames, truth, predicted, per_video=True)
        values = result.total.ap.ap
        assert ((values >= 0) & (values <= 100 + 1e-9) | np.isnan(values)).all()


@pytest.mark.filterwarnings('error::RuntimeWarning')
def test_damaged_files_are_read_or_refused(tmp_path):
    clean, kinds = sources()
    kinds = list(kinds.items())
    folder, whole = tmp_path / 'bad', build.write(tmp_path / 'whole', {VIDEO: clean})
    folder.mkdir()
    read = 0
    for seed in range(NUMBER):
        rng = random.Random(seed)
        kind, content = kinds[seed % len(kinds)]
        if rng.random() < 0.1:
            data = damaged_text(json.dumps(content), rng)
        else:
            data = json.dumps(damage(content, rng)).encode()
        (folder / f'{VIDEO}.json').write_bytes(data)
        start = time.process_time()
        try:
            with contextlib.suppress(LabelError):
                read_labels(str(folder))
            with contextlib.suppress(PoseTrackError):
                use(kind, folder, whole)
                read += 1
        except Exception as error:
            raise AssertionError(f'seed {seed}, {kind}: {type(error).__name__}') from error
        assert time.process_time() - start < SECONDS, (seed, kind)
    assert 0.05 * NUMBER < read < 0.9 * NUMBER  # the damage is neither nothing nor all
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6 * 2**20  # kilobytes
