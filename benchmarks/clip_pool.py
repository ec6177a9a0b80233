"""Samples made once and kept in files, so that a training's time goes to the networks.

    python benchmarks/clip_pool.py --synthetic data/synthetic --lspe data/lspe --out work_dirs/pool

Reading five frames, warping and degrading them costs a small machine about as much as a step of the
training does. Every system of a comparison should see the same samples anyway: they are drawn and
augmented here once, as ``configs/adapt/movenet-lightning_64x48_coco.py`` says, from synthetic
videos and from LSP-Extended's photographs made clips, and written to ``train.pth``. For each of the
two there are two validation files, of the same persons: ``clean``, made smaller by the bicubic
kernel alone, and ``degraded`` by blur, noise and H.264. A sample depends on the seed and its number
alone.
"""

from __future__ import annotations

import argparse
import copy
import pathlib
import random

import harness  # noqa: F401  (before the package: it decides whose code runs)
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import DATASETS, KEYPOINT_CODECS
from mmpose.structures import PoseDataSample
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

import star_pose  # noqa: F401  (applies the cures and registers the components)

__all__ = ['DrawnSamples', 'PooledClips', 'build_dataset', 'middle_frames']

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'
SETS = {
    'synthetic': 'star_pose_tiny_64x48_posetrack.py',
    'lspe': 'star_pose_tiny_64x48_lspe.py',
}
DEGRADATION = dict(
    downsample=['bicubic', 'bilinear', 'area'],
    before=[dict(type='ClipBlur', sigma=(0.2, 2.0), prob=0.5)],
    after=[
        dict(type='ClipNoise', sigma=(2.0, 12.0), prob=0.8),
        dict(type='ClipH264', crf=(20, 36), prob=0.5),
    ],
)
TRAINING = 'adapt/movenet-lightning_64x48_coco.py'  # whose augmentations and degradations
NUM_FRAMES = 9  # of a validation clip: five windows of five, each of which gives evidence
# A smaller person of the synthetic videos has no high-resolution crop to be compared with.
MIN_HEIGHT = 130
NOT_OF_COCO = [1, 2]  # PoseTrack's neck and head top, in the places of COCO's eyes
# All that a pool file may hold beside tensors, arrays and plain values.
SAMPLE_TYPES = [InstanceData, PixelData, PoseDataSample]


@DATASETS.register_module()
class PooledClips(Dataset):
    """A pool file as a data set, for systems of different input.

    Args:
        path: File written by this script.
        num_frames: Frames a clip, the middle ones of the pool's.
        scale: What the system's own pipeline gives ``GenerateLRClip``; at 1 its input is the
            high-resolution target frame itself.
        encoder: The system's codec; None keeps the labels that the pool was made with.
        coco: The system's joints are COCO's: the pool's neck and head top are not among them.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        num_frames: int = 5,
        scale: int = 4,
        encoder: dict | None = None,
        coco: bool = False,
    ) -> None:
        # Mapped, not read: processes side by side share one copy in memory.
        with torch.serialization.safe_globals(SAMPLE_TYPES):
            self.samples = torch.load(path, weights_only=True, mmap=True)
        self.num_frames, self.scale = num_frames, scale
        self.codec = None if encoder is None else KEYPOINT_CODECS.build(encoder)
        self.coco = coco

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        sample = dict(self.samples[index])
        sample['data_samples'] = sample['data_samples'].new()  # the file's own stay as they are
        if self.codec is not None:
            self._encode(sample['data_samples'])
        return middle_frames(sample, self.num_frames, self.scale)

    def _encode(self, labels: PoseDataSample) -> None:
        """Replace the labels by those that ``GenerateTarget`` makes with the system's codec."""
        joints = labels.gt_instances
        visible = np.array(joints.keypoints_visible)
        if self.coco:
            visible[:, NOT_OF_COCO] = 0
        encoded = self.codec.encode(joints.transformed_keypoints, visible)

        def renamed(table: dict[str, str]) -> dict[str, torch.Tensor]:
            return {new: torch.from_numpy(encoded[old]) for old, new in table.items()}

        labels.gt_instance_labels = InstanceData(**renamed(self.codec.label_mapping_table))
        fields = renamed(self.codec.field_mapping_table)
        if fields:
            labels.gt_fields = PixelData(**fields)


def middle_frames(sample: dict, num_frames: int, scale: int = 4) -> dict:
    """Show a system of shorter clips, or of the high-resolution frame, what it reads of a sample.

    Args:
        sample: Of a longer clip; is not changed.
        num_frames: Frames to keep, in the middle.
        scale: At 1 the input is the high-resolution target frame itself.
    """
    clip, labels = sample['inputs'], sample['data_samples'].new()
    if scale == 1:
        return {'inputs': labels.gt_sr.img[None], 'data_samples': labels}  # 1 3 H W
    first = (len(clip) - num_frames) // 2
    kept = slice(first, first + num_frames)
    labels.set_metainfo(
        dict(target_idx=labels.target_idx - first, frame_paths=labels.frame_paths[kept])
    )
    return {'inputs': clip[kept], 'data_samples': labels}


class DrawnSamples(Dataset):
    """A data set's samples in a given order, each with random numbers of its own."""

    def __init__(self, dataset: Dataset, order: list[int], seed: int) -> None:
        self.dataset, self.order, self.seed = dataset, order, seed

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict:
        for seeding in (random.seed, np.random.seed, torch.manual_seed):
            seeding(self.seed * 10**6 + index)
        return self.dataset[self.order[index]]


def build_dataset(name: str, split: str, root: str, **degradation) -> Dataset:
    """Build one of the sets.

    Args:
        name: ``'synthetic'`` or ``'lspe'``; its photographs get a moving camera.
        split: ``'train'``, augmented and degraded as a training is, or ``'val'``.
        root: Where the set is.
        **degradation: Arguments of ``GenerateLRClip`` for ``'val'``.
    """
    definition = Config.fromfile(CONFIGS / SETS[name])[f'{split}_dataloader'].dataset
    definition.data_root = f'{root}/'
    pipeline = Config.fromfile(CONFIGS / TRAINING)[f'{split}_pipeline']
    pipeline = [step for step in pipeline if step['type'] != 'PseudoClip']
    for position, step in enumerate(pipeline):
        if step['type'] == 'LoadClip' and name == 'lspe':
            pipeline.insert(position + 1, dict(type='PseudoClip'))
        if step['type'] == 'SampleClipFrames' and split == 'val':
            step.num_frames = NUM_FRAMES
        if step['type'] == 'GenerateLRClip' and split == 'val':
            step.update(degradation, seed=0)
    definition.pipeline = pipeline
    return DATASETS.build(definition)


def people_of(name: str, dataset: Dataset) -> np.ndarray:
    """Return the indices of the samples to use; of the synthetic people the large ones."""
    indices = range(len(dataset))
    if name == 'lspe':
        return np.array(indices)
    boxes = np.stack([dataset.get_data_info(index)['bbox'][0] for index in indices])  # x1 y1 x2 y2
    return np.flatnonzero(boxes[:, 3] - boxes[:, 1] >= MIN_HEIGHT)


def draw(name: str, dataset: Dataset, num: int, seed: int, workers: int) -> list[dict]:
    """Run the pipeline over ``num`` persons: shuffled, anew in each pass; or spread evenly."""
    people = people_of(name, dataset)
    if dataset.test_mode:
        order = people[np.linspace(0, len(people) - 1, min(num, len(people))).astype(int)]
    else:
        rng = np.random.default_rng(seed)
        passes = -(-num // len(people))
        order = np.concatenate([rng.permutation(people) for _ in range(passes)])[:num]
    drawn = DrawnSamples(dataset, order.tolist(), seed)
    loader = DataLoader(drawn, batch_size=None, num_workers=workers)
    return [_owned(sample) for sample in track(loader, description=name)]


def _owned(sample: dict) -> dict:
    """Copy what lies in memory shared with a worker, of which there is a limited number."""
    return copy.deepcopy(sample)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--synthetic', required=True, help="videos in PoseTrack18's form")
    parser.add_argument('--lspe', required=True, help='LSP-Extended in COCO form')
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--train', type=int, default=20000, help='training samples of both')
    parser.add_argument('--val', type=int, default=300, help='validation persons of each')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Write the pool."""
    args = parse_args()
    torch.multiprocessing.set_sharing_strategy('file_system')
    init_default_scope('mmpose')
    args.out.mkdir(parents=True, exist_ok=True)
    train = []
    for name in SETS:
        root = getattr(args, name)
        for kind, degradation in (('clean', {}), ('degraded', DEGRADATION)):
            dataset = build_dataset(name, 'val', root, **degradation)
            samples = draw(name, dataset, args.val, args.seed, args.workers)
            torch.save(samples, args.out / f'val-{name}-{kind}.pth')
        dataset = build_dataset(name, 'train', root)
        train += draw(name, dataset, args.train // len(SETS), args.seed, args.workers)
    torch.save(train, args.out / 'train.pth')


if __name__ == '__main__':
    main()
