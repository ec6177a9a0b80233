"""Bad predictions are refused with the video, the frame and the person."""

import json

import numpy as np
import pytest

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction, run
from star_pose.posetrack.read_files import load_documents
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.tables import PoseTrackError

FRAME = f'images/val/{VIDEO}/000000.jpg'


def truth(num_frames=1):
    return document([label(f, pose()) for f in range(num_frames)], num_frames)


def refusal(predicted, labels=None, **options):
    with pytest.raises(PoseTrackError) as caught:
        run(labels or truth(), predicted, **options)
    return str(caught.value)


def test_nan_coordinate():
    points = pose()
    points[15] = float('nan')
    message = refusal(document([prediction(0, points, track=3)]))
    assert message.startswith(f'video {VIDEO}, frame {FRAME}, person (id 3, track_id 3): ')
    assert 'NaN' in message


def test_missing_scores():
    person = prediction(0, pose())
    del person['scores']
    message = refusal(document([person]))
    assert message.startswith(f'video {VIDEO}, frame {FRAME}, person (id 0, track_id 0): ')
    assert 'no score' in message


def test_nan_score():
    assert 'no score' in refusal(document([prediction(0, pose(), [float('nan')] * 17)]))


def test_missing_scores_can_be_allowed_and_rank_last(tmp_path):
    person = prediction(0, pose())
    del person['scores']
    build.write(tmp_path / 'gt', {VIDEO: truth()})
    build.write(tmp_path / 'pred', {VIDEO: document([person])})
    frames, _ = read_ground_truth(tmp_path / 'gt')
    table = read_predictions(tmp_path / 'pred', frames, allow_missing_scores=True)
    assert np.isnan(table.scores).all()


def test_repeated_track_in_a_frame():
    people = [prediction(0, pose(), track=4), prediction(0, pose(300, 300), track=4, id=9)]
    message = refusal(document(people))
    assert f'frame {FRAME}, person (id 9, track_id 4): track_id 4 is already' in message


def test_missing_track_when_tracking():
    person = prediction(0, pose())
    del person['track_id']
    assert f'frame {FRAME}, person (id 0): no track_id' in refusal(
        document([person]), tracking=True
    )


def test_annotation_of_an_unknown_frame():
    message = refusal(document([prediction(5, pose())]))
    assert message.startswith(f'video {VIDEO}, frame 5, person (id 500, track_id 0): no image of')


def test_listed_frame_that_the_truth_does_not_have():
    message = refusal(document([], 2))
    assert message.startswith(
        f'video {VIDEO}, frame images/val/{VIDEO}/000001.jpg: predictions for a frame that'
    )


def test_frame_missing_in_the_predictions():
    message = refusal(document([], 1), truth(2))
    assert message.startswith(f'video {VIDEO}, frame images/val/{VIDEO}/000001.jpg: missing')


def test_missing_and_unknown_videos_point_to_the_label_version():
    message = refusal({'000009_mpii_test': document([])}, {VIDEO: truth()})
    assert (
        'video 000009_mpii_test: predictions for a video that the ground truth does not' in message
    )
    assert f'video {VIDEO}: no predictions (the predictions have 0 of 1 videos' in message
    assert 'label version' in message


def test_mixed_label_versions():
    predicted = document([], 1)
    predicted['images'][0]['file_name'] = f'images/val/{VIDEO}/00000001.jpg'
    message = refusal(predicted)
    assert f'frame images/val/{VIDEO}/00000001.jpg: mixed label versions' in message


@pytest.mark.parametrize(
    ('fields', 'what'),
    [({'keypoints': [1.0] * 45}, '45 numbers'), ({'scores': [1.0] * 15}, '15 "scores" for 17')],
)
def test_wrong_lengths(fields, what):
    message = refusal(document([{**prediction(0, pose()), **fields}]))
    assert f'frame {FRAME}, person (id 0, track_id 0): {what}' in message


def test_missing_joint_names():
    predicted = document([prediction(0, pose())])
    predicted['categories'] = [{'name': 'person', 'keypoints': ['nose', 'left_eye']}]
    with pytest.raises(ValueError, match=r'lack .*right_ankle'):
        run(truth(), predicted)


def test_all_problems_are_kept_and_twenty_are_shown():
    people = [prediction(0, [float('nan')] * 51, track=i) for i in range(30)]
    with pytest.raises(PoseTrackError) as caught:
        run(truth(), document(people))
    assert len(caught.value.problems) == 30
    assert str(caught.value).endswith('... and 10 more')


def test_broken_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        load_documents(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='no json file'):
        load_documents(tmp_path)
    (tmp_path / 'cut.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r'cut.json is not a json file'):
        load_documents(tmp_path)


def test_truth_with_bad_keypoints_names_the_person():
    with pytest.raises(PoseTrackError, match=r'person \(id 0, track_id 0\): keypoints must be 51'):
        run(document([label(0, [float('nan')] * 51)]), document([]))


def test_coco_results_are_read_with_their_third_value_as_score(tmp_path):
    build.write(tmp_path / 'gt', {VIDEO: truth()})
    points = np.array(pose()).reshape(17, 3)
    points[:, 2] = np.arange(17) / 17
    result = {'image_id': 0, 'category_id': 1, 'score': 0.9, 'keypoints': points.ravel().tolist()}
    (tmp_path / 'results.json').write_text(json.dumps([result]))
    frames, _ = read_ground_truth(tmp_path / 'gt')
    table = read_predictions(tmp_path / 'results.json', frames)
    assert table.scores[0, 13] == 0  # nose
    assert table.scores[0, 0] == pytest.approx(16 / 17)  # right ankle


def test_frames_are_found_by_file_name_when_ids_differ():
    predicted = document([{**prediction(0, pose()), 'image_id': 77}])
    predicted['images'][0]['id'] = 77
    assert run(truth(), predicted).total.ap.total == 100
