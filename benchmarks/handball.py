"""A trained model on one real sequence: PCK@0.2 of the torso on frames made 64x48, and a picture.

    python benchmarks/handball.py CONFIG CHECKPOINT --data data/handball

The sequence is labelled with COCO's joints; those that PoseTrack shares are measured: nose, ears,
shoulders, elbows, wrists, hips, knees, ankles. The boxes are those of the labels.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import shlex
import sys

import cv2
import numpy as np
import torch
from accuracy import load_parts
from clip_pool import CONFIGS, DEGRADATION, SETS, DrawnSamples
from harness import current_commit, write_result
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS
from torso_pck import pck

from star_pose.visualization import ClipVisualizer

LABELS = 'handball_coco.json'


def load_samples(data: str, num_frames: int = 5, **degradation) -> list[dict]:
    """Run a validation pipeline over the sequence, with fixed random numbers."""
    pipeline = Config.fromfile(CONFIGS / SETS['synthetic']).val_pipeline
    for step in pipeline:
        if step['type'] == 'SampleClipFrames':
            step.num_frames = num_frames
        if step['type'] == 'GenerateLRClip':
            step.update(degradation, seed=0)
    dataset = DATASETS.build(
        dict(
            type='VideoClipDataset',
            ann_file=LABELS,
            data_root=data,
            test_mode=True,
            pipeline=pipeline,
        )
    )
    return list(DrawnSamples(dataset, list(range(len(dataset))), 0))


def predict(model: torch.nn.Module, samples: list[dict], batch: int = 16) -> list:
    """Return the samples with predictions and the super-resolved frames."""
    model.eval()
    model.test_cfg = {**model.test_cfg, 'output_sr': model.head.sr_decoder is not None}
    found = []
    with torch.no_grad():
        for start in range(0, len(samples), batch):
            found += model.test_step(pseudo_collate(samples[start : start + batch]))
    return found


def draw(
    samples: list[dict], predictions: list, count: int, path: pathlib.Path, metainfo: dict
) -> None:
    """Draw some frames: LR, SR, truth, prediction. In PoseTrack's skeleton eyes are necks."""
    visualizer = ClipVisualizer()
    visualizer.set_dataset_meta(parse_pose_metainfo(metainfo))
    chosen = np.linspace(0, len(samples) - 1, count).astype(int)
    panels = [
        visualizer.draw_clip(samples[index]['inputs'], predictions[index], kpt_thr=0.0)
        for index in chosen
    ]
    width = max(panel.shape[1] for panel in panels)
    rows = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0))) for p in panels]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=pathlib.Path)
    parser.add_argument('--data', required=True, help=f'folder with {LABELS} and the frames')
    parser.add_argument('--picture', type=pathlib.Path, help='draw ten frames there')
    parser.add_argument('--name', default='handball', help='of the file under results/')
    args = parser.parse_args()
    init_default_scope('mmpose')
    config = Config.fromfile(args.config)
    model = MODELS.build(config.model)
    load_parts(model, args.checkpoint)
    sampling = {step['type']: step for step in config.val_pipeline}['SampleClipFrames']
    scores = {}
    for kind, degradation in (('clean', {}), ('degraded', DEGRADATION)):
        samples = load_samples(args.data, sampling.num_frames, **degradation)
        predictions = predict(model, samples)
        scores[kind] = pck(predictions)
        print(kind, scores[kind])
        if args.picture and kind == 'clean':
            kind_of_set = DATASETS.get(config.test_dataloader.dataset.type)
            draw(samples, predictions, 10, args.picture, kind_of_set.METAINFO)
    result = {
        'commit': current_commit(),
        'config': args.config,
        'weights': args.checkpoint.stem,
        'sha256': hashlib.sha256(args.checkpoint.read_bytes()).hexdigest(),
        'frames': len(samples),
        'pck_torso_0.2': scores,
    }
    print(write_result(args.name, result, shlex.join(['python', *sys.argv])))


if __name__ == '__main__':
    main()
