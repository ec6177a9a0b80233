import importlib
import json
import os
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from clip_samples import build, sample, texture
from star_pose.visualization.canvas import stack_row, titled
from star_pose.visualization.sample_sheet import draw_sample

SIZE = (400, 300)
TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tools')
METAINFO = dict(
    keypoint_colors=np.full((17, 3), [255, 0, 0]),
    skeleton_links=[(0, 1)],
    skeleton_link_colors=np.array([[0, 255, 0]]),
)
STEPS = (
    dict(type='GetBBoxCenterScale'),
    dict(type='ClipAffine', input_size=(192, 256), use_udp=True),
    dict(type='GenerateLRClip', after=[dict(type='ClipJPEG', quality=50)]),
    dict(type='PackClipInputs'),
)


def tile(sheet, index):
    """Cut the picture of tile ``index`` (192x256, 8 apart) out of the sheet's bottom."""
    return sheet[-256:, 200 * index : 200 * index + 192]


def make(box=(150, 60, 240, 200)):
    rng = np.random.default_rng(0)
    start = sample([texture(SIZE, rng) for _ in range(3)], box, rng)
    return build(*STEPS)(start)


def test_tiles_are_the_clip_and_the_truth_and_joints_lie_where_they_are_labelled():
    packed = make()
    data = packed['data_samples']
    sheet = draw_sample(packed['inputs'], data, METAINFO)
    assert sheet.shape[1] == 3 * 200 + 200 + 2 * 200 - 8
    first = packed['inputs'][0].flip(0).permute(1, 2, 0).numpy()  # BGR C h w -> h w RGB
    enlarged = np.repeat(np.repeat(first, 4, axis=0), 4, axis=1)
    np.testing.assert_array_equal(tile(sheet, 0), enlarged)
    truth = data.gt_sr.img.flip(0).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(tile(sheet, 4), truth)
    for x, y in np.rint(data.gt_instances.transformed_keypoints[0]).astype(int):
        np.testing.assert_array_equal(tile(sheet, 5)[y, x], [255, 0, 0])


def test_joints_are_drawn_between_pixels_where_they_lie_there():
    packed = make()
    data = packed['data_samples']
    data.gt_sr.img.zero_()
    data.gt_sr.mask.fill_(1)
    data.gt_instances.keypoints_visible[:] = 0
    for point in ((60.5, 80.25), (90.0, 121.75)):
        data.gt_instances.keypoints_visible[0, 0] = 1
        data.gt_instances.transformed_keypoints[0, 0] = point
        red = tile(draw_sample(packed['inputs'], data, METAINFO), 5)[..., 0].astype(float)
        y, x = np.mgrid[: red.shape[0], : red.shape[1]]
        centre = (red * x).sum() / red.sum(), (red * y).sum() / red.sum()
        np.testing.assert_allclose(centre, point, atol=0.15)


def test_unlabelled_joints_are_not_drawn():
    packed = make()
    packed['data_samples'].gt_instances.keypoints_visible[:] = 0
    sheet = draw_sample(packed['inputs'], packed['data_samples'], METAINFO)
    np.testing.assert_array_equal(tile(sheet, 4), tile(sheet, 5))


def test_pixels_outside_the_frame_are_tinted():
    packed = make(box=(0, 0, 90, 140))
    mask = packed['data_samples'].gt_sr.mask.numpy()[0].astype(bool)
    assert 0 < mask.mean() < 1
    picture = tile(draw_sample(packed['inputs'], packed['data_samples'], METAINFO), 4)
    truth = packed['data_samples'].gt_sr.img.flip(0).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(picture[mask], truth[mask])
    assert (picture[~mask][:, 0] >= 80).all()


def test_titles_leave_the_tiles_at_the_bottom():
    image = np.zeros((256, 192, 3), np.uint8)
    row = stack_row([titled(image, 'a'), titled(image, 'b')])
    np.testing.assert_array_equal(tile(row, 1), image)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_tool_writes_a_picture_of_every_sample(tmp_path, monkeypatch, split):
    rng = np.random.default_rng(1)
    images, annotations = [], []
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), texture((120, 100), rng))
        images.append(dict(id=number, file_name=f'{number}.jpg', width=120, height=100))
        joints = np.column_stack([rng.uniform(20, 80, (17, 2)), np.full(17, 2)])
        keypoints = joints.ravel().tolist()
        person = dict(id=number, image_id=number, category_id=1, bbox=[15, 15, 70, 70])
        annotations.append(dict(person, keypoints=keypoints, num_keypoints=17, iscrowd=0))
    labels = dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    head = [dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip')]
    dataset = dict(
        type='CocoStillClipDataset',
        data_root=str(tmp_path),
        ann_file='labels.json',
        data_prefix=dict(img=''),
        pipeline=[*head, dict(type='PseudoClip'), *STEPS],
    )
    Config({f'{split}_dataloader': dict(dataset=dataset)}).dump(str(tmp_path / 'config.py'))
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module('browse_clips')
    out = tmp_path / 'pictures'
    arguments = [str(tmp_path / 'config.py'), '--split', split, '--out', str(out), '--repeat', '2']
    monkeypatch.setattr(sys, 'argv', ['browse_clips.py', *arguments])
    assert tool.main() == 0
    assert sorted(p.name for p in out.iterdir()) == [f'{split}_{n:06d}.png' for n in range(3)]
    picture = cv2.imread(str(out / f'{split}_000000.png'))
    assert picture.shape[0] > 2 * 256
