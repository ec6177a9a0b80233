"""Time the video tool end to end: frames and people a second of a core, and where the time goes.

    python benchmarks/video_speed.py match.mp4 --frames 150

Each model goes through the same frames turn by turn: with boxes of the same people in every frame,
with the built-in detector at every fifth frame, and with the first drawn and encoded too. The boxes
are those of the people that a first pass follows longest. Decoding is part of all of it; loading
the model is not. The processor's time counts, of all threads: what one core does in a second, and
what other programs on the machine do not change. The wall clock's stands in the file.
"""

from __future__ import annotations

import argparse
import pathlib
import shlex
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict

import harness  # before NumPy: it gives its linear algebra one thread, as the tools do
import numpy as np
import torch
from rich.progress import track

from star_pose import VideoPose
from star_pose.apis.frame_sources import open_source
from star_pose.apis.shipped_models import shipped_models
from star_pose.apis.video_outputs import OutputPlan, VideoOutputs
from star_pose.posetrack.evaluate import markdown_table

GIVEN, DETECTED, DRAWN = 'boxes given', 'detection every 5th frame', 'boxes given, drawn'


class KnownBoxes:
    """Boxes of people in every frame, as a box source."""

    def __init__(self, boxes: dict[int, np.ndarray]) -> None:
        self.boxes = boxes

    def __call__(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of a frame."""
        boxes = self.boxes.get(index, np.zeros((0, 4)))
        return boxes, np.ones(len(boxes))


def follow(poser: VideoPose, video: str, frames: int, people: int) -> KnownBoxes:
    """Boxes of those who are followed longest."""
    seen = defaultdict(dict)
    for frame in poser(video, stop=frames):
        for track_id, box in zip(frame.track_ids, frame.boxes, strict=True):
            seen[int(track_id)][frame.index] = box
    kept = sorted(seen.values(), key=len, reverse=True)[:people]
    if not kept:
        sys.exit(f'{video}: nobody is found; give a video of people')
    indices = {index for boxes in kept for index in boxes}
    return KnownBoxes(
        {index: np.stack([b[index] for b in kept if index in b]) for index in indices}
    )


def run(poser: VideoPose, video: str, mode: str, boxes: KnownBoxes, frames: int) -> dict:
    """Go through the video once; what it took."""
    source = open_source(video)
    wall, processor = time.perf_counter(), time.process_time()
    count = Counter()
    with tempfile.TemporaryDirectory() as folder:
        plan = OutputPlan(source, video_path=f'{folder}/drawn.mp4')
        header = {'video': source.name, 'joints': list(range(17)), 'skeleton': [], 'info': {}}
        outputs = VideoOutputs(plan, header, poser.dataset_meta, source.rate)
        results = poser(source, None if mode == DETECTED else boxes, stop=frames)
        if mode == DRAWN:
            with outputs:
                for frame in results:
                    outputs.add(frame)
                    count.update(frames=1, people=len(frame.boxes))
        else:
            for frame in results:
                count.update(frames=1, people=len(frame.boxes))
    return {
        'wall_s': time.perf_counter() - wall,
        'processor_s': time.process_time() - processor,
        'stages_s': dict(poser.run.seconds),
        **count,
    }


def summarise(model: str, backend: str, mode: str, runs: list[dict]) -> dict:
    """The medians of the runs of a model in a mode."""
    wall, processor = (
        statistics.median(found[name] / found['frames'] for found in runs)
        for name in ('wall_s', 'processor_s')
    )
    people = runs[0]['people'] / runs[0]['frames']
    middle = sorted(runs, key=lambda found: found['wall_s'])[len(runs) // 2]
    return {
        'model': model,
        'backend': backend,
        'mode': mode,
        'people_a_frame': round(people, 2),
        'processor_ms_a_frame': round(1e3 * processor, 1),
        'frames_a_core_second': round(1 / processor, 1),
        'people_a_core_second': round(people / processor, 1),
        'frames_a_wall_second': round(1 / wall, 1),
        'stages_ms_a_frame': {
            stage: round(1e3 * seconds / middle['frames'], 2)
            for stage, seconds in middle['stages_s'].items()
        },
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('video')
    parser.add_argument('--models', nargs='+', default=list(shipped_models()))
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--people', type=int, default=2, help='whose boxes are given (2)')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--name', default='video_speed', help='of the file under results/')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    posers = {name: VideoPose(name, backend=args.backend) for name in args.models}
    boxes = follow(posers[args.models[0]], args.video, args.frames, args.people)
    runs = defaultdict(list)
    for _ in track(range(args.rounds), description='rounds'):
        for name, poser in posers.items():
            for mode in (GIVEN, DETECTED, DRAWN):
                runs[name, mode].append(run(poser, args.video, mode, boxes, args.frames))
    rows = [
        summarise(name, posers[name].model.backend, mode, found)
        for (name, mode), found in runs.items()
    ]
    columns = list(rows[0])[:-2]
    print(markdown_table(columns, [[str(row[column]) for column in columns] for row in rows]))
    result = {
        'commit': harness.current_commit(),
        'video': pathlib.Path(args.video).name,
        'frames': args.frames,
        'rounds': args.rounds,
        'rows': rows,
    }
    print(harness.write_result(args.name, result, shlex.join(['python', *sys.argv])))


if __name__ == '__main__':
    main()
