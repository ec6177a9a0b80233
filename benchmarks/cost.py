"""What each part of STAR-Pose costs, as a ratio to the pose network that it feeds.

    python benchmarks/cost.py --threads 2 --rounds 15

Four questions, each answered within one interleaved run, so that the ratios survive a noisy
machine: what the front end (backbone and neck) and the SR decoder cost beside HRNet-W32 at 256x192;
how time and memory grow when the clip doubles from 8 to 16 frames; what the attention's form and
the tokens' stride cost; what bf16 autocast saves. The weights are random, which changes no time.

Writes ``benchmarks/results/cost.json``. Memory is the peak of live tensors in a forward pass and
what a training step keeps for its backward pass, both counted exactly.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import pathlib
import shlex
import sys
import weakref
from collections.abc import Callable, Iterator

import torch
from harness import time_interleaved, write_result
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.posetrack.evaluate import markdown_table

FLAGSHIP = pathlib.Path(__file__).resolve().parents[1] / 'configs/star_pose_64x48_posetrack.py'
VARIANTS = {
    'as configured': {},
    'stem_channels=64': dict(stem_channels=64),
    'token_stride=2': dict(token_stride=2),
    'depth=6': dict(depth=6),
    'num_neighbours=0': dict(num_neighbours=0),
    'tokens=pixels': dict(tokens='pixels', num_neighbours=0),
    'kernel=softmax': dict(kernel='softmax'),
    'T=1': {},
}


def build_front_end(cfg: Config, **changes) -> nn.Module:
    """Build the flagship's backbone and neck, with changes of the backbone."""
    torch.manual_seed(0)
    return nn.Sequential(
        MODELS.build(dict(cfg.model.backbone) | changes), MODELS.build(cfg.model.neck)
    ).eval()


def make_clip(cfg: Config, num_frames: int | None = None) -> Tensor:
    """Make a batch of one clip (1, T, 3, h, w) of the flagship's size."""
    width, height = (side // cfg.scale for side in cfg.codec.input_size)
    return torch.randn(1, num_frames or cfg.num_frames, 3, height, width)


@torch.no_grad()
def cost_of_parts(cfg: Config, rounds: int) -> dict:
    """Time the front end and the decoder beside the pose backbone."""
    clip, front = make_clip(cfg), build_front_end(cfg)
    decoder = MODELS.build(cfg.model.head.sr_decoder).eval()
    pose_backbone = MODELS.build(cfg.model.head.pose_net.backbone)
    pose_backbone.eval()
    frame = torch.randn(1, 3, *cfg.codec.input_size[::-1])
    lr_target, fused = front(clip)
    branches = front[0](clip)
    times = time_interleaved(
        {
            'HRNet-W32 256x192': lambda: pose_backbone(frame),
            'front end': lambda: front(clip),
            'of it the backbone': lambda: front[0](clip),
            'of it the neck': lambda: front[1](branches),
            'SR decoder': lambda: decoder(fused, lr_target),
        },
        rounds,
    )
    return with_ratios(times, 'HRNet-W32 256x192')


def growth_with_frames(cfg: Config, rounds: int) -> dict:
    """Double the clip from 8 to 16 frames: time, peak memory, memory of a training step."""
    front = build_front_end(cfg)
    clips = {f'T={num_frames}': make_clip(cfg, num_frames) for num_frames in (8, 16)}
    runs = {name: lambda clip=clip: front(clip) for name, clip in clips.items()}
    with torch.no_grad():
        result = with_ratios(time_interleaved(runs, rounds), 'T=8')
        for name, run in runs.items():
            result[name]['peak_mib'] = round(peak_of_live_tensors(run) / 2**20, 2)
    for name, run in runs.items():
        result[name]['kept_for_backward_mib'] = round(kept_for_backward(run) / 2**20, 2)
    result['ratio'] = {
        key: round(result['T=16'][key] / result['T=8'][key], 3)
        for key in ('median_ms', 'min_ms', 'peak_mib', 'kept_for_backward_mib')
    }
    return result


@torch.no_grad()
def cost_of_variants(cfg: Config, rounds: int) -> dict:
    """Time the front end with one thing changed at a time."""
    runs = {}
    for name, changes in VARIANTS.items():
        front = build_front_end(cfg, **changes)
        clip = make_clip(cfg, 1 if name == 'T=1' else None)
        runs[name] = lambda front=front, clip=clip: front(clip)
    return with_ratios(time_interleaved(runs, rounds), 'as configured')


@torch.no_grad()
def gain_of_bf16(cfg: Config, rounds: int) -> dict:
    """Time fp32, and bf16 autocast with channels-last weights, of front end and pose backbone."""
    clip = make_clip(cfg)
    frame = torch.randn(1, 3, *cfg.codec.input_size[::-1])
    front = build_front_end(cfg)
    pose_backbone = MODELS.build(cfg.model.head.pose_net.backbone)
    pose_backbone.eval()
    runs = {}
    for name, model, x in (('front end', front, clip), ('HRNet-W32', pose_backbone, frame)):
        runs[f'{name}, fp32'] = lambda model=model, x=x: model(x)
    for name, model, x in (('front end', front, clip), ('HRNet-W32', pose_backbone, frame)):
        runs[f'{name}, bf16'] = in_bf16(model, x)
    times = time_interleaved(runs, rounds)
    for name in ('front end', 'HRNet-W32'):
        fast, slow = times[f'{name}, bf16'], times[f'{name}, fp32']
        fast['speedup'] = round(slow['median_ms'] / fast['median_ms'], 2)
    return times


def in_bf16(model: nn.Module, x: Tensor) -> Callable[[], object]:
    """Make a call of a channels-last copy of the model under bf16 autocast."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.autocast('cpu', torch.bfloat16):
            return model(x)

    return run


def with_ratios(times: dict[str, dict[str, float]], base: str) -> dict:
    """Add each system's median as a ratio to that of ``base``."""
    for row in times.values():
        row['ratio'] = round(row['median_ms'] / times[base]['median_ms'], 3)
        row['ratio_of_min'] = round(row['min_ms'] / times[base]['min_ms'], 3)
    return times


class _LiveTensors(TorchDispatchMode):
    """Follows the bytes of all storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _follow(self, storage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def peak_of_live_tensors(run: Callable[[], object]) -> int:
    """Most bytes of tensors that live at once while ``run`` runs, its input and weights apart."""
    with _LiveTensors() as tensors:
        run()
    return tensors.peak


def kept_for_backward(run: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of ``run``, parameters apart."""
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        if not tensor.is_leaf:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()  # alive until here, so that no address is used twice
    del out
    return sum(kept.values())


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Run with a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print one question's rows in Markdown, with the columns that any of them has."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    cells = [[name, *(str(row.get(key, '')) for key in columns)] for name, row in rows.items()]
    print('\n' + markdown_table([title, *columns], cells))


def main() -> None:
    """Measure, print four tables, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', default=FLAGSHIP, help='whose model is measured')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15, help='timed calls of each')
    parser.add_argument('--name', default='cost', help='of the file under results/')
    args = parser.parse_args()
    init_default_scope('mmpose')
    cfg = Config.fromfile(args.config)
    questions = {
        'parts': cost_of_parts,
        'frames': growth_with_frames,
        'variants': cost_of_variants,
        'bf16': gain_of_bf16,
    }
    result = dict(dtype='float32', batch=1, num_frames=cfg.num_frames, rounds=args.rounds)
    with threads(args.threads):
        for name, ask in questions.items():
            result[name] = ask(cfg, args.rounds)
            print_table(name, result[name])
        path = write_result(args.name, result, shlex.join(['python', *sys.argv]))
    print(f'\n{path}\n{result["dtype"]}, batch 1, T={cfg.num_frames}, {args.threads} threads')


if __name__ == '__main__':
    main()
