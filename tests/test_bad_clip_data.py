"""Every kind of bad input: a clear error, or a logged and counted skip, never a wrong sample."""

import json

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from posetrack_folder import (
    COCO,
    POSETRACK18,
    make_posetrack,
    make_video,
    person,
    write_image,
    write_json,
)
from star_pose.datasets import (
    ClipReadError,
    DataError,
    DataNotFoundError,
    LabelError,
    PoseTrackClipDataset,
    TooManySkipsError,
    VideoClipDataset,
)

PIPELINE = [dict(type='SampleClipFrames', num_frames=5), dict(type='LoadClip')]


@pytest.fixture(autouse=True)
def mmpose_scope():
    DefaultScope.get_instance('bad_clip_data', scope_name='mmpose')


def load(root, ann_file='annotations/val.json', **kwargs):
    return PoseTrackClipDataset(
        ann_file, data_root=str(root), metainfo=POSETRACK18, pipeline=PIPELINE, **kwargs
    )


def edit(root, change):
    """Change the merged labels of a data set."""
    path = root / 'annotations/val.json'
    labels = json.loads(path.read_text())
    change(labels)
    write_json(path, labels)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


# ------------------------------------------------------------------ frames


def test_truncated_jpeg_raises_and_names_the_file(tmp_path):
    make_posetrack(tmp_path)
    cut(tmp_path / 'images/val/000001_test/000002.jpg')
    with pytest.raises(DataError, match=r'000001_test/000002\.jpg is a truncated JPEG'):
        load(tmp_path)[0]


def test_truncated_jpeg_of_a_neighbour_raises_too(tmp_path):
    make_posetrack(tmp_path)
    cut(tmp_path / 'images/val/000001_test/000000.jpg')
    with pytest.raises(DataError, match=r'000000\.jpg is a truncated JPEG'):
        load(tmp_path)[0]  # target 2, clip 0 to 4


def test_skip_gives_another_sample_and_counts_the_bad_one_once(tmp_path, caplog):
    make_posetrack(tmp_path, videos=('000001_test', '000002_test', '000003_test'))
    cut(tmp_path / 'images/val/000001_test/000000.jpg')
    dataset = load(tmp_path, on_error='skip', max_skips=0.5)
    for _ in range(3):  # three epochs
        for index in range(len(dataset)):
            assert dataset[index]['vid_id'] in ('000001', '000002', '000003')
    # Frames 2 (clip 0 to 4) of two persons need frame 0; frames 3 (clip 1 to 5) do not
    assert dataset.skips.skipped_samples == [0, 1]
    assert '2 of 12 samples while reading (0, 1)' in dataset.skips.summary()


def test_skipping_stops_at_the_ceiling(tmp_path):
    make_posetrack(tmp_path)
    for frame in range(6):
        cut(tmp_path / f'images/val/000001_test/{frame:06d}.jpg')
    dataset = load(tmp_path, on_error='skip', max_skips=0.25)
    with pytest.raises(TooManySkipsError, match='3 of 8 samples could not be read'):
        list(map(dataset.__getitem__, range(8)))


def test_evaluation_never_skips_a_sample(tmp_path):
    make_posetrack(tmp_path)
    cut(tmp_path / 'images/val/000001_test/000002.jpg')
    dataset = load(tmp_path, on_error='skip', max_skips=1.0, test_mode=True)
    with pytest.raises(DataError, match='truncated JPEG'):
        dataset[0]


def test_file_that_vanishes_during_training_is_skipped(tmp_path):
    make_posetrack(tmp_path)
    dataset = load(tmp_path, on_error='skip', max_skips=0.5)
    (tmp_path / 'images/val/000001_test/000002.jpg').unlink()
    dataset[0]
    assert dataset.skips.num_skipped >= 1


def test_error_in_the_code_is_not_taken_for_bad_data(tmp_path):
    make_posetrack(tmp_path)
    dataset = load(tmp_path, on_error='skip', max_skips=1.0)
    dataset.pipeline.transforms.append(lambda results: results['no such key'])
    with pytest.raises(KeyError, match='no such key'):
        dataset[0]


def test_frames_of_different_sizes_raise_or_are_skipped(tmp_path):
    make_posetrack(tmp_path)
    write_image(tmp_path / 'images/val/000001_test/000000.jpg', seed=1, size=(80, 60))
    with pytest.raises(DataError, match=r'differ in size \(h, w\): \[\(48, 64\), \(60, 80\)\]'):
        load(tmp_path)[0]
    dataset = load(tmp_path, on_error='skip', max_skips=0.5)
    dataset[0]
    assert 0 in dataset.skips.skipped_samples


def test_video_shorter_than_the_clip_repeats_its_border(tmp_path):
    make_posetrack(tmp_path, frames=2, labelled=(1,))
    sample = load(tmp_path)[0]
    assert [int(path[-10:-4]) for path in sample['frame_paths']] == [0, 0, 1, 1, 1]
    assert len(sample['img']) == 5


# ------------------------------------------------------------------ video files


def write_video_labels(root, numbers):
    annotations = [dict(person(i, 0), id=i, image_id=i) for i in range(len(numbers))]
    images = [dict(id=i, file_name=f'v.mp4#{n}') for i, n in enumerate(numbers)]
    write_json(root / 'labels.json', dict(images=images, annotations=annotations, categories=[]))


def load_video(root, **kwargs):
    return VideoClipDataset('labels.json', data_root=str(root), metainfo=COCO, **kwargs)


def test_unreadable_video_raises_and_names_the_file(tmp_path):
    (tmp_path / 'v.mp4').write_bytes(b'no video at all' * 100)
    write_video_labels(tmp_path, [0])
    with pytest.raises(DataError, match=r'v\.mp4'):
        load_video(tmp_path)


def test_missing_video_is_named(tmp_path):
    write_video_labels(tmp_path, [0])
    with pytest.raises(DataNotFoundError, match=r'video file not found: .*v\.mp4'):
        load_video(tmp_path)


def test_frame_beyond_the_end_of_its_video_raises(tmp_path):
    make_video(tmp_path / 'v.mp4', frames=4)
    write_video_labels(tmp_path, [0, 4])
    with pytest.raises(LabelError, match=r'v\.mp4#4 is out of range, the video has 4 frames'):
        load_video(tmp_path)


def test_frame_beyond_the_end_of_its_video_is_skipped_and_counted(tmp_path):
    make_video(tmp_path / 'v.mp4', frames=4)
    write_video_labels(tmp_path, [0, 4, 3])
    dataset = load_video(tmp_path, on_error='skip')
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [0, 2]
    assert [kind for kind, _ in dataset.skips.label_faults] == ['frames out of range']


# ------------------------------------------------------------------ labels


def test_json_cut_in_half_names_file_and_place(tmp_path):
    make_posetrack(tmp_path)
    cut(tmp_path / 'annotations/val.json', 0.5)
    with pytest.raises(LabelError, match=r'val\.json is not valid json \(.*line 1 column'):
        load(tmp_path)


def test_json_cut_in_half_inside_a_folder_names_the_file(tmp_path):
    make_posetrack(tmp_path)
    cut(tmp_path / 'annotations/val/000002_test.json', 0.5)
    with pytest.raises(LabelError, match=r'000002_test\.json is not valid json'):
        load(tmp_path, 'annotations/val')


@pytest.mark.parametrize('content', [[], dict(images=[]), 'text', dict(images={}, annotations=[])])
def test_json_of_another_kind_is_refused(tmp_path, content):
    write_json(tmp_path / 'annotations/val.json', content)
    with pytest.raises(LabelError, match=r'val\.json (holds a|lacks the list)'):
        load(tmp_path)


def test_empty_split_is_refused(tmp_path):
    write_json(tmp_path / 'annotations/val.json', dict(images=[], annotations=[]))
    with pytest.raises(LabelError, match='lists no image: the split is empty'):
        load(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(LabelError, match='has no json file'):
        load(tmp_path, 'empty')


@pytest.mark.parametrize('on_error', ['raise', 'skip'])
def test_split_whose_joints_are_all_unlabelled_is_refused(tmp_path, on_error):
    make_posetrack(tmp_path)
    edit(tmp_path, lambda d: [a.update(keypoints=[0] * 51) for a in d['annotations']])
    with pytest.raises(LabelError, match=r"no usable person .*'without joints': 8"):
        load(tmp_path, on_error=on_error)


def test_person_without_labelled_joints_is_left_out_and_counted(tmp_path):
    make_posetrack(tmp_path)
    edit(tmp_path, lambda d: d['annotations'][0].update(keypoints=[0] * 51))
    dataset = load(tmp_path)
    assert len(dataset) == 7
    assert dataset.counts['without joints'] == 1
    assert '1 without joints' in dataset.describe()


def test_annotation_that_points_outside_its_root_is_refused(tmp_path):
    make_posetrack(tmp_path / 'data')
    write_image(tmp_path / 'secret/000000.jpg', seed=1)
    edit(
        tmp_path / 'data',
        lambda d: d['images'][2].update(file_name='images/../../secret/000000.jpg'),
    )
    with pytest.raises(LabelError, match='points outside the image root'):
        load(tmp_path / 'data')


BAD_ENTRIES = {
    'zero-area box': (dict(bbox=[5, 5, 0, 10]), 'boxes outside images', 'has no area inside'),
    'box outside': (dict(bbox=[70, 5, 9, 10]), 'boxes outside images', '64x48 image'),
    'below a pixel': (dict(bbox=[5, 5, 0.5, 9]), 'bad annotations', 'smaller than a pixel'),
    'too few joints': (dict(keypoints=[5, 5, 1]), 'bad annotations', '3 keypoint values instead'),
    'no box': (dict(bbox=None), 'bad annotations', r'bbox must be \[x, y, width, height\]'),
    'not finite': (dict(bbox=[5, 5, float('nan'), 9]), 'bad annotations', 'no finite number'),
    'text': (dict(bbox=[5, 5, 'wide', 9]), 'bad annotations', 'no finite number'),
    'unlisted image': (dict(image_id=7), 'bad annotations', 'image 7, which is not listed'),
}


@pytest.mark.parametrize('case', BAD_ENTRIES)
def test_bad_annotation_raises_with_its_id(tmp_path, case):
    change, _, text = BAD_ENTRIES[case]
    labels = make_posetrack(tmp_path)
    edit(tmp_path, lambda d: d['annotations'][0].update(change))
    with pytest.raises(LabelError, match=f'annotation {labels["annotations"][0]["id"]}.*{text}'):
        load(tmp_path)


@pytest.mark.parametrize('case', BAD_ENTRIES)
def test_bad_annotation_is_skipped_and_counted(tmp_path, case):
    change, kind, _ = BAD_ENTRIES[case]
    labels = make_posetrack(tmp_path)
    edit(tmp_path, lambda d: d['annotations'][0].update(change))
    dataset = load(tmp_path, on_error='skip')
    ids = [dataset.get_data_info(i)['id'] for i in range(len(dataset))]
    assert ids == [a['id'] for a in labels['annotations'][1:]]
    assert [fault[0] for fault in dataset.skips.label_faults] == [kind]
    assert '1 label entries' in dataset.skips.summary()


def test_too_many_bad_annotations_end_the_run(tmp_path):
    make_posetrack(tmp_path)
    edit(tmp_path, lambda d: [a.update(bbox=[0, 0, 0, 0]) for a in d['annotations'][:3]])
    with pytest.raises(TooManySkipsError, match='3 of 20 label entries cannot be used'):
        load(tmp_path, on_error='skip', max_skips=0.1)


def test_one_image_id_for_two_images_is_refused(tmp_path):
    make_posetrack(tmp_path)
    edit(tmp_path, lambda d: d['images'][1].update(id=d['images'][0]['id']))
    with pytest.raises(LabelError, match='labels would go to the wrong frame'):
        load(tmp_path)


def test_name_without_a_number_has_no_place_in_a_video(tmp_path):
    make_posetrack(tmp_path)
    write_image(tmp_path / 'images/val/000001_test/cover.jpg', seed=1)
    edit(tmp_path, lambda d: d['images'][2].update(file_name='images/val/000001_test/cover.jpg'))
    with pytest.raises(LabelError, match=r'cover\.jpg has no number'):
        load(tmp_path)


def test_detection_that_cannot_be_used_raises(tmp_path):
    labels = make_posetrack(tmp_path)
    image_id = labels['annotations'][0]['image_id']
    entries = [dict(image_id=image_id, category_id=1, bbox=[1, 1, 0, 5], score=1.0)]
    boxes = write_json(tmp_path / 'boxes.json', entries)
    with pytest.raises(LabelError, match='has no area inside its'):
        load(tmp_path, bbox_file=str(boxes), test_mode=True)


def test_image_sizes_are_read_where_labels_lack_them(tmp_path):
    make_posetrack(tmp_path)
    edit(tmp_path, lambda d: [i.pop('width') for i in d['images']])
    edit(tmp_path, lambda d: d['annotations'][0].update(bbox=[40, 2, 60, 100]))
    np.testing.assert_allclose(load(tmp_path).get_data_info(0)['bbox'], [[40, 2, 63, 47]])


def test_unreadable_image_without_a_size_in_the_labels_raises(tmp_path):
    make_posetrack(tmp_path, videos=('000001_test',))
    edit(tmp_path, lambda d: [i.pop('width') for i in d['images']])
    (tmp_path / 'images/val/000001_test/000000.jpg').write_bytes(b'')
    with pytest.raises(ClipReadError, match=r'000000\.jpg is an empty file'):
        load(tmp_path)
