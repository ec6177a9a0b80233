"""Where the loader's time goes: samples a second a core, by stage, with and without cache.

The training and the validation pipeline of a config run over PoseTrack-like data in three ways,
turn by turn: frames in random order, as a training reads them (nothing kept: a real data set is far
larger than any memory of frames); frames in the labels' order with the reader's memory, as a test
reads them; and the person-clip cache. Times are of the processor, not of the
clock, so that they hold for one core whatever else runs; waiting for the disk is not in them.

Example:
    python tools/make_synthetic_posetrack.py --out data/loader --videos 2 --val-videos 1 \
        --frames 24 --people 5 --dense --size 1280x720 --seed 5
    python benchmarks/loader.py --data data/loader
"""

import argparse
import pathlib
import sys
import tempfile
import time

import cv2
import numpy as np
import torch
from harness import write_result
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, TRANSFORMS

from star_pose.datasets.cache.clip_cache import ClipCacheWriter
from star_pose.datasets.cache.fill_clip_cache import (
    cache_meta,
    clip_sources,
    cutter_of,
    fill_cache,
)
from star_pose.datasets.frames.clip_reader import ClipReader

_KEPT_MB = 200  # 75 frames of 1280x720
CONFIG = pathlib.Path(__file__).parents[1] / 'configs' / 'star_pose_64x48_posetrack.py'
STAGES = {
    'LoadClip': 'decode',
    'ClipAffine': 'warp',
    'GenerateTarget': 'encode target',
    'GenerateLRClip': 'degrade',
    'PackClipInputs': 'pack',
}
DEGRADATIONS = {
    'bicubic': dict(),
    'area': dict(downsample='area'),
    'nearest': dict(downsample='nearest'),
    'bicubic, blur': dict(before=[dict(type='ClipBlur')]),
    'bicubic, motion blur': dict(before=[dict(type='ClipMotionBlur')]),
    'bicubic, low light': dict(after=[dict(type='ClipLowLight')]),
    'bicubic, noise': dict(after=[dict(type='ClipNoise')]),
    'bicubic, JPEG': dict(after=[dict(type='ClipJPEG')]),
    'bicubic, H.264': dict(after=[dict(type='ClipH264')]),
}


class System:
    """One way to read the samples, with the time of every stage.

    Args:
        dataset: Where the samples come from.
        pipeline: Configs of its transforms.
        order: Which samples to read, one after the other.
        load: Arguments of ``LoadClip``.
    """

    def __init__(self, dataset, pipeline: list[dict], order: list[int], load: dict) -> None:
        self.dataset, self.order = dataset, order
        self.steps = []
        for cfg in pipeline:
            extra = load if cfg['type'] == 'LoadClip' else {}
            self.steps.append(
                (STAGES.get(cfg['type'], 'choose'), TRANSFORMS.build({**cfg, **extra}))
            )
        self.times: dict[str, list[float]] = {}

    def read(self, number: int) -> None:
        """Read one sample and keep the stages' times."""
        spent: dict[str, float] = {}
        start = time.thread_time()
        results = self.dataset.get_data_info(self.order[number % len(self.order)])
        spent['choose'] = time.thread_time() - start
        for stage, step in self.steps:
            start = time.thread_time()
            results = step(results)
            spent[stage] = spent.get(stage, 0) + time.thread_time() - start
        for stage, seconds in spent.items():
            self.times.setdefault(stage, []).append(1e3 * seconds)

    def summary(self, skip: int) -> dict:
        """Typical times of all samples but the first ``skip``.

        Medians, which other load disturbs least; of decoding the mean, because with kept frames
        most samples decode nothing and a few a frame or two.
        """
        typical = {
            stage: float(np.mean(times[skip:]) if stage == 'decode' else np.median(times[skip:]))
            for stage, times in self.times.items()
        }
        total = sum(typical.values())
        return dict(
            samples_per_s=round(1e3 / total, 1),
            ms=round(total, 2),
            stages_ms={stage: round(ms, 3) for stage, ms in typical.items()},
            stages_samples_per_s={stage: round(1e3 / ms) for stage, ms in typical.items()},
            share={stage: round(ms / total, 3) for stage, ms in typical.items()},
        )


def compare(cfg: Config, split: str, rounds: int, folder: str) -> dict:
    """Time the three ways to read one split, sample by sample in turn."""
    sources = clip_sources(cfg, split, cutter_of(cfg, split))
    cache = f'{folder}/{split}.lmdb'
    with ClipCacheWriter(cache, cache_meta(sources)) as writer:
        report = fill_cache(sources, writer)
    cfg_dataset = cfg[f'{split}_dataloader'].dataset
    dataset = DATASETS.build(cfg_dataset)
    in_order = list(range(len(dataset)))
    shuffled = np.random.default_rng(0).permutation(len(dataset)).tolist()
    ways = {
        'frames, random order': (shuffled, dict(cache_mb=0)),
        'frames, in order': (in_order, dict(cache_mb=_KEPT_MB)),
        'cache': (shuffled, dict(cache=cache, cache_miss='raise')),
    }
    systems = {
        name: System(dataset, cfg_dataset.pipeline, order, load)
        for name, (order, load) in ways.items()
    }
    warmup = 10
    before = _kept_frames().num_decoded
    for number in range(rounds + warmup):
        for system in systems.values():
            system.read(number)
    decoded = _kept_frames().num_decoded - before
    result = {name: system.summary(warmup) for name, system in systems.items()}
    base = result['frames, random order']
    for summary in result.values():
        summary['speedup'] = round(base['ms'] / summary['ms'], 2)
        decode = summary['stages_ms']['decode']
        summary['decode_speedup'] = round(base['stages_ms']['decode'] / decode, 2)
    result['frames, in order']['decoded_frames_per_sample'] = round(decoded / (rounds + warmup), 3)
    result['cache']['kib_per_sample'] = round(report.num_bytes / report.written / 1024)
    return result


def time_degradations(rounds: int) -> dict[str, float]:
    """Milliseconds of ``GenerateLRClip`` for one clip of 5 crops, by its options, in turn."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    frames = [cv2.resize(np.roll(coarse, t, 1), (192, 256)) for t in range(5)]
    steps = {
        name: TRANSFORMS.build(dict(type='GenerateLRClip', **options))
        for name, options in DEGRADATIONS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            results = dict(img=list(frames), input_size=(192, 256), target_idx=2, id=0)
            start = time.thread_time()
            step(results)
            times[name].append(1e3 * (time.thread_time() - start))
    return {name: round(float(np.median(values)), 3) for name, values in times.items()}


def _kept_frames() -> ClipReader:
    """The reader that the way ``in order`` shares; no other way and no filling uses it."""
    defaults = dict(color_type='color', imdecode_backend='cv2', backend_args=None)
    return ClipReader.shared(cache_mb=_KEPT_MB, **defaults)


def main() -> int:
    """Parse the arguments, time, print, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', required=True, help='folder of data in PoseTrack18 form')
    parser.add_argument('--config', default=str(CONFIG))
    parser.add_argument('--rounds', type=int, default=200, help='samples a way (default 200)')
    parser.add_argument('--cache-folder', help='where to put the caches (default: temporary)')
    args = parser.parse_args()

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    np.random.seed(0)  # noqa: NPY002  (MMPose's transforms draw from it)
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    result = dict(num_frames=cfg.num_frames, rounds=args.rounds)
    with tempfile.TemporaryDirectory(dir=args.cache_folder) as folder:
        for split in ('train', 'val'):
            cfg[f'{split}_dataloader'].dataset.data_root = args.data
            result[split] = compare(cfg, split, args.rounds, folder)
    result['degrade_ms'] = time_degradations(args.rounds)
    for split in ('train', 'val'):
        for name, summary in result[split].items():
            shares = ', '.join(f'{stage} {share:.0%}' for stage, share in summary['share'].items())
            print(
                f'{split:5} {name:21} {summary["samples_per_s"]:7.1f} samples/s a core, '
                f'x{summary["speedup"]:.2f} (decoding x{summary["decode_speedup"]:.1f}): {shares}'
            )
    print('degrade, ms a clip:', result['degrade_ms'])
    frame = next(pathlib.Path(args.data).rglob('*.jpg'))
    result['frame_size'] = list(cv2.imread(str(frame)).shape[1::-1])
    command = f'python benchmarks/loader.py --data DATA --rounds {args.rounds}'
    print(write_result('loader', result, command))
    return 0


if __name__ == '__main__':
    sys.exit(main())
