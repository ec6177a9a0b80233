"""What benchmarks/backends.py counts."""

import json

import numpy as np
import pytest

from tiny_runs import load_benchmark


@pytest.fixture(scope='module')
def backends():
    return load_benchmark('backends')


def labels(number: int, video: int | None) -> dict:
    """Images with a person each; every second person has no joint."""
    images = [{'id': 10 + n, 'file_name': f'{n}.png'} for n in range(number)]
    if video is not None:
        images = [{**image, 'vid_id': video} for image in images]
    return {
        'images': images,
        'annotations': [
            {'image_id': 10 + n, 'bbox': [n, 2, 3, 4], 'keypoints': [1, 1, (n + 1) % 2] * 17}
            for n in range(number)
        ],
    }


def test_people_come_with_the_frames_of_their_video(backends, tmp_path):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels(6, video=3)))
    people = backends.load_people(path, 2)
    assert [person['place'] for person in people] == [0, 4]
    assert people[1]['frames'] == [str(tmp_path / f'{n}.png') for n in range(6)]
    assert people[1]['box'] == [4, 2, 7, 6]
    path.write_text(json.dumps(labels(6, video=None)))
    assert [person['frames'] for person in backends.load_people(path, 9)] == [
        [str(tmp_path / f'{n}.png')] for n in (0, 2, 4)
    ]


def test_pck_counts_limb_joints_within_a_fifth_of_the_torso(backends):
    truth = np.zeros((17, 3))
    truth[:, 2] = 1
    truth[12, :2] = 0, 100  # the right hip ends the torso: 20 pixels are near
    truth[16, 2] = 0  # an ankle that is not labelled
    found = truth[:, :2].copy()
    found[5:8, 0] += 19
    found[8:10, 0] += 21
    found[[0, 16]] += 500  # no limb, and not labelled
    bare = {'joints': np.zeros((17, 3))}
    people = [{'joints': truth}, bare]
    assert backends.pck(np.stack([found, found]), people) == pytest.approx(100 * 9 / 11, abs=0.05)
