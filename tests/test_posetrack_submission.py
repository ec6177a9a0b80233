"""Submissions can be read back by poseval's rules, and the validator names what is wrong."""

import json

import numpy as np
import pytest

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction
from star_pose.posetrack.evaluate import evaluate
from star_pose.posetrack.read_labels import parse_ground_truth, read_ground_truth
from star_pose.posetrack.read_predictions import parse_predictions, read_predictions
from star_pose.posetrack.tables import NO_TRACK
from star_pose.posetrack.write_submission import validate_submission, write_submission


def tables(truth, predicted):
    frames, persons = parse_ground_truth(list(truth.items()), merged=False)
    table, problems = parse_predictions(list(predicted.items()), frames, merged=False)
    assert problems == []
    return frames, persons, table


@pytest.fixture
def crowd():
    return build.random_documents(np.random.default_rng(11))


def test_what_is_written_evaluates_to_the_same(crowd, tmp_path):
    frames, persons, table = tables(*crowd)
    write_submission(frames, table, tmp_path / 'out')
    back = read_predictions(tmp_path / 'out', frames, tracking=True)
    before = evaluate(frames, persons, table, tracked=table).total.as_dict()
    after = evaluate(frames, persons, back, tracked=back).total.as_dict()
    assert after == before


def test_every_frame_is_written_with_small_unique_tracks(crowd, tmp_path):
    frames, _, table = tables(*crowd)
    table.track_ids = table.track_ids + 12345
    write_submission(frames, table, tmp_path / 'out')
    assert validate_submission(tmp_path / 'out', frames, tracking=True) == []
    for name, truth in crowd[0].items():
        written = json.loads((tmp_path / 'out' / f'{name}.json').read_text())
        assert [i['id'] for i in written['images']] == [i['id'] for i in truth['images']]
        tracks = {a['track_id'] for a in written['annotations']}
        assert tracks == set(range(len(tracks)))
        assert all(len(a['scores']) == 17 for a in written['annotations'])


def test_persons_without_a_track_are_numbered_within_their_frame(crowd, tmp_path):
    frames, _, table = tables(*crowd)
    table.track_ids = np.full(len(table), NO_TRACK)
    write_submission(frames, table, tmp_path / 'out')
    assert validate_submission(tmp_path / 'out', frames, tracking=True) == []


def test_files_of_other_videos_are_not_submitted_along(crowd, tmp_path):
    frames, _, table = tables(*crowd)
    build.write(tmp_path / 'out', {'000099_mpii_test': {}})
    with pytest.raises(FileExistsError, match='000099_mpii_test'):
        write_submission(frames, table, tmp_path / 'out')


@pytest.fixture
def valid(tmp_path):
    build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose()), label(1, pose())], 2)})
    frames, _ = read_ground_truth(tmp_path / 'gt')
    return frames, document([prediction(0, pose()), prediction(1, pose())], 2)


def faults(tmp_path, frames, predicted, **options):
    build.write(tmp_path / 'pred', {VIDEO: predicted})
    return [str(problem) for problem in validate_submission(tmp_path / 'pred', frames, **options)]


def test_a_valid_folder_has_no_problem(valid, tmp_path):
    assert faults(tmp_path, *valid, tracking=True) == []


def change(predicted, what):
    person = predicted['annotations'][1]
    if what == 'categories':
        predicted['categories'] = []
    elif what == 'order':
        predicted['images'].reverse()
    elif what == 'track range':
        person['track_id'] = 10000
    elif what == 'scores':
        person['scores'] = []
    elif what == 'frame':
        predicted['images'].pop()
    elif what == 'images':
        del predicted['images']


@pytest.mark.parametrize(
    ('what', 'told'),
    [
        ('categories', f'video {VIDEO}: "categories" must hold exactly one'),
        ('order', '000000.jpg: place 0 of "images" holds \'000001.jpg\''),
        ('track range', '000001.jpg, person (id 100, track_id 10000): track_id 10000 must be'),
        ('scores', '000001.jpg, person (id 100, track_id 0): a joint has no score'),
        ('frame', '000001.jpg: missing in the predictions'),
        ('images', f'video {VIDEO}: no list "images"'),
    ],
)
def test_the_validator_names_the_fault(valid, tmp_path, what, told):
    frames, predicted = valid
    change(predicted, what)
    found = faults(tmp_path, frames, predicted, tracking=True)
    assert any(told in fault for fault in found), found


def test_a_file_is_no_submission(valid, tmp_path):
    (tmp_path / 'all.json').write_text('{}')
    with pytest.raises(NotADirectoryError, match='a submission is a folder'):
        validate_submission(tmp_path / 'all.json', valid[0])
