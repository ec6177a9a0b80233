"""PoseTrack AP and MOTA against poseval's own output, a plain loop and vectors worked by hand."""

import itertools

import numpy as np
import pytest

import posetrack_builders as build
from posetrack_builders import document, label, pose, prediction, run
from star_pose.posetrack.evaluate import evaluate
from star_pose.posetrack.joints import JOINTS, KEYPOINTS, ROWS
from star_pose.posetrack.read_files import load_documents
from star_pose.posetrack.read_labels import label_version, parse_ground_truth, read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.score_ap import AveragePrecision, average_precision, precision_recall
from star_pose.posetrack.tables import PoseTrackError


def aps_of_all_orders(matching, joint):
    """AP of one joint for every order in which its equal scores can rank."""
    chosen = matching.predicted_present[:, joint]
    scores, hits = matching.predicted.scores[chosen, joint], matching.hits[chosen, joint]
    runs = []
    for score in np.unique(scores)[::-1]:
        run = hits[scores == score].astype(int)
        places = itertools.combinations(range(len(run)), run.sum())
        runs.append([np.isin(np.arange(len(run)), place) for place in places])
    labelled = int(matching.truth_present[:, joint].sum())
    for ranking in itertools.product(*runs):
        ranked = np.concatenate(ranking)
        curve = precision_recall(-np.arange(len(ranked), dtype=float), ranked, labelled)
        yield 100 * average_precision(*curve)


@pytest.mark.parametrize('name', [f'case{i}' for i in range(1, 7)])
def test_every_number_equals_poseval(name):
    case = build.load_case(name)
    expected = case['expected']
    result = run(case['gt'], case['pred'], tracking=True)
    ours = result.total.as_dict()
    assert ours['joint_order'] == expected['joint_order']
    for key in ('precision_per_joint', 'recall_per_joint'):
        np.testing.assert_allclose(ours[key], expected[key], atol=1e-6, err_msg=key)
    exact = 0
    for joint, (ap, value) in enumerate(
        zip(ours['ap_per_joint'], expected['ap_per_joint'], strict=True)
    ):
        # poseval ranks equal scores as numpy's sort leaves them on its machine: any order of them
        # may be the one, and where no hit ties with a miss there is a single value.
        aps = np.array(list(aps_of_all_orders(result.matching, joint)))
        exact += np.ptp(aps) < 1e-9
        assert np.abs(aps - value).min() < 1e-6, JOINTS[joint]
        assert np.abs(aps - ap).min() < 1e-6, JOINTS[joint]
    assert exact >= 2
    theirs = AveragePrecision(np.array(expected['ap_per_joint']), *np.zeros((2, 15)))
    assert theirs.groups() == pytest.approx(expected['groups'], abs=1e-6)
    assert ours['tracking'].keys() == expected['tracking'].keys()
    for key, values in expected['tracking'].items():
        np.testing.assert_allclose(ours['tracking'][key], values, atol=1e-6, err_msg=key)


def test_of_equal_scores_the_later_detection_ranks_first():
    rng = np.random.default_rng(0)
    scores, hits = rng.integers(0, 3, 60) / 2, rng.random(60) < 0.5
    ranking = sorted(range(60), key=lambda i: (scores[i], i), reverse=True)
    found = np.cumsum(hits[ranking])
    precision, recall = precision_recall(scores, hits, 40)
    assert precision.tolist() == (found / np.arange(1, 61)).tolist()
    assert recall.tolist() == (found / 40).tolist()


@pytest.mark.parametrize('seed', range(8))
def test_random_crowds_equal_the_plain_loop(seed):
    loop = build.loop()
    truth, predicted = build.random_documents(np.random.default_rng(seed))
    result = run(truth, predicted, tracking=True).total
    frames = loop.load_frames(truth, predicted)
    for ours, theirs in zip(
        (result.ap.ap, result.ap.precision, result.ap.recall), loop.loop_ap(frames), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    mota, motp = loop.loop_mot(frames)
    np.testing.assert_allclose(result.tracking.mota[:15], mota, atol=1e-9)
    np.testing.assert_allclose(result.tracking.motp[:15], motp, atol=1e-9)


def test_prediction_equal_to_truth_gives_100():
    result = run(document([label(0, pose())]), document([prediction(0, pose())]))
    assert result.total.ap.total == 100
    assert set(result.total.ap.groups().values()) == {100.0}


@pytest.mark.parametrize(('score', 'expected'), [(0.4, 100.0), (0.6, 50.0)])
def test_a_duplicate_costs_only_when_it_scores_higher(score, expected):
    people = [prediction(0, pose(), 0.5, 0), prediction(0, pose(), score, 1)]
    result = run(document([label(0, pose())]), document(people))
    assert result.total.ap.total == pytest.approx(expected)


@pytest.mark.parametrize(
    ('shift', 'expected'), [((9, 12), 100.0), ((15, 0), 100.0), ((15.01, 0), 0)]
)
def test_half_a_head_size_is_still_a_hit(shift, expected):
    predicted = document([prediction(0, pose(shift=shift))])
    assert run(document([label(0, pose())]), predicted).total.ap.total == expected


def test_a_frame_without_prediction_halves_ap():
    truth = document([label(0, pose()), label(1, pose())], 2)
    assert run(truth, document([prediction(0, pose())], 2)).total.ap.total == pytest.approx(50)


def test_a_joint_missing_everywhere_in_the_predictions_counts_as_0():
    left_wrist = KEYPOINTS.index('left_wrist')
    predicted = document([prediction(0, pose(absent=[left_wrist]))])
    result = run(document([label(0, pose())]), predicted).total
    assert result.ap.total == pytest.approx(100 * 14 / 15)
    assert result.ap.groups()['Wri AP'] == 50


def test_a_joint_without_labels_is_nan_and_leaves_the_total():
    nose = KEYPOINTS.index('nose')
    result = run(document([label(0, pose(absent=[nose]))]), document([prediction(0, pose())])).total
    assert np.isnan(result.ap.ap[JOINTS.index('nose')])
    assert np.isnan(result.ap.groups()['Head AP'])
    assert result.ap.total == 100


def test_a_predicted_joint_that_its_person_lacks_is_a_false_positive():
    nose = KEYPOINTS.index('nose')
    truth = document([label(0, pose()), label(1, pose(absent=[nose]))], 2)
    predicted = document([prediction(0, pose(), 0.4), prediction(1, pose(), 0.6)], 2)
    assert run(truth, predicted).total.ap.ap[JOINTS.index('nose')] == pytest.approx(50)


def test_predictions_in_unlabelled_frames_cost_nothing():
    predicted = document([prediction(0, pose()), prediction(1, pose(), 0.9)], 2)
    result = run(document([label(0, pose())], 2), predicted)
    assert result.total.ap.total == 100
    assert result.counts['frames_unlabelled'] == 1


def test_predictions_in_frames_whose_persons_have_no_points_are_false_positives():
    truth = document([label(0, pose()), label(1, [0.0] * 51)], 2)
    predicted = document([prediction(0, pose(), 0.4), prediction(1, pose(), 0.6)], 2)
    assert run(truth, predicted).total.ap.total == pytest.approx(50)


@pytest.mark.parametrize(('corners', 'kept'), [((90, 110), False), ((100, 110), True)])
def test_ignore_regions_take_points_inside_and_leave_those_on_the_boundary(corners, kept):
    low, high = corners  # the nose is at (100, 100)
    square = [(low, low), (high, low), (high, high), (low, high)]
    truth = document([label(0, pose())], regions={0: [square]})
    result = run(truth, document([prediction(0, pose())]))
    nose = JOINTS.index('nose')
    assert result.matching.truth_present[0, nose] == kept
    assert result.matching.predicted_present[0, nose] == kept
    assert result.matching.truth_present.sum() == 14 + kept


def test_persons_wholly_in_an_ignore_region_are_removed_with_their_false_positives():
    everything = [(50, 50), (400, 50), (400, 400), (50, 400)]
    truth = document([label(0, pose()), label(1, pose())], 2, regions={1: [everything]})
    predicted = document([prediction(0, pose()), prediction(1, pose(900, 900), 0.1)], 2)
    predicted['annotations'].append(prediction(1, pose(), 0.9, track=1))
    result = run(truth, predicted)
    assert len(result.matching.truth) == 1
    assert len(result.matching.predicted) == 2  # the one at (900, 900) stays, as a false positive
    assert result.total.ap.precision.tolist() == [50.0] * 15


def test_persons_without_a_head_box_are_dropped_and_counted():
    truth = document([label(0, pose()), label(1, pose(), head=None)], 2)
    truth['annotations'].append(label(0, pose(600, 600), track=1, head=None))
    predicted = document([prediction(0, pose()), prediction(1, pose(), 0.9)], 2)
    result = run(truth, predicted)
    assert result.total.ap.total == 100
    assert result.counts['persons_without_head_box'] == 2
    assert result.counts['frames_without_head_box'] == 1


def test_a_head_box_without_area_is_never_hit_and_still_counts():
    truth = document([label(0, pose()), label(1, pose(), head=(5, 5, 0, 0))], 2)
    predicted = document([prediction(0, pose(), 0.9), prediction(1, pose(), 0.1)], 2)
    assert run(truth, predicted).total.ap.total == pytest.approx(50)


def test_posetrack21_counts_labelled_frames_and_positive_coordinates():
    truth = document([label(0, pose())], 2, labelled=[True, True])
    predicted = document([prediction(0, pose(), 0.4), prediction(1, pose(), 0.6)], 2)
    assert run(truth, predicted).total.ap.total == 100
    # Frame 1 is labelled as empty: under the rules of 2021 its prediction is a false positive.
    assert run(truth, predicted, rules='posetrack21').total.ap.total == pytest.approx(50)
    points = np.array(pose()).reshape(17, 3)
    points[0, 0] = 0.0
    truth = document([label(0, points.ravel().tolist())])
    nose = JOINTS.index('nose')
    for rules, labelled in (('posetrack18', True), ('posetrack21', False)):
        result = run(truth, document([prediction(0, pose())]), rules=rules)
        assert result.matching.truth_present[0, nose] == labelled


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="rules='coco'"):
        run(document([label(0, pose())]), document([prediction(0, pose())]), rules='coco')


def test_a_switch_of_tracks_costs_mota():
    truth = document([label(f, pose()) for f in range(4)], 4)
    steady = document([prediction(f, pose(), track=7) for f in range(4)], 4)
    switched = document([prediction(f, pose(), track=7 + (f > 0)) for f in range(4)], 4)
    assert run(truth, steady, tracking=True).total.tracking.mota[15] == pytest.approx(100)
    # Three frames count: the last one of a video does not.
    assert run(truth, switched, tracking=True).total.tracking.mota[15] == pytest.approx(100 * 2 / 3)


def test_a_frame_without_predictions_is_one_miss_and_one_false_positive_a_joint():
    truth = document([label(f, pose()) for f in range(3)], 3)
    predicted = document([prediction(f, pose()) for f in (0, 2)], 3)
    assert run(truth, predicted, tracking=True).total.tracking.mota[15] == pytest.approx(0)


def test_mota_without_tracks_in_the_truth_names_the_person():
    truth = document([{**label(0, pose()), 'track_id': -1}])
    with pytest.raises(PoseTrackError, match=r'frame images/val/.*000000.jpg, person .*MOTA'):
        run(truth, document([prediction(0, pose())]), tracking=True)


def test_merged_file_and_folder_give_the_same(tmp_path):
    gt, pred, expected = build.write_case(tmp_path, 'case4')
    documents = load_documents(gt, order='name')
    merged = {
        key: [entry for _, content in documents for entry in content[key]]
        for key in ('images', 'annotations')
    }
    merged['categories'] = documents[0][1]['categories']
    build.write(tmp_path, {'merged': merged})
    results = []
    for path in (tmp_path / 'merged.json', gt):
        frames, truth = read_ground_truth(path, order='name')
        assert frames.videos == [name for name, _ in documents]
        predicted = read_predictions(pred, frames, tracking=True)
        results.append(evaluate(frames, truth, predicted, tracked=predicted).total)
    assert results[0].as_dict() == results[1].as_dict()
    np.testing.assert_allclose(results[0].tracking.mota, expected['tracking']['mota'], atol=1e-6)


def to_annolist(content, with_scores):
    columns = list(ROWS)
    frames = []
    for image in content['images']:
        rects = []
        for person in content['annotations']:
            if person['image_id'] != image['id']:
                continue
            points = np.array(person['keypoints']).reshape(17, 3)[columns]
            rect = {'track_id': [person['track_id']]}
            rect['annopoints'] = [
                {
                    'point': [
                        {'id': [j], 'x': [x], 'y': [y]}
                        | ({'score': [person['scores'][columns[j]]]} if with_scores else {})
                        for j, (x, y, flag) in enumerate(points)
                        if flag
                    ]
                }
            ]
            if 'bbox_head' in person:
                x, y, w, h = person['bbox_head']
                rect |= {'x1': [x], 'y1': [y], 'x2': [x + w], 'y2': [y + h]}
            rects.append(rect)
        regions = zip(image['ignore_regions_x'], image['ignore_regions_y'], strict=True)
        entry = {'image': [{'name': image['file_name']}], 'annorect': rects}
        entry['ignore_regions'] = [
            {'point': [{'x': [x], 'y': [y]} for x, y in zip(xs, ys, strict=True)]}
            for xs, ys in regions
        ]
        frames.append(entry)
    return {'annolist': frames}


def test_posetrack17_files_give_the_same_as_posetrack18_files(tmp_path):
    truth, predicted = build.random_documents(np.random.default_rng(3), num_videos=2)
    expected = run(truth, predicted, tracking=True).total.as_dict()
    build.write(tmp_path / 'gt', {n: to_annolist(d, False) for n, d in truth.items()})
    build.write(tmp_path / 'pred', {n: to_annolist(d, True) for n, d in predicted.items()})
    frames, persons = read_ground_truth(tmp_path / 'gt', order='name')
    table = read_predictions(tmp_path / 'pred', frames, tracking=True)
    ours = evaluate(frames, persons, table, tracked=table).total.as_dict()
    np.testing.assert_allclose(ours['ap_per_joint'], expected['ap_per_joint'])
    np.testing.assert_allclose(ours['tracking']['mota'], expected['tracking']['mota'])


def test_per_video_results_equal_videos_evaluated_alone():
    truth, predicted = build.random_documents(np.random.default_rng(5))
    result = run(truth, predicted, tracking=True, per_video=True)
    for name, ours in result.videos.items():
        alone = run({name: truth[name]}, {name: predicted[name]}, tracking=True).total
        np.testing.assert_allclose(ours.ap.ap, alone.ap.ap)
        np.testing.assert_allclose(ours.tracking.mota, alone.tracking.mota)


def test_ties_between_hits_and_misses_are_counted():
    truth = document([label(0, pose())])
    people = [prediction(0, pose()), prediction(0, pose(900, 900), track=1)]
    assert run(truth, document(people)).counts['tied_scores'] == 15
    people[1]['scores'] = [0.1] * 17
    assert run(truth, document(people)).counts['tied_scores'] == 0


def test_area_under_a_curve_worked_by_hand():
    precision, recall = precision_recall(np.array([0.9, 0.8, 0.7]), np.array([1, 0, 1]), 4)
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert recall.tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    assert average_precision(precision, recall) == pytest.approx(1 / 4 + 1 / 4 * 2 / 3)


def test_joints_without_a_score_rank_last():
    precision, _ = precision_recall(np.array([np.nan, -5.0]), np.array([1, 0]), 1)
    assert precision.tolist() == [0, 0.5]


def test_label_version_is_told_by_counts_and_names():
    frames, _ = parse_ground_truth([(build.VIDEO, document([label(0, pose())]))], merged=False)
    assert label_version(frames) == (
        'no known label version, PoseTrack18/21 (6 digits), 1 sequences, 1 labelled frames'
    )


def test_mixed_label_versions_are_refused():
    truth = document([label(0, pose())], 2)
    truth['images'][1]['file_name'] = f'images/val/{build.VIDEO}/00000002.jpg'
    with pytest.raises(PoseTrackError, match=r'00000002.jpg: mixed label versions'):
        parse_ground_truth([(build.VIDEO, truth)], merged=False)
