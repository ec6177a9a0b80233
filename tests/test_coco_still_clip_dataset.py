import json

import numpy as np
import pytest

from posetrack_folder import POSETRACK18, make_posetrack, person, write_image, write_json
from star_pose.datasets import CocoStillClipDataset, DataNotFoundError


def test_still_is_no_video(tmp_path):
    write_image(tmp_path / 'images/cat.jpg', seed=0)
    image = dict(id=9, file_name='images/cat.jpg', width=64, height=48)
    labels = dict(images=[image], annotations=[person(9, 0)], categories=[])
    write_json(tmp_path / 'labels.json', labels)
    dataset = CocoStillClipDataset('labels.json', data_root=str(tmp_path), metainfo=POSETRACK18)
    sample = dataset.get_data_info(0)
    assert not {'video_frames', 'frame_index', 'sequence'} & sample.keys()
    assert sample['img_path'] == str(tmp_path / 'images/cat.jpg')
    assert dataset.counts['sequences'] == 0


def test_missing_still_is_named(tmp_path):
    make_posetrack(tmp_path)
    (tmp_path / 'images/val/000001_test/000002.jpg').unlink()
    with pytest.raises(DataNotFoundError, match=r'image not found: .*000002\.jpg'):
        CocoStillClipDataset('annotations/val.json', data_root=str(tmp_path), metainfo=POSETRACK18)


def test_lsp_extended_has_limbs_neck_and_head_top(shared_data, tmp_path):
    labels = json.loads((shared_data / 'lspe/lspe_val.json').read_text())
    for image in labels['images']:
        (tmp_path / image['file_name']).parent.mkdir(exist_ok=True)
        (tmp_path / image['file_name']).touch()  # only names are looked at
    dataset = CocoStillClipDataset(str(shared_data / 'lspe/lspe_val.json'), data_root=str(tmp_path))
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    visible = np.concatenate([sample['keypoints_visible'] for sample in samples])
    assert len(samples) == 999
    assert visible[:, [0, 3, 4]].max() == 0  # nose and ears
    assert (visible[:, [1, 2, *range(5, 17)]].mean(0) > 0.7).all()
    assert sum('head_box' not in sample for sample in samples) == 180
