import json
import pathlib

import numpy as np
import pytest
from mmengine.logging import MessageHub

from posetrack_folder import JHMDB, write_image, write_json
from star_pose.datasets import DataNotFoundError, JhmdbClipDataset, LabelError


@pytest.fixture
def jhmdb(tmp_path):
    """One clip of 4 frames, all labelled, coordinates counted from 1 as in the release."""
    images, annotations = [], []
    for frame in range(1, 5):
        name = f'jump/clip_a/{frame:05d}.png'
        write_image(tmp_path / 'Rename_Images' / name, seed=frame)
        images.append(
            dict(id=10000 + frame, file_name=name, nframes=4, vid_id='00001', width=64, height=48)
        )
        keypoints = np.column_stack([np.arange(1, 16), np.arange(11, 26), np.full(15, 2)])
        annotations.append(
            dict(
                id=10000 + frame, image_id=10000 + frame, category_id=1, track_id=0,
                bbox=[1.0, 11.0, 20.0, 30.0], keypoints=keypoints.ravel().tolist(),
            )
        )  # fmt: skip
    labels = dict(images=images, annotations=annotations, categories=[])
    write_json(tmp_path / 'annotations/Sub1_test.json', labels)
    return dict(
        ann_file='annotations/Sub1_test.json',
        data_root=str(tmp_path),
        data_prefix=dict(img='Rename_Images/'),
        metainfo=JHMDB,
    )


def test_frames_count_from_one_in_five_digits(jhmdb):
    dataset = JhmdbClipDataset(**jhmdb)
    sample = dataset.get_data_info(1)
    names = [pathlib.Path(frame).name for frame in sample['video_frames']]
    assert names == ['00001.png', '00002.png', '00003.png', '00004.png']
    assert sample['frame_index'] == 1
    assert sample['img_id'] == 10002
    assert len(dataset) == 4


def test_coordinates_move_from_one_based_to_zero_based(jhmdb):
    sample = JhmdbClipDataset(**jhmdb).get_data_info(0)
    np.testing.assert_allclose(sample['keypoints'][0, :, 0], np.arange(15))
    np.testing.assert_allclose(sample['keypoints'][0, :, 1], np.arange(10, 25))
    np.testing.assert_allclose(sample['bbox'], [[0, 10, 20, 40]])
    assert sample['raw_ann_info']['keypoints'][:3] == [0, 10, 2]
    assert sample['raw_ann_info']['bbox'] == [0, 10, 20, 30]


def test_annotation_without_a_box_is_refused(jhmdb, tmp_path):
    path = tmp_path / 'annotations/Sub1_test.json'
    labels = json.loads(path.read_text())
    del labels['annotations'][0]['bbox']
    write_json(path, labels)
    with pytest.raises(LabelError, match='annotation 10001: bbox must be'):
        JhmdbClipDataset(**jhmdb)


def test_coco_metric_is_kept_from_the_one_based_file(jhmdb):
    JhmdbClipDataset(**jhmdb, test_mode=True)
    assert MessageHub.get_current_instance().get_info('jhmdb_ann_file') is None


def test_missing_jhmdb_names_its_layout(tmp_path):
    with pytest.raises(DataNotFoundError) as caught:
        JhmdbClipDataset('annotations/Sub1_test.json', data_root=str(tmp_path))
    assert 'Rename_Images/<action>/<clip>/00001.png' in str(caught.value)
    assert 'tools/convert_jhmdb.py' in str(caught.value)


def test_real_samples_load(shared_data):
    dataset = JhmdbClipDataset(
        'test_jhmdb_sub1.json',
        data_root=str(shared_data / 'mmpose_samples/jhmdb'),
        missing_frames='nearest',
    )
    sample = dataset.get_data_info(0)
    assert len(dataset) == 3
    assert len(sample['video_frames']) == 37
    # The file says 98.851746, 92.59851 for the neck
    np.testing.assert_allclose(sample['keypoints'][0, 0], [97.851746, 91.59851], rtol=1e-6)
