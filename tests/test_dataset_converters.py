import json
import shutil

import numpy as np
import pytest
import scipy.io

from posetrack_folder import JHMDB, POSETRACK18, write_image
from star_pose.datasets import CocoStillClipDataset, DataNotFoundError, JhmdbClipDataset, LabelError
from star_pose.datasets.converters import (
    LSP_TO_POSETRACK18,
    convert_jhmdb,
    convert_lspe,
)

LSP_NAMES = [
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
    'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
    'head_bottom', 'head_top',
]  # fmt: skip


@pytest.fixture
def lspe(tmp_path):
    """200 persons in LSP-Extended's own form; person 0 lacks its head top, person 1 nearly all."""
    joints = np.zeros((14, 3, 200))
    joints[:, 0] = np.arange(20, 34)[:, None]
    joints[:, 1] = np.arange(10, 24)[:, None]
    joints[:, 2] = 1
    joints[13, :, 0] = [-5, -7, 0]
    joints[5:, 2, 1] = 0
    folder = tmp_path / 'hr-lspet'
    for index in range(200):
        write_image(folder / f'images/im{index + 1:05d}.jpg', seed=index)
    scipy.io.savemat(folder / 'joints.mat', dict(joints=joints))
    return folder


def test_lsp_joints_map_by_their_names():
    names = {i: info['name'] for i, info in POSETRACK18['keypoint_info'].items()}
    for source, target in LSP_TO_POSETRACK18.items():
        assert names[target] == LSP_NAMES[source]


def test_lspe_becomes_coco_form(lspe, tmp_path):
    counts = convert_lspe(str(lspe), str(tmp_path / 'out'))
    assert counts == {'train': 169, 'val': 20, 'between': 10, 'few joints': 1}
    train = json.loads((tmp_path / 'out/lspe_train.json').read_text())
    first, third = train['annotations'][:2]
    keypoints = np.reshape(first['keypoints'], (17, 3))
    assert keypoints[[0, 2, 3, 4]].tolist() == [[0, 0, 0]] * 4  # nose, head top, ears
    assert keypoints[16].tolist() == [20, 10, 1]  # right ankle
    assert first['num_keypoints'] == 13
    assert 'bbox_head' not in first
    # Joints 20..33 x 10..23: extent 13, a margin of 8 % of it on every side
    np.testing.assert_allclose(third['bbox'], [18.96, 8.96, 15.08, 15.08], atol=0.011)
    # Neck (32, 22), head top (33, 23): 0.6 x the square's diagonal is 0.75 x their distance
    x, y, width, height = third['bbox_head']
    np.testing.assert_allclose([x + width / 2, y + height / 2], [32.5, 22.5], atol=0.011)
    assert 0.6 * np.hypot(width, height) == pytest.approx(0.75 * 2**0.5, abs=0.011)
    assert third['image_id'] == 2  # ids are the photographs' numbers, gaps stay gaps
    dataset = CocoStillClipDataset(
        'lspe_train.json', data_root=str(tmp_path / 'out'), metainfo=POSETRACK18
    )
    assert len(dataset) == 169


def test_lspe_archive_and_folder_give_the_same_labels(lspe, tmp_path):
    archive = shutil.make_archive(str(tmp_path / 'hr-lspet'), 'zip', tmp_path, 'hr-lspet')
    convert_lspe(str(lspe), str(tmp_path / 'a'))
    convert_lspe(archive, str(tmp_path / 'b'))
    for name in ('lspe_train.json', 'lspe_val.json', 'images/im00171.jpg'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_lspe_splits_share_no_photograph_and_leave_a_gap(lspe, tmp_path):
    convert_lspe(str(lspe), str(tmp_path))
    ids = {}
    for split in ('train', 'val'):
        labels = json.loads((tmp_path / f'lspe_{split}.json').read_text())
        ids[split] = [image['id'] for image in labels['images']]
    assert max(ids['train']) == 169
    assert ids['val'] == list(range(170, 190))


def test_lspe_converter_agrees_with_the_given_conversion(shared_data, tmp_path):
    """Converting LSP joints rebuilt from converted labels gives those labels again."""
    given = json.loads((shared_data / 'lspe/lspe_val.json').read_text())
    chosen = {image['id']: image for image in given['images']}
    labels = {a['id']: a for a in given['annotations']}
    joints = np.zeros((14, 3, 190))
    for index in range(170, 190):
        write_image(
            tmp_path / f'images/im{index + 1:05d}.jpg', index,
            (chosen[index]['width'], chosen[index]['height']),
        )  # fmt: skip
        keypoints = np.reshape(labels[index]['keypoints'], (17, 3))
        joints[:, :, index] = keypoints[list(LSP_TO_POSETRACK18.values())]
    scipy.io.savemat(tmp_path / 'joints.mat', dict(joints=joints))
    counts = convert_lspe(str(tmp_path), str(tmp_path))
    made = json.loads((tmp_path / 'lspe_val.json').read_text())
    assert counts['val'] == 20
    for annotation in made['annotations']:
        reference = labels[annotation['id']]
        assert annotation['keypoints'] == reference['keypoints']
        assert annotation['num_keypoints'] == reference['num_keypoints']
        np.testing.assert_allclose(annotation['bbox'], reference['bbox'], atol=0.02)
        if 'bbox_head' in reference:
            np.testing.assert_allclose(annotation['bbox_head'], reference['bbox_head'], atol=0.02)


def test_lsp_itself_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / 'joints.mat', dict(joints=np.zeros((3, 14, 2000))))
    with pytest.raises(LabelError, match=r'must be 14 x 3 x N .* got \(3, 14, 2000\)'):
        convert_lspe(str(tmp_path), str(tmp_path / 'out'))


def test_missing_archive_says_what_is_expected(tmp_path):
    with pytest.raises(DataNotFoundError, match=r'joints\.mat'):
        convert_lspe(str(tmp_path), str(tmp_path / 'out'))


@pytest.fixture
def jhmdb(tmp_path):
    """Two clips of three frames; the second joint of the first clip is outside the image."""
    root = tmp_path / 'JHMDB'
    for number, clip in enumerate(('clip_a', 'clip_b')):
        positions = np.zeros((2, 15, 3))
        positions[0] = 5 + np.arange(15)[:, None] + number
        positions[1] = 8 + np.arange(15)[:, None]
        if number == 0:
            positions[0, 1] = 100
        mask = np.zeros((48, 64, 3), dtype=np.uint8)
        mask[9:40, 4:30] = 1
        for part, name, value in (
            ('joint_positions', 'pos_img', positions),
            ('puppet_mask', 'part_mask', mask),
        ):
            (root / part / 'jump' / clip).mkdir(parents=True)
            scipy.io.savemat(root / part / 'jump' / clip / f'{part}.mat', {name: value})
        for frame in range(1, 4):
            write_image(root / f'Rename_Images/jump/{clip}/{frame:05d}.png', seed=frame)
    (root / 'sub_splits').mkdir()
    (root / 'sub_splits/jump_test_split_1.txt').write_text('clip_a.avi 1\nclip_b.avi 2\n')
    (root / 'sub_splits/jump_test_split_2.txt').write_text('clip_a.avi 2 \nclip_b.avi 0\n')
    return root


def test_jhmdb_becomes_files_that_the_data_set_reads(jhmdb):
    counts = convert_jhmdb(str(jhmdb), str(jhmdb))
    assert counts == {'Sub1_test.json': 1, 'Sub1_train.json': 1, 'Sub2_test.json': 1}
    dataset = JhmdbClipDataset(
        'annotations/Sub1_train.json',
        data_root=str(jhmdb),
        data_prefix=dict(img='Rename_Images/'),
        metainfo=JHMDB,
    )
    sample = dataset.get_data_info(0)
    assert len(dataset) == 3
    assert len(sample['video_frames']) == 3
    # Matlab's column 5, row 10 (from 1) are pixel column 4, row 9; the mask is 26 x 31 px
    np.testing.assert_allclose(sample['bbox'], [[4, 9, 30, 40]])
    np.testing.assert_allclose(sample['keypoints'][0, 2], [6, 9])
    assert sample['keypoints_visible'][0].tolist() == [1, 0] + [1] * 13


def test_jhmdb_clip_keeps_its_ids_in_all_splits(jhmdb):
    convert_jhmdb(str(jhmdb), str(jhmdb))
    first = json.loads((jhmdb / 'annotations/Sub1_train.json').read_text())
    second = json.loads((jhmdb / 'annotations/Sub2_test.json').read_text())
    assert first['images'] == second['images']


def test_incomplete_jhmdb_release_names_the_missing_part(jhmdb):
    shutil.rmtree(jhmdb / 'puppet_mask/jump/clip_b')
    with pytest.raises(DataNotFoundError, match=r'puppet_mask not found: .*clip_b'):
        convert_jhmdb(str(jhmdb), str(jhmdb))
    shutil.rmtree(jhmdb / 'puppet_mask')
    with pytest.raises(DataNotFoundError, match=r'folder not found: .*puppet_mask'):
        convert_jhmdb(str(jhmdb), str(jhmdb))
