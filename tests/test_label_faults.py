"""Bounds of what a label entry may hold, and which entries of box files are people."""

import copy

import pytest

from posetrack_folder import make_posetrack, person, write_json
from star_pose.datasets import LabelError, PoseTrackClipDataset
from star_pose.datasets.labels.detected_boxes import person_categories
from star_pose.datasets.labels.label_faults import (
    annotation_fault,
    detection_fault,
    num_labelled,
    outside_share,
    serve_coco_metric,
)

IMAGE = dict(id=1, width=64, height=48, file_name='v/000001.jpg')


@pytest.mark.parametrize(
    ('box', 'share'),
    [
        ([0, 0, 63, 47], 0),  # the last pixels' indices are 63 and 47
        ([0, 0, 64, 47], 1 / 64),
        ([0, 0, 63, 48], 1 / 48),
        ([-1, 0, 10, 10], 0.1),
        ([0, -1, 10, 10], 0.1),
        ([-5, -5, 10, 10], 0.75),
        ([62, 10, 10, 10], 0.9),
        ([10, 46, 10, 10], 0.9),
        ([63, 10, 10, 10], 1),
        ([62.999, 10, 10, 10], 1 - 0.0001),
        ([10, 47, 10, 10], 1),
        ([-10, 10, 10, 10], 1),
        ([-9.999, 10, 10, 10], 1 - 0.0001),
        ([10, -10, 10, 10], 1),
        ([10, 10, 0, 5], 1),
        ([10, 10, 5, -1], 1),
    ],
)
def test_share_of_a_box_outside_its_image_is_that_of_its_area(box, share):
    assert outside_share(box, IMAGE) == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize(
    ('change', 'kind', 'text'),
    [
        (dict(bbox=[63, 10, 10, 10]), 'boxes outside images', 'no area inside its 64x48 image'),
        (dict(bbox=[1, 2, 3]), 'bad annotations', r'bbox must be \[x, y, width, height\]'),
        (dict(bbox='1, 2, 3, 4'), 'bad annotations', 'bbox must be'),
        (dict(bbox=[1, 2, float('nan'), 4]), 'bad annotations', 'no finite number'),
        (dict(bbox=[1, 2, '3', 4]), 'bad annotations', 'no finite number'),
        (dict(bbox=None), 'bad annotations', 'got None'),
        (dict(keypoints=[1.0, 2.0, 1.0]), 'bad annotations', '3 keypoint values instead of 3 x 17'),
        (dict(keypoints=['1', '2', '1'] * 17), 'bad annotations', 'no finite number'),
        (dict(keypoints=[[1, 2, 1]] * 17), 'bad annotations', '17 keypoint values instead of 3'),
        (dict(keypoints=[1, float('inf'), 1] * 17), 'bad annotations', 'no finite number'),
        (dict(iscrowd='0'), 'bad annotations', "iscrowd must be 0 or 1, got '0'"),
        (dict(bbox_head=[1, 2]), 'bad annotations', 'bbox_head must be'),
        (dict(track_id=[3]), 'bad annotations', 'track_id must be'),
    ],
)
def test_unusable_annotations_are_described(change, kind, text):
    annotation = {**person(1, 0), **change}
    found = annotation_fault(annotation, IMAGE, 17)
    assert found is not None
    assert found[0] == kind
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(found[1])


def test_usable_annotations_have_no_fault_and_joints_count_from_above_zero():
    annotation = person(1, 0)
    assert annotation_fault(annotation, IMAGE, 17) is None
    assert num_labelled(annotation) == 15
    for flag, number in ((0, 14), (-1, 14), (0.5, 15), (2, 15)):
        changed = copy.deepcopy(annotation)
        changed['keypoints'][2] = flag
        assert num_labelled(changed) == number
    assert num_labelled({}) == 0
    assert annotation_fault(dict(keypoints=[0] * 51), IMAGE, 17) is None  # nobody: no box needed
    edge = dict(annotation, bbox=[62.9, 46.9, 10, 10])
    assert annotation_fault(edge, IMAGE, 17) is None


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (dict(score=None), 'score None'),
        (dict(score='high'), "score 'high'"),
        (dict(score=float('nan')), 'no finite number'),
        (dict(bbox=[1, 1, 0, 5]), 'no area'),
        (dict(bbox=[1, 1, 5, 0]), 'no area'),
        (dict(bbox=[1, 1, 1e999, 5]), 'no finite number'),
        (dict(bbox=[80, 1, 5, 5]), 'no area inside its 64x48 image'),
        (dict(bbox=[8, 1, 5, 0.5]), 'smaller than a pixel'),
        (dict(bbox=None), 'needs bbox'),
    ],
)
def test_unusable_detections_are_described(change, text):
    detection = dict(image_id=1, category_id=1, bbox=[1, 1, 5, 5], score=0.5)
    assert detection_fault(detection, IMAGE) == ''
    assert text in detection_fault({**detection, **change}, IMAGE)


def test_file_serves_coco_metric_only_if_every_annotation_has_every_field():
    whole = dict(person(1, 0), area=9.0, iscrowd=0, num_keypoints=15)
    assert serve_coco_metric([whole, whole])
    for field in ('bbox', 'keypoints', 'area', 'iscrowd', 'num_keypoints', 'category_id'):
        part = {name: value for name, value in whole.items() if name != field}
        assert not serve_coco_metric([whole, part])


def test_people_are_found_by_name_and_in_lists_that_count_from_one_or_zero():
    def categories(*names):
        return [dict(id=number, name=name) for number, name in names]

    assert person_categories([1, 2], categories((1, 'Person'), (2, 'ball')), 'f') == {1}
    assert person_categories([0, 2], categories((0, 'pedestrian'), (2, 'car')), 'f') == {0}
    assert person_categories([7], categories((7, 'athlete')), 'f') == {7}  # the only class
    assert person_categories([1, 3, 18], None, 'f') == {1}
    assert person_categories([0, 1, 16], None, 'f') == {0}
    assert person_categories([], None, 'f') == {1}
    with pytest.raises(LabelError, match=r"f: none of the categories \['ball', 'car'\]"):
        person_categories([1], categories((1, 'car'), (2, 'ball')), 'f')
    with pytest.raises(LabelError, match=r"category_id is one of \['18', '3'\]"):
        person_categories([3, 18], None, 'f')


def load(root, **options):
    return PoseTrackClipDataset(
        'annotations/val.json', data_root=str(root), test_mode=True, **options
    )


def test_detections_of_people_are_taken_whatever_the_first_class_is(tmp_path):
    labels = make_posetrack(tmp_path)
    image_id = labels['annotations'][0]['image_id']

    def detections(*classes):
        return [
            dict(image_id=image_id, category_id=c, bbox=[1 + n, 1, 9, 9], score=0.5)
            for n, c in enumerate(classes)
        ]

    for classes, people in (((1, 3, 1), [1, 3]), ((0, 1, 0), [1, 3])):
        path = write_json(tmp_path / 'boxes.json', detections(*classes))
        dataset = load(tmp_path, bbox_file=str(path))
        assert [dataset.get_data_info(i)['bbox'][0, 0] for i in range(2)] == people
        assert dataset.counts['detections of other classes'] == 1
    crowd = [*detections(1), dict(detections(1)[0], iscrowd=1)]
    dataset = load(tmp_path, bbox_file=str(write_json(tmp_path / 'boxes.json', crowd)))
    assert len(dataset) == dataset.counts['detected crowds'] == 1
    text = [dict(one, image_id=str(image_id)) for one in detections(1)]
    with pytest.raises(LabelError, match=rf"image_id '{image_id}'; the labels have"):
        load(tmp_path, bbox_file=str(write_json(tmp_path / 'boxes.json', text)))


@pytest.mark.parametrize(
    ('entry', 'field', 'value', 'text'),
    [
        ('images', 'id', [1], 'has id'),
        ('images', 'file_name', 7, 'is no name of a file'),
        ('images', 'file_name', 'a\0.jpg', 'is no name of a file'),
        ('images', 'width', '64', "width is '64'"),
        ('images', 'height', -1, 'height is -1'),
        ('images', 'nframes', 10**12, 'not a whole number up to 1000000'),
        ('annotations', 'image_id', None, 'has image_id None'),
    ],
)
def test_fields_of_wrong_types_are_named(tmp_path, entry, field, value, text):
    labels = make_posetrack(tmp_path)
    labels[entry][0][field] = value
    write_json(tmp_path / 'annotations/val.json', labels)
    with pytest.raises(LabelError, match=text):
        load(tmp_path)


def test_text_ids_are_refused_where_every_nth_number_is_asked_for(tmp_path):
    labels = make_posetrack(tmp_path)
    names = {image['id']: f'image {image["id"]}' for image in labels['images']}
    for image in labels['images']:
        image['id'] = names[image['id']]
    for annotation in labels['annotations']:
        annotation['image_id'] = names[annotation['image_id']]
    write_json(tmp_path / 'annotations/val.json', labels)
    assert len(load(tmp_path)) == 8
    with pytest.raises(LabelError, match=r"'image 100\d+' is text, sample_interval=2"):
        load(tmp_path, sample_interval=2)


def test_wrong_frame_number_asks_for_no_memory(tmp_path):
    labels = make_posetrack(tmp_path)
    labels['images'][0]['file_name'] = 'images/val/000001_test/99999999999.jpg'
    write_json(tmp_path / 'annotations/val.json', labels)
    with pytest.raises(LabelError, match='are numbered 0 to 99999999999, more than 1000000'):
        load(tmp_path)
