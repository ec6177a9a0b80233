"""Time STAR-Pose beside cascades and the bicubic baseline: a clip in, keypoints out.

    python benchmarks/speed.py --threads 2 --rounds 9
    python benchmarks/speed.py --pose-nets movenet-lightning movenet-thunder --name speed_shipped

Every system is a config of this project with the same pose network (the flagship's HRNet-W32 at
256x192, or one of the shipped models' MoveNets), run through the stock estimator: data
preprocessor, model, decoding. The weights are random, which changes no time. All systems of a pose
network are timed turn by turn in one run, so that the ratios survive a noisy machine; with
``--cpu-time`` the processor's time of one thread is counted, where other programs run too. The flip
test, which doubles everybody's cost, is off. Before the MoveNets the fusion of five frames'
evidence is timed too, as a video adds it to each frame.

Writes ``benchmarks/results/speed.json``: the end-to-end table, where the time of our systems goes,
and how far that is from the machine's own matrix product.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import pathlib
import shlex
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from harness import current_commit, time_interleaved, write_result
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from rich.progress import track

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.apis.model_info import count_parts
from star_pose.apis.track_evidence import FrameEvidence, average_evidence
from star_pose.models import STARPoseNet
from star_pose.posetrack.evaluate import markdown_table

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'
FLAGSHIP = CONFIGS / 'star_pose_64x48_posetrack.py'
BASELINE = 'bicubic'
PEERS = 'hrnet-w32_64x48_posetrack'  # what the peers' configs share: pose network, size, data
HANDOFFS = ('feature', 'residual', 'image')
FLAGSHIPS = 'hrnet-w32'
POSE_NETS = (FLAGSHIPS, 'movenet-lightning', 'movenet-thunder')
FROZEN_PEERS = 'movenet-lightning_64x48_coco'  # the cascades before a frozen network, Thunder too
FUSION = 'evidence of 5 frames, added in a video'


def load_systems(models: dict[str, dict]) -> tuple[dict[str, torch.nn.Module], dict[str, str]]:
    """Build the systems.

    Returns:
        Name to model, and name to the reason for those that cannot run here.
    """
    runnable, refused = {}, {}
    for name, model in models.items():
        try:
            runnable[name] = build(model)
        except ImportError as error:
            refused[name] = str(error)
    if not any(BASELINE in name for name in runnable):
        sys.exit(f'one of the configs must be a {BASELINE} baseline: ratios are to it')
    return runnable, refused


def systems_of(pose_net: str) -> dict[str, dict]:
    """Collect the model definitions around a pose network: ours, the baseline, the cascades."""
    if pose_net == FLAGSHIPS:
        return flagship_systems()
    adapted = Config.fromfile(CONFIGS / 'adapt' / f'{pose_net}_64x48_coco.py').model
    models = {'STAR-Pose': adapted}
    baseline = CONFIGS / 'baselines' / f'{BASELINE}_{FROZEN_PEERS}.py'
    for path in (baseline, *sorted((CONFIGS / 'cascades').glob(f'*_{FROZEN_PEERS}.py'))):
        name = path.stem.removesuffix(f'_{FROZEN_PEERS}')
        model = Config.fromfile(path).model
        model.head.pose_net = adapted.head.pose_net
        models[name if name == BASELINE else f'cascade {name}'] = model
    return models


def flagship_systems() -> dict[str, dict]:
    """Collect the model definitions around the flagship's pose network."""
    flagship = Config.fromfile(FLAGSHIP)
    models = {}
    for handoff in HANDOFFS:
        model = copy.deepcopy(flagship.model)
        model.head.handoff = handoff
        models[f'STAR-Pose {handoff}'] = model
    models[BASELINE] = Config.fromfile(CONFIGS / 'baselines' / f'{BASELINE}_{PEERS}.py').model
    for path in sorted((CONFIGS / 'cascades').glob(f'*_{PEERS}.py')):
        models[f'cascade {path.stem.removesuffix(f"_{PEERS}")}'] = Config.fromfile(path).model
    return models


def build(model: dict) -> torch.nn.Module:
    """Build a model for inference: no flip test, weights in channels-last layout."""
    model = copy.deepcopy(model)
    model.test_cfg = dict(flip_test=False)
    built = MODELS.build(model)
    built.eval()
    return built.to(memory_format=torch.channels_last)


def make_batch(num_clips: int, num_frames: int, size: tuple[int, int], scale: int) -> dict:
    """Make a batch as the data loader would: uint8 clips (T, 3, h, w) and their samples.

    Args:
        num_clips: Number of clips N.
        num_frames: Number of frames T.
        size: (w, h) of a frame.
        scale: From it to the pose network's input.
    """
    width, height = size
    rng = np.random.default_rng(0)
    clips, samples = [], []
    for _ in range(num_clips):
        clip = rng.integers(0, 256, (num_frames, 3, height, width), dtype=np.uint8)
        clips.append(torch.from_numpy(clip))
        sample = PoseDataSample(
            metainfo=dict(
                input_size=(width * scale, height * scale),
                input_center=np.array([100.0, 100.0]),
                input_scale=np.array([192.0, 256.0]),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.array([[4.0, -28.0, 196.0, 228.0]]), bbox_scores=np.ones(1, np.float32)
        )
        samples.append(sample)
    return {'inputs': clips, 'data_samples': samples}


def predictor(model: torch.nn.Module, batch: dict, dtype: torch.dtype, device: torch.device):
    """Return the call to be timed: a batch of clips in, keypoints out."""
    autocast = (
        contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
    )

    def run() -> list[PoseDataSample]:
        with torch.inference_mode(), autocast:
            samples = model.test_step(copy.deepcopy(batch))
        if device.type == 'cuda':
            torch.cuda.synchronize()
        return samples

    return run


def evidence_fusion(pose_net: str) -> Callable[[], np.ndarray]:
    """Return what a video adds to a frame: four kept frames' heatmaps fused with a new one's."""
    width, height = Config.fromfile(CONFIGS / 'adapt' / f'{pose_net}_64x48_coco.py').codec[
        'heatmap_size'
    ]
    rng = np.random.default_rng(0)

    def frame() -> FrameEvidence:
        crop = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
        maps = rng.random((17, height, width), np.float32)
        return FrameEvidence(maps, crop, np.zeros(2), np.array([192.0, 256.0]))

    kept = [frame() for _ in range(4)]

    def run() -> np.ndarray:
        new = copy.copy(kept[0])
        for cached in ('grey', 'cells'):  # computed once for each frame
            vars(new).pop(cached, None)
        return average_evidence([*kept, new], 4)

    run()
    return run


class PartTimer:
    """Add up the time spent in named modules of a model by forward hooks.

    Args:
        parts: Name to module; none inside another.
        clock: As of ``time_interleaved``.
    """

    def __init__(self, parts: dict[str, torch.nn.Module], clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds = dict.fromkeys(parts, 0.0)
        self._started: dict[str, float] = {}
        self._hooks = []
        for name, module in parts.items():
            self._hooks.append(module.register_forward_pre_hook(self._start(name)))
            self._hooks.append(module.register_forward_hook(self._stop(name)))

    def _start(self, name: str):
        def hook(module, args) -> None:
            self._started[name] = self.clock()

        return hook

    def _stop(self, name: str):
        def hook(module, args, output) -> None:
            self.seconds[name] += self.clock() - self._started[name]

        return hook

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()


def time_parts(model: torch.nn.Module, run, rounds: int, clock) -> dict[str, float]:
    """Share a system's time out to its parts, in milliseconds a call (mean over ``rounds``)."""
    parts = {
        'preprocessing': model.data_preprocessor,
        'backbone (front end)': model.backbone,
    }
    if model.with_neck:
        parts['neck (fusion)'] = model.neck
    if model.head.sr_decoder is not None:
        parts['SR decoder'] = model.head.sr_decoder
    run()
    timer = PartTimer(parts, clock)
    start = clock()
    for _ in range(rounds):
        run()
    total = clock() - start
    timer.remove()
    shares = {name: 1e3 * spent / rounds for name, spent in timer.seconds.items()}
    shares['pose network, decoding'] = 1e3 * total / rounds - sum(shares.values())
    return {name: round(value, 2) for name, value in shares.items()}


def matmul_peak(dtype: torch.dtype, device: torch.device, clock, size: int = 2048) -> float:
    """Measure the machine's matrix product, in 10^9 multiply-accumulates a second."""
    a = torch.rand(size, size, device=device).to(dtype)
    times = []
    for _ in range(6):
        start = clock()
        torch.mm(a, a)
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(clock() - start)
    return size**3 / min(times) / 1e9


def limit(model: torch.nn.Module, batch: dict, peaks: dict[str, float]) -> dict[str, float]:
    """Return the multiply-accumulates of a clip, and the milliseconds they take at the peaks."""
    shape = (1, *batch['inputs'][0].shape)
    gmac = count_parts(model, shape)[0].macs / 1e9
    times = {f'{dtype}_ms': round(1e3 * gmac / peak, 2) for dtype, peak in peaks.items()}
    return {'gmac': round(gmac, 3), **times}


def measure(pose_net: str, systems: dict, args, device: torch.device) -> list[dict]:
    """Time all systems under every batch size and type; ratios are to the baseline's fp32."""
    rows = []
    baseline = next(name for name in systems if BASELINE in name)
    for num_clips in args.batches:
        batch = make_batch(num_clips, args.frames, (48, 64), 4)
        runs = {
            (name, dtype): predictor(model, batch, getattr(torch, dtype), device)
            for dtype in args.dtypes
            for name, model in systems.items()
        }
        if pose_net in POSE_NETS[1:] and num_clips == 1:
            runs[FUSION, 'float32'] = evidence_fusion(pose_net)
        for run in track(runs.values(), description=f'warm-up, batch {num_clips}'):
            run()
        times = time_interleaved(runs, args.rounds, warmup=1, clock=args.clock)
        base = times[baseline, 'float32']['median_ms']
        for (name, dtype), values in times.items():
            row = {'pose_net': pose_net, 'system': name, 'dtype': dtype, 'batch': num_clips}
            ratio = round(values['median_ms'] / base, 3)
            rows.append({**row, **values, 'ratio_to_bicubic_fp32': ratio})
    return rows


def table(rows: list[dict]) -> str:
    """Lay the rows out in Markdown."""
    head = ['pose network', 'system', 'dtype', 'batch', 'median ms', 'quartiles', 'x bicubic fp32']
    keys = (
        'pose_net',
        'system',
        'dtype',
        'batch',
        'median_ms',
        'quartiles',
        'ratio_to_bicubic_fp32',
    )
    rows = [{**row, 'quartiles': f'{row["q1_ms"]} - {row["q3_ms"]}'} for row in rows]
    return markdown_table(head, [[str(row[key]) for key in keys] for row in rows])


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', type=pathlib.Path, help='systems to time instead')
    parser.add_argument('--pose-nets', nargs='+', default=[FLAGSHIPS], choices=POSE_NETS)
    parser.add_argument('--frames', type=int, default=5, help='T, frames a clip')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--dtypes', nargs='+', default=['float32', 'bfloat16'])
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, default=2, help='CPU threads')
    parser.add_argument(
        '--cpu-time', action='store_true', help="the process's own time, with --threads 1"
    )
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--only', nargs='+', help='systems whose name contains one of these')
    parser.add_argument('--name', default='speed', help='name of the file under results/')
    return parser.parse_args()


def main() -> None:
    """Build everything, time it, print and write the tables."""
    args = parse_args()
    args.clock = time.process_time if args.cpu_time else time.perf_counter
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmpose')
    device = torch.device(args.device)
    if args.configs:
        groups = {'': {path.stem: Config.fromfile(path).model for path in args.configs}}
    else:
        groups = {pose_net: systems_of(pose_net) for pose_net in args.pose_nets}
    peaks = {
        dtype: round(matmul_peak(getattr(torch, dtype), device, args.clock), 1)
        for dtype in args.dtypes
    }
    print('matrix product, GMAC/s:', peaks)
    result = {
        'frames': args.frames,
        'rounds': args.rounds,
        'device': args.device,
        'clock': 'processor' if args.cpu_time else 'wall',
        'commit': current_commit(),
        'rows': [],
        'parts_ms_fp32_batch1': {},
        'matmul_gmacs': peaks,
        'limits': {},
        'not_timed': {},
    }
    batch = make_batch(1, args.frames, (48, 64), 4)
    for pose_net, models in groups.items():
        if args.only:
            wanted = [*args.only, BASELINE]
            models = {n: m for n, m in models.items() if any(word in n for word in wanted)}
        systems, refused = load_systems(models)
        for name, reason in refused.items():
            print(f'{name}: not timed. {reason}')
        for model in systems.values():
            model.to(device)
        rows = measure(pose_net, systems, args, device)
        print(table(rows))
        result['rows'] += rows
        before = f'{pose_net}: ' if len(groups) > 1 else ''
        result['not_timed'].update({f'{before}{name}': why for name, why in refused.items()})
        result['limits'].update(
            {f'{before}{n}': limit(m, batch, peaks) for n, m in systems.items()}
        )
        for name, model in systems.items():
            if isinstance(model.backbone, STARPoseNet):
                run = predictor(model, batch, torch.float32, device)
                shares = time_parts(model, run, args.rounds, args.clock)
                print(f'{before}{name}', shares)
                result['parts_ms_fp32_batch1'][f'{before}{name}'] = shares
        # After each pose network: what an interrupted run has measured is kept.
        print(write_result(args.name, result, shlex.join(['python', *sys.argv])))


if __name__ == '__main__':
    main()
