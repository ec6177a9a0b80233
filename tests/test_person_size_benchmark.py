import json

import cv2
import numpy as np
import pytest

from tiny_runs import load_benchmark

BOX = [140, 40, 80, 160]  # x y w h


@pytest.fixture(scope='module')
def person_size():
    return load_benchmark('person_size')


def make_labels(folder):
    """Seven frames, in one of them a dot at every joint of a tall person; and a short one."""
    rng = np.random.default_rng(0)
    joints = np.column_stack([rng.uniform(150, 210, 17), rng.uniform(50, 190, 17), np.full(17, 2)])
    images = []
    for number in range(7):
        cv2.imwrite(str(folder / f'{number}.png'), np.full((240, 320, 3), 10 * number, np.uint8))
        images.append(dict(id=number, file_name=f'{number}.png', vid_id='1'))
    tall = dict(image_id=6, bbox=BOX, keypoints=joints.ravel().tolist())
    short = dict(image_id=2, bbox=[0, 0, 40, 100], keypoints=joints.ravel().tolist())
    unseen = dict(tall, image_id=3, keypoints=np.where([1, 1, 0], joints, 0).ravel().tolist())
    labels = dict(images=images, annotations=[tall, short, unseen])
    (folder / 'labels.json').write_text(json.dumps(labels))
    return tall, joints[:, :2]


def test_tall_people_come_with_the_frames_about_theirs(person_size, tmp_path):
    tall, _ = make_labels(tmp_path)
    ((files, label),) = person_size.read_people(tmp_path / 'labels.json', 10)
    assert label == tall
    assert [file.name for file in files] == ['4.png', '5.png', '6.png', '6.png', '6.png']
    photographs = (tmp_path / 'labels.json').read_text().replace('vid_id', 'note')
    (tmp_path / 'labels.json').write_text(photographs)
    ((files, _),) = person_size.read_people(tmp_path / 'labels.json', 10)
    assert {file.name for file in files} == {'6.png'}


@pytest.mark.parametrize('height', [40, 80, 120])
def test_a_person_is_made_so_tall_and_his_joints_stay_where_they_are(person_size, height, tmp_path):
    label, joints = make_labels(tmp_path)
    frame = np.zeros((240, 320, 3), np.uint8)
    x, y = joints[7].round().astype(int)
    cv2.rectangle(frame, (int(x) - 6, int(y) - 6), (int(x) + 6, int(y) + 6), (255, 255, 255), -1)
    small, box, found = person_size.shrink([frame] * 5, label, height)
    assert len(small) == 5
    assert box[3] - box[1] == pytest.approx(height, abs=1)
    rows, columns = np.indices(small[0].shape[:2])
    light = small[0][..., 0] / small[0][..., 0].sum()
    centre = (light * columns).sum(), (light * rows).sum()
    # 13 pixels of the frame about a whole pixel, whose fraction the label still has
    np.testing.assert_allclose(centre, found[7] + ((x, y) - joints[7]) * height / 160, atol=0.1)


def test_it_counts_what_a_model_finds(person_size, tmp_path):
    make_labels(tmp_path)
    people = person_size.read_people(tmp_path / 'labels.json', 10)

    class Knowing:
        """A model that finds the truth, moved by a share of the torso."""

        def __init__(self, is_clip, error):
            self.is_clip, self.error = is_clip, error

        def cut(self, images, boxes):
            assert len(images) == (5 if self.is_clip else 1)
            self.box = boxes[0]
            return type('Crops', (), dict(pixels=None, centres=None, scales=None))

        def run(self, pixels):
            return ()

        def decode(self, outputs, centres, scales):
            x, y, w, h = BOX
            joints = np.array(people[0][1]['keypoints']).reshape(-1, 3)[:, :2]
            zoom = (self.box[2:] - self.box[:2]) / (w, h)
            moved = (joints + 0.5 - (x, y)) * zoom + self.box[:2] - 0.5
            torso = np.linalg.norm(moved[5] - moved[12])
            return moved[None] + np.array([self.error * torso, 0]), np.ones((1, 17))

    scores = person_size.measure(people, {'near': Knowing(True, 0.15), 'far': Knowing(False, 0.3)})
    assert set(scores) == {'clean', 'degraded'}
    for by_height in scores.values():
        assert list(by_height) == [str(height) for height in person_size.HEIGHTS]
        assert all(found == {'near': 100.0, 'far': 0.0} for found in by_height.values())
