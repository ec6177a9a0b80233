"""PoseTrack evaluation as a plain loop over frames, persons and joints.

Slow, and independent of the package: it reads the json documents itself and never looks at more
than one pair of joints. The tests use it as the oracle, the benchmark as what to be faster than.
Only the protocol is poseval's; the code is our own.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from shapely import Point, Polygon

NAMES = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'head_bottom',
    'nose', 'head_top',
)  # fmt: skip
THRESHOLD = 0.5


def read_people(document, image_id):
    """List the people of a frame: {'points': {joint: (x, y, score)}, 'track', 'head'}."""
    names = document['categories'][0]['keypoints']
    people = []
    for ann in document['annotations']:
        if ann['image_id'] != image_id:
            continue
        points = {}
        for joint, name in enumerate(NAMES):
            i = names.index(name)
            x, y, flag = ann['keypoints'][3 * i : 3 * i + 3]
            if x == 0 and y == 0 and flag == 0:
                continue
            points[joint] = (x, y, ann['scores'][i] if ann.get('scores') else -9999)
        person = {'points': points, 'track': ann.get('track_id'), 'head': None}
        if 'bbox_head' in ann:
            x, y, w, h = ann['bbox_head']
            person['head'] = 0.6 * np.linalg.norm(np.subtract([x + w, y + h], [x, y]))
        people.append(person)
    return people


def drop_ignored(people, polygons):
    """Remove points inside a polygon, and people without points."""
    kept = []
    for person in people:
        points = {
            joint: point
            for joint, point in person['points'].items()
            if not any(polygon.contains(Point(point[0], point[1])) for polygon in polygons)
        }
        if points:
            kept.append({**person, 'points': points})
    return kept


def load_frames(truth, predicted):
    """Pair the frames of two {video: document}: list of (video, truth people, predicted people)."""
    frames = []
    for video, document in truth.items():
        for image in document['images']:
            real = read_people(document, image['id'])
            if not real:
                continue
            guess = read_people(predicted[video], image['id'])
            regions = zip(
                image.get('ignore_regions_x') or [],
                image.get('ignore_regions_y') or [],
                strict=True,
            )
            polygons = [Polygon(list(zip(x, y, strict=True))) for x, y in regions]
            if polygons:
                real, guess = drop_ignored(real, polygons), drop_ignored(guess, polygons)
            frames.append((video, real, guess))
    return frames


def frame_distances(real, guess):
    """Return the distance in head sizes of every pair and joint: {(p, g, joint): distance}."""
    distances = {}
    for g, person in enumerate(real):
        for p, other in enumerate(guess):
            for joint in range(15):
                if joint in person['points'] and joint in other['points']:
                    a, b = person['points'][joint][:2], other['points'][joint][:2]
                    distances[p, g, joint] = np.linalg.norm(np.subtract(a, b)) / person['head']
    return distances


def assign_people(real, guess, distances):
    """Return {p: g} by poseval's two greedy steps."""
    share = np.zeros((len(guess), len(real)))
    for (p, g, _), distance in distances.items():
        share[p, g] += distance <= THRESHOLD
    for g, person in enumerate(real):
        if person['points']:
            share[:, g] /= len(person['points'])
    for p in range(len(guess)):
        best = int(np.argmax(share[p]))
        for g in range(len(real)):
            if g != best:
                share[p, g] = 0
    chosen = {}
    for g in range(len(real)):
        p = int(np.argmax(share[:, g]))
        if share[p, g] > 0:
            chosen[p] = g
    return chosen


def area_under_curve(precision, recall):
    """Return the VOC area, step by step."""
    precision, recall = [0.0, *precision, 0.0], [0.0, *recall, 1.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum(
        (recall[i] - recall[i - 1]) * precision[i]
        for i in range(1, len(recall))
        if recall[i] != recall[i - 1]
    )


def loop_ap(frames):
    """Return AP, precision and recall of each joint in percent, three lists of 15."""
    scores, labels = [np.zeros(0) for _ in range(15)], [np.zeros(0) for _ in range(15)]
    labelled = np.zeros(15)
    for _, real, guess in frames:
        distances = frame_distances(real, guess) if real and guess else {}
        chosen = assign_people(real, guess, distances) if real and guess else {}
        for p, person in enumerate(guess):
            for joint, point in sorted(person['points'].items()):
                hit = distances.get((p, chosen.get(p), joint), np.inf) <= THRESHOLD
                scores[joint] = np.append(scores[joint], point[2])
                labels[joint] = np.append(labels[joint], hit)
        for person in real:
            for joint in person['points']:
                labelled[joint] += 1
    results = []
    for joint in range(15):
        order = np.argsort(scores[joint], kind='stable')[::-1]
        found, precision, recall = 0, [], []
        for n, i in enumerate(order, start=1):
            found += labels[joint][i]
            precision.append(found / n)
            recall.append(found / labelled[joint] if labelled[joint] else np.nan)
        if precision:
            area = area_under_curve(precision, recall) if labelled[joint] else np.nan
            results.append((100 * area, 100 * precision[-1], 100 * recall[-1]))
        else:
            results.append((0.0, 0.0, 0.0))
    return [list(values) for values in zip(*results, strict=True)]


def loop_mot(frames):
    """Return MOTA and MOTP of each joint in percent, two lists of 15."""
    totals = np.zeros((15, 6))  # objects, found, switches, misses, false positives, distance
    for video in dict.fromkeys(name for name, _, _ in frames):
        sequence = [(real, guess) for name, real, guess in frames if name == video][:-1]
        pairs = [frame_distances(real, guess) for real, guess in sequence]
        for joint in range(15):
            last, owner, known = {}, {}, set()
            for (real, guess), distances in zip(sequence, pairs, strict=True):
                totals[joint] += step(real, guess, distances, joint, last, owner, known)
    objects, found, switches, misses, wrong, distance = totals.T
    with np.errstate(divide='ignore', invalid='ignore'):
        mota = 100 * (1 - (misses + switches + wrong) / np.where(objects, objects, np.nan))
        motp = np.where(found, 100 * (1 - distance / found), 0.0)
    return mota.tolist(), motp.tolist()


def step(real, guess, distances, joint, last, owner, known):
    """Process one frame of one joint; return what to add to the totals."""
    if not real or not guess:
        return np.array([1, 0, 0, 1, 1, 0.0])
    rows = [g for g, person in enumerate(real) if joint in person['points']]
    columns = [p for p, person in enumerate(guess) if joint in person['points']]
    cost = np.full((len(rows), len(columns)), np.nan)
    for i, g in enumerate(rows):
        for k, p in enumerate(columns):
            if distances[p, g, joint] <= THRESHOLD:
                cost[i, k] = distances[p, g, joint]
    logged, found, switches = np.nansum(cost), 0, 0
    open_rows, open_columns = set(range(len(rows))), set(range(len(columns)))
    for i, g in enumerate(rows):
        for k, p in enumerate(columns):
            same = last.get(real[g]['track']) == guess[p]['track']
            if same and k in open_columns and i in open_rows and np.isfinite(cost[i, k]):
                open_rows.discard(i)
                open_columns.discard(k)
                found, logged = found + 1, logged + cost[i, k]
    left = np.full(cost.shape, 1e6)
    for i in open_rows:
        for k in open_columns:
            left[i, k] = cost[i, k] if np.isfinite(cost[i, k]) else 1e6
    for i, k in zip(*linear_sum_assignment(left), strict=True):
        if left[i, k] > THRESHOLD:
            continue
        item, hypothesis = real[rows[i]]['track'], guess[columns[k]]['track']
        found, logged = found + 1, logged + left[i, k]
        if item in last:
            switches += 1
            logged += left[i, k] * (hypothesis not in known)
        if owner.get(hypothesis, item) != item:
            logged += left[i, k] * (1 if item in last else 2)
        last[item], owner[hypothesis] = hypothesis, item
        known.add(hypothesis)
    misses, wrong = len(rows) - found, len(columns) - found
    return np.array([len(rows), found, switches, misses, wrong, logged])
