"""PCK against MMPose's implementation and closed forms."""

import numpy as np
import pytest
from mmpose.evaluation.metrics import JhmdbPCKAccuracy

from star_pose.datasets import JhmdbClipDataset
from star_pose.evaluation.jhmdb_pck import JhmdbPCK

NAMES = [
    'neck', 'belly', 'head', 'right_shoulder', 'left_shoulder', 'right_hip', 'left_hip',
    'right_elbow', 'left_elbow', 'right_knee', 'left_knee', 'right_wrist', 'left_wrist',
    'right_ankle', 'left_ankle',
]  # fmt: skip
META = {'keypoint_name2id': {name: index for index, name in enumerate(NAMES)}}


def make_samples(num, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(num):
        truth = rng.uniform(20, 200, (1, 15, 2))
        visible = (rng.random((1, 15)) >= missing).astype(float)
        visible[0, [4, 5]] = 1
        corner = rng.uniform(0, 50, 2)
        box = np.concatenate([corner, corner + rng.uniform(80, 160, 2)])[None]
        samples.append(
            {
                'pred_instances': {'keypoints': truth + rng.normal(0, 15, truth.shape)},
                'gt_instances': {'keypoints': truth, 'keypoints_visible': visible, 'bboxes': box},
            }
        )
    return samples


def evaluate(samples, metric=None, **kwargs):
    metric = metric or JhmdbPCK(**kwargs)
    metric.dataset_meta = META
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('threshold', [0.2, 0.1, 0.05])
def test_equals_mmpose_at_each_threshold_by_box_and_by_torso(threshold):
    samples = make_samples(200, missing=0.2)
    ours = evaluate(samples)
    theirs = evaluate(
        samples, JhmdbPCKAccuracy(thr=threshold, norm_item=['bbox', 'torso'], prefix='x')
    )
    for prefix in ('', 't'):
        assert ours[f'jhmdb/{prefix}PCK@{threshold:g}'] == pytest.approx(
            100 * theirs[f'x/{prefix}PCK'], abs=1e-4
        )
        for column in ('Head', 'Sho', 'Elb', 'Wri', 'Hip', 'Knee', 'Ank'):
            assert ours[f'jhmdb/{column} {prefix}PCK@{threshold:g}'] == pytest.approx(
                100 * theirs[f'x/{column} {prefix}PCK'], abs=1e-4
            )


def one_person(error, visible=None):
    truth = np.zeros((1, 15, 2))
    truth[0, 5] = (30, 40)  # a torso of 50 px
    shift = np.zeros((1, 15, 2))
    shift[..., 0] = error
    return {
        'pred_instances': {'keypoints': truth + shift},
        'gt_instances': {
            'keypoints': truth,
            'keypoints_visible': np.ones((1, 15)) if visible is None else visible,
            'bboxes': np.array([[0.0, 0.0, 64.0, 100.0]]),
        },
    }


def test_an_error_of_exactly_the_threshold_is_a_miss():
    metrics = evaluate([one_person(25.0)], thresholds=(0.25,), norm_items=('bbox',))
    assert metrics['jhmdb/PCK@0.25'] == 0
    metrics = evaluate([one_person(24.999)], thresholds=(0.25,), norm_items=('bbox',))
    assert metrics['jhmdb/PCK@0.25'] == 100


def test_a_joint_that_is_nowhere_is_refused():
    with pytest.raises(ValueError, match='a predicted coordinate is NaN'):
        evaluate([one_person(np.nan)])


def test_box_and_torso_are_different_sizes():
    metrics = evaluate([one_person(15.0)])
    assert metrics['jhmdb/PCK@0.2'] == 100, '15 px of a 100 px box'
    assert metrics['jhmdb/tPCK@0.2'] == 0, '15 px of a 50 px torso'


def test_mean_over_joints_and_over_points_differ_where_joints_are_missing():
    few = np.zeros((1, 15))
    few[0, [4, 5]] = 1
    samples = [one_person(0.0), one_person(500.0, few)]
    metrics = evaluate(samples, norm_items=('bbox',))
    # 13 joints seen once and hit; 2 seen twice, hit once.
    assert metrics['jhmdb/PCK@0.2'] == pytest.approx((13 * 100 + 2 * 50) / 15)
    assert metrics['jhmdb/PCK@0.2_points'] == pytest.approx(100 * 15 / 17)


def test_a_person_without_a_torso_counts_by_box_alone():
    visible = np.ones((1, 15))
    visible[0, 5] = 0
    metrics = evaluate([one_person(15.0), one_person(500.0, visible)])
    assert metrics['jhmdb/PCK@0.2_points'] == pytest.approx(100 * 15 / 29)
    assert metrics['jhmdb/tPCK@0.2_points'] == 0
    alone = evaluate([one_person(0.0, visible)])
    assert np.isnan(alone['jhmdb/tPCK@0.2'])


def test_bad_arguments_name_the_field():
    with pytest.raises(ValueError, match=r'thresholds=\(0.2, -1\)'):
        JhmdbPCK(thresholds=(0.2, -1))
    with pytest.raises(ValueError, match="choose from \\['bbox', 'torso'\\]"):
        JhmdbPCK(norm_items=('head',))
    metric = JhmdbPCK()
    metric.dataset_meta = {'keypoint_name2id': {'nose': 0}}
    with pytest.raises(ValueError, match='left_shoulder to right_hip'):
        metric.process({}, [one_person(0.0)])


def test_real_labels_of_the_data_set_equal_mmpose(shared_data):
    dataset = JhmdbClipDataset(
        'test_jhmdb_sub1.json',
        data_root=str(shared_data / 'mmpose_samples/jhmdb'),
        missing_frames='nearest',
    )
    rng = np.random.default_rng(0)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        gt = {key: info[key] for key in ('keypoints', 'keypoints_visible')}
        noisy = info['keypoints'] + rng.normal(0, 6, info['keypoints'].shape)
        samples.append(
            {
                'pred_instances': {'keypoints': noisy},
                'gt_instances': {**gt, 'bboxes': info['bbox']},
            }
        )
    ours, theirs = JhmdbPCK(), JhmdbPCKAccuracy(0.1, ['bbox', 'torso'], prefix='x')
    for metric in (ours, theirs):
        metric.dataset_meta = dataset.metainfo
        metric.process({}, samples)
    ours, theirs = ours.evaluate(len(samples)), theirs.evaluate(len(samples))
    for key in ('PCK', 'tPCK'):
        assert 0 < theirs[f'x/{key}'] < 1
        assert ours[f'jhmdb/{key}@0.1'] == pytest.approx(100 * theirs[f'x/{key}'], abs=1e-4)
