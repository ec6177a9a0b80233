"""All metrics beside MMPose's OKS AP, as one evaluator on the samples of one data set."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
FRAMES = 4


def make_labels():
    """One person in four frames, in PoseTrack18's form: without `area`."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for frame in range(FRAMES):
        points = rng.uniform(20, 180, (17, 2)).round(2)
        keypoints = np.concatenate([points, np.ones((17, 1))], 1).ravel().tolist()
        images.append(
            {
                'id': frame,
                'file_name': f'v/{frame:06d}.jpg',
                'vid_id': 'v',
                'frame_id': frame,
                'nframes': FRAMES,
                'is_labeled': True,
                'width': 200,
                'height': 200,
            }
        )
        annotations.append(
            {
                'id': frame,
                'image_id': frame,
                'category_id': 1,
                'track_id': 3,
                'iscrowd': 0,
                'bbox': [10, 10, 180, 180],
                'bbox_head': [50, 20, 30, 40],
                'keypoints': keypoints,
                'num_keypoints': 17,
            }
        )
    names = [META['keypoint_id2name'][k] for k in range(17)]
    categories = [{'id': 1, 'name': 'person', 'keypoints': names}]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def make_samples(labels, shift):
    """Predictions `shift` pixels to the right of the labels."""
    samples = []
    for image, annotation in zip(labels['images'], labels['annotations'], strict=True):
        truth = np.array(annotation['keypoints']).reshape(1, 17, 3)[..., :2]
        sample = PoseDataSample(
            metainfo=dict(
                id=annotation['id'],
                img_id=image['id'],
                img_path=image['file_name'],
                category_id=1,
                raw_ann_info=annotation,
                track_id=annotation['track_id'],
                vid_id='v',
                frame_id=image['frame_id'],
                input_size=(192, 256),
                input_center=np.array([100.0, 100.0]),
                input_scale=np.array([192.0, 256.0]),
            )
        )
        box = np.array([[10.0, 10.0, 190.0, 190.0]])
        sample.gt_instances = InstanceData(
            keypoints=truth,
            keypoints_visible=np.ones((1, 17)),
            bboxes=box,
            bbox_scores=np.ones(1),
            bbox_scales=np.array([[180.0, 180.0]]),
        )
        sample.pred_instances = InstanceData(
            keypoints=truth + np.array([shift, 0]),
            keypoint_scores=np.full((1, 17), 0.9),
            bboxes=box,
            bbox_scores=np.ones(1),
        )
        sample.gt_sr = PixelData(img=torch.full((3, 256, 192), 100, dtype=torch.uint8))
        sample.pred_sr = PixelData(img=torch.full((3, 256, 192), 110.0))
        samples.append(sample)
    return samples


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(make_labels()))
    return path


def evaluate(path, shift):
    init_default_scope('mmpose')
    evaluator = Evaluator(
        [
            METRICS.build(cfg)
            for cfg in (
                dict(type='PoseTrackMetric', ann_file=str(path)),
                # PoseTrack's labels have no area: OKS takes it from the box
                dict(type='CocoMetric', ann_file=str(path), use_area=False),
                dict(type='JhmdbPCK', norm_items=('bbox',)),
                dict(type='SRQualityMetric'),
                dict(type='JitterMetric'),
            )
        ]
    )
    evaluator.dataset_meta = META
    evaluator.process(make_samples(json.loads(path.read_text()), shift))
    return evaluator.evaluate(FRAMES)


def test_every_metric_speaks_under_its_own_prefix(labels):
    metrics = evaluate(labels, shift=10)
    assert {key.split('/')[0] for key in metrics} == {'posetrack', 'coco', 'jhmdb', 'sr', 'jitter'}
    assert metrics['posetrack/AP'] == pytest.approx(100), '10 px are within half of 0.6 x 50 px'
    assert metrics['jhmdb/PCK@0.1'] == 100, '10 px are within a tenth of 180 px'
    assert metrics['jhmdb/PCK@0.05'] == 0, 'and not within a twentieth'
    assert metrics['sr/PSNR'] == pytest.approx(20 * np.log10(255 / 10))
    assert metrics['jitter/accel_error'] == pytest.approx(0, abs=1e-9)


def test_oks_ap_uses_posetracks_sigmas_and_the_boxes_area(labels):
    shift = 5.0
    area = 0.53 * 180 * 180
    variance = (2 * np.array(META['sigmas'])) ** 2
    oks = np.exp(-(shift**2) / (2 * variance * area)).mean()
    passed = (np.arange(0.5, 1, 0.05) <= oks).mean()
    assert 0 < passed < 1
    assert evaluate(labels, shift)['coco/AP'] == pytest.approx(passed)
