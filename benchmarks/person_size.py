"""Which shipped model for people of which size: PCK by a person's height in the frame.

    python benchmarks/person_size.py rendered=data/synthetic/annotations/posetrack18_val.json

People who are 130 pixels tall and more are brought to smaller heights with the frames that they
are in; then the clip stays clean, or gets noise of 6 grey levels and is coded by H.264 at crf 30.
Both models that the video tool chooses between see the label's box in it, with one frame's
heatmaps. Labels are in COCO's form; where their images name a video (``vid_id``), frames are in the
order of their files' names, and elsewhere each picture is a clip that stands still.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import sys
from collections import defaultdict

import cv2
import numpy as np
import torch
from harness import current_commit, write_result
from rich.progress import track
from torso_pck import GROUPS, LIMBS, joints_found

from star_pose.apis.pose_model import PoseModel
from star_pose.apis.shipped_models import find_model
from star_pose.datasets.transforms import ClipH264, ClipNoise

HEIGHTS = (32, 48, 64, 80, 100, 130)
TALL = 130  # pixels; nobody is enlarged
SHOWN = 3.0  # boxes that are cut out of the frame about a person, as context of the codec
DEGRADATIONS = ClipNoise(6.0, grey_prob=0.0), ClipH264(30)
JOINTS = [joint for group in LIMBS for joint in GROUPS[group]]


def read_people(path: pathlib.Path, num: int) -> list[tuple[list[pathlib.Path], dict]]:
    """Return tall people, spread evenly: the files of five frames about each, and the label."""
    labels = json.loads(path.read_text())
    root = (
        path.parent
        if (path.parent / labels['images'][0]['file_name']).exists()
        else path.parents[1]
    )
    files = {image['id']: root / image['file_name'] for image in labels['images']}
    folders = defaultdict(list)
    for file in sorted(files.values()):
        folders[file.parent].append(file)
    is_video = 'vid_id' in labels['images'][0]
    people = []
    for label in labels['annotations']:
        seen = np.array(label['keypoints']).reshape(-1, 3)[JOINTS, 2] > 0
        if label['bbox'][3] >= TALL and seen.all():
            file = files[label['image_id']]
            clip = folders[file.parent] if is_video else [file]
            index = clip.index(file)
            places = np.clip(np.arange(index - 2, index + 3), 0, len(clip) - 1)
            people.append(([clip[place] for place in places], label))
    chosen = np.linspace(0, len(people) - 1, min(num, len(people))).astype(int)
    return [people[index] for index in chosen]


def shrink(
    frames: list[np.ndarray], label: dict, height: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Show the surroundings of a person so that he is ``height`` pixels tall.

    Returns:
        The frames, the box (4,) as x1 y1 x2 y2 and the joints (K, 2) in them.
    """
    x, y, w, h = label['bbox']
    low = np.maximum(np.array([x + w / 2, y + h / 2]) - SHOWN / 2 * max(w, h), 0).astype(int)
    high = (low + SHOWN * max(w, h)).astype(int)
    cut = [frame[low[1] : high[1], low[0] : high[0]] for frame in frames]
    size = [max(16, round(side * height / h)) for side in cut[0].shape[1::-1]]
    zoom = np.array(size) / cut[0].shape[1::-1]
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in cut]
    box = (np.array([[x, y], [x + w, y + h]]) - low) * zoom
    joints = (np.array(label['keypoints'], float).reshape(-1, 3)[:, :2] + 0.5 - low) * zoom - 0.5
    return small, box.ravel(), joints


def measure(people: list, models: dict[str, PoseModel]) -> dict:
    """Return PCK@0.2 by kind of clip, height and model."""
    hits = defaultdict(list)
    rng = np.random.default_rng(0)
    for files, label in track(people):
        frames = [cv2.imread(str(file)) for file in files]
        for height in HEIGHTS:
            clean, box, truth = shrink(frames, label, height)
            degraded = clean
            for step in DEGRADATIONS:
                degraded, _ = step.degrade(degraded, rng)
            for kind, clip in (('clean', clean), ('degraded', degraded)):
                for name, model in models.items():
                    images = clip if model.is_clip else clip[2:3]
                    crops = model.cut(images, box[None])
                    outputs = model.run(crops.pixels)
                    joints, _ = model.decode(outputs, crops.centres, crops.scales)
                    found = joints_found(joints[0], truth, np.ones(len(truth), bool), 0.2)
                    hits[kind, height, name] += found[JOINTS].tolist()
    scores: dict = {}
    for (kind, height, name), found in hits.items():
        by_height = scores.setdefault(kind, {}).setdefault(str(height), {})
        by_height[name] = round(100 * float(np.mean(found)), 1)
    return scores


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'labels', nargs='+', metavar='NAME=FILE', help="a set's name and its labels in COCO's form"
    )
    parser.add_argument(
        '--models', nargs=2, default=['movenet-thunder', 'star_pose_movenet-thunder']
    )
    parser.add_argument('--num', type=int, default=120, help='people of each file')
    args = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: PoseModel(*find_model(name)) for name in args.models}
    sets = {}
    for name, path in (entry.split('=', 1) for entry in args.labels):
        people = read_people(pathlib.Path(path), args.num)
        sets[name] = {'people': len(people), 'pck': measure(people, models)}
        print(name, json.dumps(sets[name], indent=1))
    result = {
        'commit': current_commit(),
        'models': args.models,
        'heights': HEIGHTS,
        'labels': sets,
    }
    print(write_result('person_size', result, shlex.join(['python', *sys.argv])))


if __name__ == '__main__':
    main()
