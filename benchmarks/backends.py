"""Time pose networks in every runtime and type beside eager PyTorch, with the PCK of each.

    python benchmarks/backends.py --data lspe/lspe_val.json --calibrate lspe/lspe_train.json

The systems are the shipped models and the flagship, which has no weights here and so no PCK. Timed
is the network, uint8 crops in and heatmaps out, turn by turn in one run; ratios are to eager
PyTorch in float32 at the same batch. PCK is that of the limbs (shoulders to ankles) within 0.2 of
the torso, by the decoder of the config without flip test, evidence or smoothing, on people of
COCO-form labels whose images lie beside the file; frames of one ``vid_id`` are a video. int8 is
made as by ``tools/export.py``, with people of other labels as clips.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import pathlib
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import cv2
import numpy as np
import torch
from harness import current_commit, time_interleaved, write_result
from mmengine.config import Config
from rich.progress import track
from torso_pck import joints_found

from star_pose.apis.export import compare, quantise
from star_pose.apis.pose_model import Crops, PoseModel
from star_pose.apis.runtimes import export_onnx, load_onnx
from star_pose.apis.shipped_models import shipped_models
from star_pose.posetrack.evaluate import markdown_table

FLAGSHIP = 'flagship, random weights'
FLAGSHIP_CONFIG = (
    pathlib.Path(__file__).resolve().parents[1] / 'configs/star_pose_64x48_posetrack.py'
)
EAGER = 'torch float32'
LIMBS = slice(5, 17)  # the same joints in COCO's order and in PoseTrack18's
BATCH = 8


def load_people(labels: str, most: int) -> list[dict]:
    """People spread evenly over a file: paths of all frames of their video, place, box, joints.

    Args:
        labels: COCO-form file; its folder is that of the images.
        most: Largest number of people.
    """
    path = pathlib.Path(labels)
    content = json.loads(path.read_text())
    images = {image['id']: image for image in content['images']}
    videos = defaultdict(list)
    for image in content['images']:
        videos[image.get('vid_id', ('image', image['id']))].append(image['id'])
    marked = [label for label in content['annotations'] if any(label['keypoints'][2::3])]
    people = []
    for index in np.linspace(0, len(marked) - 1, min(most, len(marked))).astype(int):
        label = marked[index]
        image = images[label['image_id']]
        frames = videos[image.get('vid_id', ('image', image['id']))]
        x, y, w, h = label['bbox']
        people.append({
            'frames': [str(path.parent / images[number]['file_name']) for number in frames],
            'place': frames.index(image['id']),
            'box': [x, y, x + w, y + h],
            'joints': np.array(label['keypoints'], float).reshape(-1, 3),
        })  # fmt: skip
    return people


def cut(model: PoseModel, people: list[dict]) -> Crops:
    """What a model sees of people; at the ends of a video, and of a photograph, frames repeat."""
    crops = []
    for person in people:
        last = len(person['frames']) - 1
        places = [
            min(max(person['place'] + t - model.target_index, 0), last)
            for t in range(model.num_frames)
        ]
        read = {place: cv2.imread(person['frames'][place]) for place in set(places)}
        crops.append(model.cut([read[place] for place in places], [person['box']]))
    return Crops(*(
        np.concatenate([getattr(crop, name) for crop in crops])
        for name in ('pixels', 'centres', 'scales')
    ))  # fmt: skip


def outputs(run: Callable, pixels: np.ndarray) -> np.ndarray:
    """A network's heatmaps for all crops."""
    return np.concatenate([run(pixels[n : n + BATCH])[0] for n in range(0, len(pixels), BATCH)])


def pck(keypoints: np.ndarray, people: list[dict]) -> float:
    """Share of the labelled limb joints within 0.2 of the torso, in per cent."""
    hits = []
    for found, person in zip(keypoints, people, strict=True):
        truth, labelled = person['joints'][:, :2], person['joints'][:, 2] > 0
        hit = joints_found(found, truth, labelled, 0.2)
        if hit is not None:
            hits += list(hit[LIMBS][labelled[LIMBS]])
    return round(100 * float(np.mean(hits)), 1)


def load_systems(wanted: list[str] | None, weights: str | None) -> dict[str, tuple]:
    """Config and weights by name; the flagship has random ones unless some are given."""
    flagship = Config.fromfile(FLAGSHIP_CONFIG)
    flagship.model.head.pose_net.init_cfg = None
    systems = {**shipped_models(), FLAGSHIP if weights is None else 'flagship': (flagship, weights)}
    return {n: s for n, s in systems.items() if not wanted or any(word in n for word in wanted)}


def make_runtimes(model: PoseModel, clips: np.ndarray) -> dict[str, Callable]:
    """Every runtime and type that is installed, by name."""
    eager = model.run

    def bfloat16(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.autocast('cpu', torch.bfloat16):
            return eager(pixels)

    exported = export_onnx(model.network, clips)
    quantised = quantise(exported, clips)
    found = {
        EAGER: eager,
        'torch bfloat16': bfloat16,
        'onnxruntime float32': load_onnx(exported),
        'onnxruntime int8': load_onnx(quantised),
    }
    try:
        import openvino  # noqa: F401
    except ImportError:
        print('openvino is not installed and not timed')
        return found
    return {
        **found,
        'openvino float32': load_onnx(exported, 'openvino'),
        'openvino bfloat16': load_onnx(exported, 'openvino-bfloat16'),
        'openvino int8': load_onnx(quantised, 'openvino'),
    }


def measure(name: str, system: tuple, sets: dict[str, list], clips: list, args) -> list[dict]:
    """The rows of a system."""
    torch.manual_seed(0)
    model = PoseModel(*system, backend='torch')
    runs = make_runtimes(model, cut(model, clips).pixels)
    rows = {run: {'system': name, 'backend': run} for run in runs}
    scored = sets if name != FLAGSHIP else {}
    for title, people in sets.items():
        crops = cut(model, people[: len(people) if scored else 2 * BATCH])
        expected = outputs(runs[EAGER], crops.pixels)
        for run, call in track(runs.items(), description=f'{name}: {title}'):
            found = outputs(call, crops.pixels)
            rows[run].setdefault('equal', {})[title] = round(compare([expected], [found]).equal, 4)
            if scored:
                joints, _ = model.decode((found,), crops.centres, crops.scales)
                rows[run].setdefault('pck', {})[title] = pck(joints, people)
    for batch in args.batches:
        pixels = np.resize(crops.pixels, (batch, *crops.pixels.shape[1:]))
        calls = {run: functools.partial(call, pixels) for run, call in runs.items()}
        clock = time.process_time if args.cpu_time else time.perf_counter
        times = time_interleaved(calls, args.rounds, clock=clock)
        for run, found in times.items():
            ratio = round(found['median_ms'] / times[EAGER]['median_ms'], 3)
            rows[run][f'batch {batch}'] = {**found, 'ratio': ratio}
    return list(rows.values())


def table(rows: list[dict], batches: list[int], sets: dict) -> str:
    """Lay the rows out in Markdown."""
    head = ['system', 'backend', *(f'batch {n}: ms (ratio)' for n in batches)]
    head += [f'PCK {title}' for title in sets] + ['maxima as eager']
    lines = []
    for row in rows:
        times = [row[f'batch {n}'] for n in batches]
        cells = [f'{found["median_ms"]} ({found["ratio"]})' for found in times]
        cells += [str(row.get('pck', {}).get(title, '-')) for title in sets]
        lines.append([row['system'], row['backend'], *cells, str(min(row['equal'].values()))])
    return markdown_table(head, lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', nargs='+', required=True, help='labels to measure PCK on')
    parser.add_argument('--calibrate', required=True, help='labels of the clips for int8')
    parser.add_argument('--num', type=int, default=200, help='people of each file (200)')
    parser.add_argument('--num-calibrate', type=int, default=32, help='clips for int8 (32)')
    parser.add_argument('--systems', nargs='+', help='those whose name contains one of these')
    parser.add_argument('--flagship-weights', help='of a trained flagship')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument(
        '--cpu-time', action='store_true', help="the process's own time, with --threads 1"
    )
    parser.add_argument('--name', default='backends', help='of the file under results/')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sets = {pathlib.Path(path).stem: load_people(path, args.num) for path in args.data}
    clips = load_people(args.calibrate, args.num_calibrate)
    rows = []
    for name, system in load_systems(args.systems, args.flagship_weights).items():
        rows += measure(name, system, sets, clips, args)
        gc.collect()  # the runtimes of a system are large
    print(table(rows, args.batches, sets))
    result = {
        'commit': current_commit(),
        'rounds': args.rounds,
        'batches': args.batches,
        'clock': 'processor' if args.cpu_time else 'wall',
        'people': {title: len(people) for title, people in sets.items()},
        'rows': rows,
    }
    print(write_result(args.name, result, shlex.join(['python', *sys.argv])))


if __name__ == '__main__':
    main()
