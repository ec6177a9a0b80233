import pathlib

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from posetrack_folder import COCO, make_video, person, write_image, write_json
from star_pose.datasets import VideoClipDataset


def write_labels(root, names):
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    annotations = [dict(person(i, 0), id=i) for i in range(len(names))]
    write_json(root / 'labels.json', dict(images=images, annotations=annotations, categories=[]))


def load(root, **kwargs):
    return VideoClipDataset('labels.json', data_root=str(root), metainfo=COCO, **kwargs)


def numbers(sample):
    return [int(pathlib.Path(f).stem.split('_')[-1]) for f in sample['video_frames']]


def test_numbering_with_a_step_has_no_missing_frames(tmp_path):
    for number in (5, 10, 15, 20):
        write_image(tmp_path / f'match/frame_{number}.png', seed=number)
    write_labels(tmp_path, ['match/frame_10.png'])
    sample = load(tmp_path).get_data_info(0)
    assert numbers(sample) == [5, 10, 15, 20]
    assert sample['frame_index'] == 1
    assert sample['frame_id'] == 10


def test_files_of_one_folder_with_another_name_are_another_video(tmp_path):
    for prefix in ('left', 'right'):
        for number in range(3):
            write_image(tmp_path / f'match/{prefix}_{number}.png', seed=number)
    write_labels(tmp_path, ['match/left_1.png', 'match/right_2.png'])
    dataset = load(tmp_path)
    assert dataset.counts['sequences'] == 2
    frames = [pathlib.Path(f).name for f in dataset.get_data_info(1)['video_frames']]
    assert frames == ['right_0.png', 'right_1.png', 'right_2.png']
    assert dataset.get_data_info(0)['vid_id'] != dataset.get_data_info(1)['vid_id']


def test_frames_of_a_video_file(tmp_path):
    make_video(tmp_path / 'v.mp4', frames=6)
    write_labels(tmp_path, ['v.mp4#4', 'v.mp4#1'])
    DefaultScope.get_instance('video_clip', scope_name='mmpose')
    pipeline = [dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip')]
    dataset = load(tmp_path, pipeline=pipeline)
    sample = dataset[0]
    path = str(tmp_path / 'v.mp4')
    assert sample['img_path'] == f'{path}#4'
    assert sample['frame_paths'] == [f'{path}#3', f'{path}#4', f'{path}#5']
    # Frame f was written with the grey level 10 f; within half a step it is frame f
    levels = [float(frame.mean()) for frame in sample['img']]
    np.testing.assert_allclose(levels, [30, 40, 50], atol=4.5)
    assert dataset.counts['sequences'] == 1


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_read_a_video_that_the_main_process_has_open(tmp_path, workers):
    make_video(tmp_path / 'v.mp4', frames=6)
    write_labels(tmp_path, ['v.mp4#4', 'v.mp4#1'])
    DefaultScope.get_instance('video_clip', scope_name='mmpose')
    pipeline = [dict(type='SampleClipFrames', num_frames=1), dict(type='LoadClip')]
    dataset = load(tmp_path, pipeline=pipeline)
    expected = [sample['img'][0] for sample in (dataset[0], dataset[1])]
    loader = DataLoader(
        dataset, num_workers=workers, collate_fn=lambda batch: batch[0]['img'][0], timeout=60
    )
    for frame, reference in zip(loader, expected, strict=True):
        np.testing.assert_array_equal(frame, reference)


def test_videos_and_image_folders_mix_in_one_file(tmp_path):
    make_video(tmp_path / 'v.mp4', frames=3)
    write_image(tmp_path / 'own/0.png', seed=0)
    write_labels(tmp_path, ['own/0.png', 'v.mp4#2'])
    dataset = load(tmp_path)
    assert [len(dataset.get_data_info(i)['video_frames']) for i in range(2)] == [1, 3]


def test_handball_sequence(shared_data):
    dataset = VideoClipDataset('handball_coco.json', data_root=str(shared_data / 'handball'))
    sample = dataset.get_data_info(7)
    assert len(dataset) == 40
    assert numbers(sample) == list(range(14, 54))
    assert sample['frame_index'] == 7
    assert sample['track_id'] == 18
    assert sample['flip_indices'][1] == 2  # COCO: left eye, right eye
