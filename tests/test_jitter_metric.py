"""Jitter in closed forms."""

import json

import numpy as np
import pytest

from star_pose.evaluation.jitter_metric import JitterMetric


def sample(frame, predicted, truth=None, video='a', track=0, visible=None, scores=None):
    predicted = np.asarray(predicted, float).reshape(1, -1, 2)
    result = {
        'track_id': track,
        'img_path': f'{video}/{frame}.jpg',
        'pred_instances': {
            'keypoints': predicted,
            'keypoint_scores': np.ones(predicted.shape[:2]) if scores is None else scores,
        },
    }
    if truth is not None:
        truth = np.asarray(truth, float).reshape(1, -1, 2)
        visible = np.ones(truth.shape[:2]) if visible is None else np.asarray([visible])
        result['gt_instances'] = {'keypoints': truth, 'keypoints_visible': visible}
    return result


def evaluate(samples, **kwargs):
    metric = JitterMetric(**kwargs)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_constant_velocity_has_no_acceleration():
    samples = [sample(t, [3 * t, -t], [5 * t, t]) for t in range(6)]
    metrics = evaluate(samples)
    assert metrics == {'jitter/accel_error': 0, 'jitter/accel': 0, 'jitter/accel_gt': 0}


def test_a_joint_that_is_nowhere_is_refused():
    samples = [sample(t, [np.nan if t == 1 else 0, 0], [5 * t, t]) for t in range(3)]
    with pytest.raises(ValueError, match=r'a/1.jpg: a predicted coordinate is NaN'):
        evaluate(samples)


def test_parabola_against_rest():
    samples = [sample(t, [1.5 * t**2, 2 * t**2], [7, 7]) for t in range(5)]
    metrics = evaluate(samples)
    assert metrics['jitter/accel_error'] == pytest.approx(5)  # (3, 4) px/frame^2
    assert metrics['jitter/accel'] == pytest.approx(5)
    assert metrics['jitter/accel_gt'] == 0


def test_equals_numpy_diff_on_random_tracks():
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(0, 9, (2, 3, 20, 17, 2))
    samples = [
        sample(t, predicted[n, t], truth[n, t], track=n) for n in range(3) for t in range(20)
    ]
    rng.shuffle(samples)
    metrics = evaluate(samples)

    def length(x):
        return np.linalg.norm(np.diff(x, n=2, axis=1), axis=-1).mean()

    assert metrics['jitter/accel_error'] == pytest.approx(length(predicted - truth))
    assert metrics['jitter/accel'] == pytest.approx(length(predicted))
    assert metrics['jitter/accel_gt'] == pytest.approx(length(truth))


def test_following_a_moving_truth_is_no_error():
    path = np.cumsum(np.random.default_rng(1).normal(0, 5, (9, 2)), axis=0)
    metrics = evaluate([sample(t, path[t] + 40, path[t]) for t in range(9)])
    assert metrics['jitter/accel_error'] == pytest.approx(0, abs=1e-9)
    assert metrics['jitter/accel'] == pytest.approx(metrics['jitter/accel_gt'])


def test_only_consecutive_frames_of_one_track_count():
    frames = [0, 1, 3, 4, 8, 9, 10]  # one triple: 8, 9, 10
    samples = [sample(t, [100 * (t == 9), 0], [0, 0]) for t in frames]
    samples += [sample(t, [9, 9], [0, 0], video='b') for t in (2, 5)]
    samples += [sample(2, [7, 7], [0, 0], track=1)]
    assert evaluate(samples)['jitter/accel_error'] == pytest.approx(200)


def test_unlabelled_joints_leave_the_error_but_not_the_acceleration():
    visible = [[1, 1], [1, 0], [1, 1]]
    samples = [
        sample(t, [[0, 0], [30 * (t == 1), 0]], np.zeros((2, 2)), visible=visible[t])
        for t in range(3)
    ]
    metrics = evaluate(samples)
    assert metrics['jitter/accel_error'] == 0
    assert metrics['jitter/accel'] == pytest.approx(30)


def test_works_without_ground_truth():
    metrics = evaluate([sample(t, [t**2, 0]) for t in range(4)])
    assert metrics['jitter/accel'] == pytest.approx(2)
    assert np.isnan(metrics['jitter/accel_error'])
    assert np.isnan(evaluate([sample(0, [0, 0])])['jitter/accel'])


def test_errors_name_video_frame_and_track():
    with pytest.raises(ValueError, match='video a/, frame 3: track 0 occurs twice'):
        evaluate([sample(3, [0, 0]), sample(3, [1, 1])])
    untracked = sample(3, [0, 0])
    del untracked['track_id']
    with pytest.raises(ValueError, match=r'a/3.jpg: the sample has no track_id'):
        evaluate([untracked])


def test_what_the_numbers_were_made_with_is_stored_beside_them(tmp_path):
    samples = [sample(t, [t**2, 0]) for t in range(4)]
    for one in samples:
        one.update(id=1, raw_ann_info={}, frame_paths=['a'] * 5, degradation={'scale': 4})
    metric = JitterMetric(out_file=str(tmp_path / 'logs' / 'jitter.json'))
    metric.process({'inputs': [np.zeros((5, 3, 64, 48))] * 4}, samples)
    metrics = metric.evaluate(4)
    stored = json.loads((tmp_path / 'logs' / 'jitter.json').read_text())
    assert stored['metrics']['accel'] == metrics['jitter/accel']
    assert stored['provenance'] == {
        'box_source': 'ground truth',
        'num_frames': '5',
        'lr_size': '(48, 64)',
        'degradation': '{"scale": 4}',
    }
