import pathlib

import numpy as np
import pytest

from posetrack_folder import JOINTS, POSETRACK18, make_posetrack, person, write_json
from star_pose.datasets import DataNotFoundError, LabelError, PoseTrackClipDataset
from star_pose.posetrack.read_labels import name_of_labels


def names(frames):
    return [pathlib.Path(frame).name for frame in frames]


def load(root, ann_file='annotations/val.json', **kwargs):
    kwargs.setdefault('metainfo', POSETRACK18)
    return PoseTrackClipDataset(ann_file, data_root=str(root), **kwargs)


def test_posetrack18_frames_have_six_digits_from_zero(tmp_path):
    make_posetrack(tmp_path)
    sample = load(tmp_path).get_data_info(0)
    assert names(sample['video_frames']) == [f'{n:06d}.jpg' for n in range(6)]
    assert sample['frame_index'] == 2
    assert sample['video_frames'][2] == sample['img_path']
    assert pathlib.Path(sample['img_path']) == tmp_path / 'images/val/000001_test/000002.jpg'


def test_posetrack17_frames_have_eight_digits_from_one(tmp_path):
    make_posetrack(tmp_path, digits=8)
    dataset = load(tmp_path)
    sample = dataset.get_data_info(0)
    assert names(sample['video_frames']) == [f'{n:08d}.jpg' for n in range(1, 7)]
    assert sample['frame_index'] == 1  # the labelled frame 2 is the second one
    assert '8 digits (PoseTrack17)' in dataset.describe()


def test_every_person_of_every_labelled_frame_is_one_sample_with_its_own_ids(tmp_path):
    labels = make_posetrack(tmp_path)
    dataset = load(tmp_path)
    found = [(s['id'], s['img_id'], s['track_id']) for s in map(dataset.get_data_info, range(8))]
    expected = [(a['id'], a['image_id'], a['track_id']) for a in labels['annotations']]
    assert len(dataset) == 8
    assert found == expected


def test_sample_has_the_labels_values(tmp_path):
    make_posetrack(tmp_path)
    sample = load(tmp_path).get_data_info(1)  # track 1, 2 px to the right
    shifted = np.where((JOINTS > 0).all(1, keepdims=True), JOINTS + np.array([2, 0]), 0)
    np.testing.assert_allclose(sample['keypoints'], shifted[None], atol=1e-6)
    np.testing.assert_array_equal(sample['keypoints_visible'], (JOINTS > 0).all(1)[None])
    np.testing.assert_allclose(sample['bbox'], [[23, 2, 41, 44]])
    np.testing.assert_allclose(sample['head_box'], [[28, 3, 36, 13]])
    assert sample['num_keypoints'] == 15
    assert sample['vid_id'] == '000001'


def test_merged_file_and_per_video_folder_give_the_same_samples(tmp_path):
    make_posetrack(tmp_path)
    merged, folder = load(tmp_path), load(tmp_path, 'annotations/val')
    assert len(merged) == len(folder) == 8
    for index in range(8):
        a, b = merged.get_data_info(index), folder.get_data_info(index)
        assert a.keys() == b.keys()
        for key in ('id', 'img_id', 'img_path', 'video_frames', 'frame_index', 'raw_ann_info'):
            assert a[key] == b[key]
        np.testing.assert_array_equal(a['keypoints'], b['keypoints'])


def test_frames_are_ordered_by_number_and_not_by_name(tmp_path):
    make_posetrack(tmp_path, videos=('000001_test',), frames=12, labelled=(10,))
    for path in (tmp_path / 'images/val/000001_test').iterdir():
        path.rename(path.with_name(f'{int(path.stem)}.jpg'))
    image = dict(id=7, file_name='images/val/000001_test/10.jpg', width=64, height=48)
    write_json(tmp_path / 'few.json', dict(images=[image], annotations=[person(7, 0)]))
    sample = load(tmp_path, 'few.json').get_data_info(0)
    assert names(sample['video_frames']) == [f'{n}.jpg' for n in range(12)]
    assert sample['frame_index'] == 10


def test_missing_neighbour_is_an_error_that_names_it_and_the_remedies(tmp_path):
    make_posetrack(tmp_path)
    (tmp_path / 'images/val/000002_test/000004.jpg').unlink()
    with pytest.raises(DataNotFoundError) as caught:
        load(tmp_path)
    for part in ('1 of 6', '000002_test/000004.jpg', "missing_frames='nearest'", 'images/val/'):
        assert part in str(caught.value)


def test_nearest_repeats_the_nearest_frame_and_the_earlier_one_on_ties(tmp_path):
    make_posetrack(tmp_path, videos=('000001_test',), frames=7, labelled=(2,))
    for missing in (0, 4, 6):
        (tmp_path / f'images/val/000001_test/{missing:06d}.jpg').unlink()
    dataset = load(tmp_path, missing_frames='nearest')
    kept = [int(pathlib.Path(f).stem) for f in dataset.get_data_info(0)['video_frames']]
    assert kept == [1, 1, 2, 3, 3, 5, 5]
    assert dataset.counts['missing frames'] == 3


def test_missing_labelled_frame_is_never_replaced(tmp_path):
    make_posetrack(tmp_path)
    (tmp_path / 'images/val/000001_test/000002.jpg').unlink()
    with pytest.raises(DataNotFoundError, match=r'labelled frame not found.*000002\.jpg'):
        load(tmp_path, missing_frames='nearest')


def test_wrong_digits_are_explained(tmp_path):
    make_posetrack(tmp_path)
    for path in sorted((tmp_path / 'images/val/000001_test').iterdir()):
        path.rename(path.with_name(f'{int(path.stem) + 1:08d}.jpg'))
    with pytest.raises(DataNotFoundError) as caught:
        load(tmp_path)
    assert 'the folder has 6 images, 00000001.jpg to 00000006.jpg' in str(caught.value)
    assert 'digits and the first number of the labels (000002.jpg)' in str(caught.value)


def test_missing_data_says_what_where_layout_and_two_ways_on(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path, 'annotations/nothing.json')
    text = str(caught.value)
    assert f'annotation file not found: {tmp_path}/annotations/nothing.json' in text
    assert 'Expected layout' in text
    assert 'posetrack.net' in text
    assert 'tools/make_synthetic_posetrack.py --out' in text


def test_detected_boxes_replace_the_labels(tmp_path):
    labels = make_posetrack(tmp_path)
    image_id = labels['annotations'][-1]['image_id']
    detections = [
        dict(image_id=image_id, category_id=1, bbox=[10, 5, 20, 30], score=0.75),
        dict(image_id=image_id, category_id=3, bbox=[10, 5, 20, 30], score=0.9),
        dict(image_id=5, category_id=1, bbox=[10, 5, 20, 30], score=0.9),
    ]
    boxes = write_json(tmp_path / 'boxes.json', detections)
    dataset = load(tmp_path, bbox_file=str(boxes), test_mode=True)
    sample = dataset.get_data_info(0)
    assert len(dataset) == 1
    assert sample['img_id'] == image_id
    assert sample['frame_index'] == 3
    assert 'raw_ann_info' not in sample
    np.testing.assert_allclose(sample['bbox'], [[10, 5, 30, 35]])
    np.testing.assert_allclose(sample['bbox_score'], [0.75])
    assert not sample['keypoints_visible'].any(), 'nobody has labelled these joints'
    assert dataset.counts['detections in other images'] == 1
    assert f'boxes: detected ({boxes})' in dataset.describe()


def test_detections_of_another_label_version_are_refused(tmp_path):
    make_posetrack(tmp_path)
    detections = [dict(image_id=5, category_id=1, bbox=[10, 5, 20, 30], score=0.9)]
    boxes = write_json(tmp_path / 'boxes.json', detections)
    with pytest.raises(LabelError, match='None of the 1 detected persons'):
        load(tmp_path, bbox_file=str(boxes), test_mode=True)


def test_posetrack17_annolist_is_read_with_its_joints_and_head_box(tmp_path):
    make_posetrack(tmp_path, videos=('000005_mpii',), digits=8)
    points = [dict(id=[0], x=[27.0], y=[42.0]), dict(id=[14], x=[30.0], y=[4.0])]
    rect = dict(x1=[26], y1=[3], x2=[34], y2=[13], track_id=[4], annopoints=[dict(point=points)])
    frame = dict(image=[dict(name='images/val/000005_mpii/00000003.jpg')], annorect=[rect])
    write_json(tmp_path / 'annolist/000005.json', dict(annolist=[frame]))
    sample = load(tmp_path, 'annolist').get_data_info(0)
    labelled = np.flatnonzero(sample['keypoints_visible'][0])
    assert labelled.tolist() == [2, 16]  # head_top and right_ankle of PoseTrack18's 17
    np.testing.assert_allclose(sample['keypoints'][0, [2, 16]], [[30, 4], [27, 42]])
    np.testing.assert_allclose(sample['head_box'], [[26, 3, 34, 13]])
    # The joints' extent 3 x 38 about (28.5, 23), enlarged by a fifth
    np.testing.assert_allclose(sample['bbox'], [[26.7, 0.2, 30.3, 45.8]], atol=1e-5)
    assert (sample['img_id'], sample['track_id']) == (10000050003, 4)
    assert (sample['frame_index'], len(sample['video_frames'])) == (2, 6)


@pytest.mark.parametrize(
    ('sequences', 'frames', 'expected'),
    [
        (74, 3902, 'PoseTrack18 val v0.2'),
        (170, 8923, 'PoseTrack18 val v0.45'),
        (74, 3900, 'like PoseTrack18 val v0.2, which has 3902 labelled frames'),
        (3, 10, 'no known label version'),
    ],
)
def test_label_version_is_recognised_by_its_numbers(sequences, frames, expected):
    assert name_of_labels(sequences, frames) == expected


def test_description_counts_what_was_loaded(tmp_path):
    make_posetrack(tmp_path)
    text = load(tmp_path).describe()
    for part in ('2 sequences', '12 images', '4 labelled frames', '8 persons', 'ground truth'):
        assert part in text


def test_subset_keeps_its_videos(tmp_path):
    make_posetrack(tmp_path)
    subset = load(tmp_path).get_subset([7, 0])
    assert [subset.get_data_info(i)['vid_id'] for i in range(2)] == ['000002', '000001']
    assert len(subset.get_data_info(0)['video_frames']) == 6


@pytest.mark.parametrize(
    ('option', 'text'),
    [
        (dict(missing_frames='skip'), 'missing_frames must be'),
        (dict(on_error='ignore'), "on_error must be 'raise' or 'skip', got 'ignore'"),
        (dict(max_skips=2), r'max_skips is a share .* got 2'),
        (dict(data_mode='bottomup'), 'must be "topdown", got \'bottomup\''),
        (dict(sample_interval=0), 'whole number from 1 on, got 0'),
    ],
)
def test_unknown_options_are_named(tmp_path, option, text):
    with pytest.raises(ValueError, match=text):
        load(tmp_path, **option)


def test_real_samples_load_from_both_forms(shared_data):
    root = shared_data / 'mmpose_samples/posetrack18'
    merged = PoseTrackClipDataset(
        'annotations/test_posetrack18_val.json', data_root=str(root), missing_frames='nearest'
    )
    folder = load(root, 'annotations/val', missing_frames='nearest')
    assert len(merged) == len(folder) == 14
    ids = [sorted(d.get_data_info(i)['id'] for i in range(14)) for d in (merged, folder)]
    assert ids[0] == ids[1]
    assert merged.counts['missing frames'] == 139 + 148 + 100


def test_real_samples_without_their_neighbours_are_an_error(shared_data):
    root = shared_data / 'mmpose_samples/posetrack18'
    with pytest.raises(DataNotFoundError, match='387 frames around labelled ones, in 3 videos'):
        load(root, 'annotations/val')


def test_real_detections_load(shared_data):
    root = shared_data / 'mmpose_samples/posetrack18'
    boxes = root / 'annotations/test_posetrack18_human_detections.json'
    dataset = load(
        root, 'annotations/val', missing_frames='nearest', bbox_file=str(boxes), test_mode=True
    )
    assert len(dataset) == 278
