"""The clip data sets under MMPose's own wrappers, metrics and loader."""

import json
import pathlib

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmpose.datasets.dataset_wrappers import CombinedDataset
from mmpose.evaluation.metrics import CocoMetric
from torch.utils.data import DataLoader

from posetrack_folder import COCO, JOINTS, POSETRACK18, make_posetrack, write_image, write_json
from star_pose.datasets import PoseTrackClipDataset

# (index in COCO, index in PoseTrack18)
COCO_TO_POSETRACK = [(0, 0), *((i, i) for i in range(5, 17))]
PIPELINE = [
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(48, 64)),
    dict(
        type='GenerateTarget',
        encoder=dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2),
    ),
    dict(type='PackClipInputs'),
]
READ = [dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip')]


@pytest.fixture(autouse=True)
def mmpose_scope():
    DefaultScope.get_instance('clip_datasets', scope_name='mmpose')


def write_coco_video(root: pathlib.Path) -> None:
    """One video of the user's own, with COCO's joints: PoseTrack's x plus 1."""
    keypoints = np.zeros((17, 3))
    for coco, posetrack in COCO_TO_POSETRACK:
        keypoints[coco] = [*(JOINTS[posetrack] + [1, 0]), 2]
    images, annotations = [], []
    for frame in range(4):
        write_image(root / f'own/frame_{frame}.png', seed=frame)
        images.append(dict(id=frame, file_name=f'own/frame_{frame}.png', width=64, height=48))
        annotations.append(
            dict(
                id=frame, image_id=frame, category_id=1, bbox=[22, 2, 18, 42],
                keypoints=keypoints.ravel().tolist(),
            )
        )  # fmt: skip
    write_json(root / 'own.json', dict(images=images, annotations=annotations, categories=[]))


@pytest.fixture
def combined(tmp_path):
    """PoseTrack first (8 samples), then a COCO video (4 samples), in PoseTrack's joints."""
    make_posetrack(tmp_path)
    write_coco_video(tmp_path)
    convert = dict(type='KeypointConverter', num_keypoints=17, mapping=COCO_TO_POSETRACK)
    root = str(tmp_path)
    return CombinedDataset(
        metainfo=POSETRACK18,
        datasets=[
            dict(
                type='PoseTrackClipDataset', data_root=root, ann_file='annotations/val.json',
                metainfo=POSETRACK18, pipeline=READ,
            ),
            dict(
                type='VideoClipDataset', data_root=root, ann_file='own.json', metainfo=COCO,
                pipeline=[*READ, convert],
            ),
        ],
        pipeline=PIPELINE,
    )  # fmt: skip


def test_combined_dataset_mixes_keypoint_sets(combined):
    assert combined.lens == [8, 4]
    ours, theirs = combined[0]['data_samples'], combined[8]['data_samples']
    expected = np.zeros((17, 2))
    for _, posetrack in COCO_TO_POSETRACK:
        expected[posetrack] = JOINTS[posetrack] + [1, 0]
    np.testing.assert_allclose(theirs.gt_instances.keypoints[0], expected)
    visible = np.zeros(17)
    visible[[posetrack for _, posetrack in COCO_TO_POSETRACK]] = 1
    np.testing.assert_array_equal(theirs.gt_instances.keypoints_visible[0], visible)
    assert ours.gt_instances.keypoints.shape == theirs.gt_instances.keypoints.shape
    assert [pathlib.Path(p).name for p in theirs.frame_paths] == [
        'frame_0.png',
        'frame_0.png',
        'frame_1.png',
    ]


def test_combined_samples_carry_the_target_sets_skeleton_and_flip_pairs(combined):
    ours, theirs = combined[0]['data_samples'], combined[8]['data_samples']
    assert theirs.flip_indices == ours.flip_indices
    assert theirs.skeleton_links == ours.skeleton_links


def test_loader_workers_give_batches_of_clips(combined):
    loader = DataLoader(combined, batch_size=6, num_workers=2, collate_fn=pseudo_collate)
    batches = list(loader)
    assert [len(batch['inputs']) for batch in batches] == [6, 6]
    assert batches[1]['inputs'][5].shape == (3, 3, 64, 48)  # T C H W
    assert batches[1]['inputs'][5].dtype == torch.uint8


def evaluate(dataset, ann_file):
    """AP of predictions that equal the labels, by MMPose's own metric."""
    metric = CocoMetric(ann_file=ann_file, score_mode='bbox', nms_mode='none')
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples'].to_dict()
        sample['pred_instances'] = dict(
            keypoints=sample['gt_instances']['keypoints'], keypoint_scores=np.ones((1, 17))
        )
        metric.process([], [sample])
    return metric.evaluate(len(dataset))['coco/AP']


@pytest.mark.parametrize('form', ['annotations/val.json', 'annotations/val'])
def test_coco_metric_needs_no_ann_file(tmp_path, form):
    make_posetrack(tmp_path)
    MessageHub.get_current_instance().update_info('posetrack18_ann_file', 'of/an/earlier/run')
    dataset = PoseTrackClipDataset(
        form, data_root=str(tmp_path), metainfo=POSETRACK18, pipeline=[*READ, *PIPELINE],
        test_mode=True,
    )  # fmt: skip
    assert evaluate(dataset, None) == pytest.approx(1.0)


def test_coco_metric_takes_an_ann_file_that_has_what_it_reads(tmp_path):
    labels = make_posetrack(tmp_path)
    for annotation in labels['annotations']:
        annotation.update(iscrowd=0, area=400.0, num_keypoints=15)
    path = write_json(tmp_path / 'complete.json', labels)
    dataset = PoseTrackClipDataset(
        str(path), data_root=str(tmp_path), metainfo=POSETRACK18, pipeline=[*READ, *PIPELINE],
        test_mode=True,
    )  # fmt: skip
    hub = MessageHub.get_current_instance()
    assert hub.get_info('posetrack18_ann_file') == str(path)
    assert evaluate(dataset, str(path)) == pytest.approx(1.0)
    assert evaluate(dataset, None) == pytest.approx(1.0)


def test_metric_is_lowered_by_wrong_predictions(tmp_path):
    labels = make_posetrack(tmp_path)
    dataset = PoseTrackClipDataset(
        'annotations/val.json', data_root=str(tmp_path), metainfo=POSETRACK18,
        pipeline=[*READ, *PIPELINE], test_mode=True,
    )  # fmt: skip
    # The metric's truth comes from raw_ann_info: the same ids, joints 200 px away, give AP 0
    raw = dataset[0]['data_samples'].raw_ann_info
    assert raw['id'] == labels['annotations'][0]['id']
    assert json.dumps(raw['keypoints']) == json.dumps(labels['annotations'][0]['keypoints'])
    metric = CocoMetric(score_mode='bbox', nms_mode='none')
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples'].to_dict()
        far = sample['gt_instances']['keypoints'] + 200
        sample['pred_instances'] = dict(keypoints=far, keypoint_scores=np.ones((1, 17)))
        metric.process([], [sample])
    assert metric.evaluate(len(dataset))['coco/AP'] == pytest.approx(0.0)
