"""Ask a trained model what it takes from the other frames of a clip: change them and look.

    python benchmarks/temporal_use.py CONFIG CHECKPOINT --pool POOL

The same persons are evaluated with the clip as it is; with the frames beside the target in another
order; with the target in the place of all of them; and with frames of another video. A model
that uses time loses by the first, one that averages noise away loses by the second, and one that
looks at the target alone loses by none.
"""

from __future__ import annotations

import argparse
import pathlib
import shlex
import sys
from collections.abc import Sequence

import torch
from accuracy import TARGET, clip_form, evaluate, load_parts
from clip_pool import PooledClips
from harness import write_result
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

METRICS = ('AP', 'pckh@0.5', 'pckh@0.2')


def as_it_is(clips: list[torch.Tensor], target: int, others: list[int]) -> list[torch.Tensor]:
    """Leave the clips (T, 3, h, w)."""
    return clips


def shuffled(clips: list[torch.Tensor], target: int, others: list[int]) -> list[torch.Tensor]:
    """Reorder the frames beside the target, all clips alike, none staying in its place."""
    beside = [index for index in range(len(clips[0])) if index != target]
    moved = dict(zip(beside, beside[1:] + beside[:1], strict=True))
    order = [moved.get(index, index) for index in range(len(clips[0]))]
    return [clip[order] for clip in clips]


def repeated(clips: list[torch.Tensor], target: int, others: list[int]) -> list[torch.Tensor]:
    """Show the target in every place."""
    return [clip[target : target + 1].expand_as(clip) for clip in clips]


def of_another(clips: list[torch.Tensor], target: int, others: list[int]) -> list[torch.Tensor]:
    """Show frames of another video beside the target, those of ``others``."""
    mixed = []
    for clip, other in zip(clips, others, strict=True):
        mixed.append(clips[other].clone())
        mixed[-1][target] = clip[target]
    return mixed


def other_videos(videos: list[str]) -> list[int]:
    """For every sample the next one, around the end, that is of another video.

    Raises:
        ValueError: If all samples are of one video.
    """
    found = []
    for index, video in enumerate(videos):
        following = (*range(index + 1, len(videos)), *range(index))
        try:
            found.append(next(other for other in following if videos[other] != video))
        except StopIteration:
            raise ValueError(f'all samples are of {video}: nobody else can be shown') from None
    return found


def video_of(paths: Sequence[str]) -> str:
    """The video of a clip's frames: their folder, or the file of a photograph or a film."""
    files = {path.partition('#')[0] for path in paths}
    return str(pathlib.PurePath(min(files)).parent) if len(files) > 1 else min(files)


CHANGES = {
    'as it is': as_it_is,
    'other frames in another order': shuffled,
    'target in all places': repeated,
    'frames of another video': of_another,
}


def main() -> None:
    """Evaluate under every change, print and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=pathlib.Path)
    parser.add_argument('--pool', type=pathlib.Path, required=True, help='folder of clip_pool.py')
    parser.add_argument('--sets', nargs='+', default=TARGET, help='of the pool, such as lspe-clean')
    parser.add_argument('--name', default='temporal_use', help='of the file under results/')
    args = parser.parse_args()
    init_default_scope('mmpose')
    config = Config.fromfile(args.config)
    model = MODELS.build(config.model).to(memory_format=torch.channels_last)
    load_parts(model, args.checkpoint)
    target = clip_form(config)['num_frames'] // 2
    results = {}
    for name in args.sets:
        samples = list(PooledClips(args.pool / f'val-{name}.pth', **clip_form(config)))
        clips = [sample['inputs'] for sample in samples]
        others = other_videos([video_of(one['data_samples'].frame_paths) for one in samples])
        for title, change in CHANGES.items():
            changed = [
                {**sample, 'inputs': clip}
                for sample, clip in zip(samples, change(clips, target, others), strict=True)
            ]
            found = evaluate(model, changed)
            row = {metric: found[metric] for metric in METRICS}
            results.setdefault(name, {})[title] = row
            print(name, title, row, flush=True)
    command = shlex.join(['python', *sys.argv])
    print(write_result(args.name, {'config': args.config, 'sets': results}, command))


if __name__ == '__main__':
    main()
