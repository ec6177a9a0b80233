"""The video tool: what it writes, what it refuses, and what it leaves when it is stopped."""

import csv
import json
import os

import cv2
import numpy as np
import pytest

import posetrack_builders as posetrack
from blob_videos import (
    FRAMES,
    INFO,
    RATE,
    blob_boxes,
    blob_centre,
    clip_config,
    heatmap_config,
    make_checkpoint,
    make_frame,
    save_frames,
)
from star_pose.apis import pose_run, video_outputs
from star_pose.apis.box_sources import FileBoxes
from star_pose.apis.frame_sources import open_source
from star_pose.apis.pose_records import posetrack_joints, read_journal, write_format
from star_pose.apis.video_writer import VideoWriter, video_rate
from star_pose.datasets import LabelError, VideoClipDataset
from star_pose.datasets.frames.clip_reader import ClipReader
from star_pose.datasets.frames.video_file import VideoFile
from star_pose.posetrack.joints import KEYPOINTS
from tiny_runs import run_tool


@pytest.fixture
def folder(tmp_path):
    """A film, its boxes, a config and weights."""
    with VideoWriter(tmp_path / 'blobs.mp4', rate=RATE, crf=8) as writer:
        for frame in range(FRAMES):
            writer.write(make_frame(frame))
    boxes = [
        {'image_id': frame, 'category_id': 1, 'bbox': [*box[:2], *(box[2:] - box[:2])]}
        for frame in range(FRAMES)
        for box in blob_boxes(frame)
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    clip_config().dump(tmp_path / 'clip.py')
    heatmap_config().dump(tmp_path / 'heatmap.py')
    make_checkpoint(tmp_path)
    return tmp_path


def infer(folder, *options, source='blobs.mp4', config='heatmap.py', code=0):
    line = [folder / source] if isinstance(source, str) else source
    common = ['--device', 'cpu', '--backend', 'torch']
    with pytest.raises(SystemExit) as stop:
        run_tool('infer_video', *line, folder / config, folder / 'blob.pth', *common, *options)
    assert (stop.value.code or 0) == code
    return folder


def with_boxes(folder, *options, **kwargs):
    return infer(folder, '--boxes', folder / 'boxes.json', *options, **kwargs)


def test_results_lie_beside_the_video(folder, capsys):
    with_boxes(folder, '--profile')
    out = capsys.readouterr().out
    assert f'blobs.mp4: {FRAMES} frames, {2 * FRAMES} poses, 2 tracks; boxes: file boxes' in out
    assert 'network' in out
    content = json.loads((folder / 'blobs.poses.json').read_text())
    assert content['info']['boxes'] == 'file boxes.json, score >= 0.3'
    assert [entry['track_id'] for entry in content['annotations']] == [0, 1] * FRAMES
    assert [image['file_name'] for image in content['images']][-1] == f'blobs.mp4#{FRAMES - 1}'
    assert [image['time'] for image in content['images']] == pytest.approx(
        np.arange(FRAMES) / RATE, abs=1e-5
    )
    points = np.array(content['annotations'][5]['keypoints']).reshape(3, 3)
    assert np.abs(points[1, :2] - blob_centre(1, 2)).max() < 3
    drawn = VideoFile(str(folder / 'blobs.poses.mp4'))
    assert len(drawn) == FRAMES
    assert np.abs(make_frame(0).astype(int) - drawn.read(0)).max() > 100, 'people are drawn'
    assert not (folder / 'blobs.poses.jsonl').exists()


def test_nothing_that_exists_is_written_over(folder, capsys):
    (folder / 'blobs.poses.json').write_text('mine')
    with_boxes(folder, code=1)
    assert 'blobs.poses.json exists; --overwrite' in capsys.readouterr().err
    assert (folder / 'blobs.poses.json').read_text() == 'mine'
    with_boxes(folder, '--overwrite')
    assert json.loads((folder / 'blobs.poses.json').read_text())['images']


@pytest.mark.parametrize('option', ['--out-video', '--out-json'])
def test_no_output_is_an_input(folder, option, capsys):
    before = (folder / 'blobs.mp4').read_bytes()
    with_boxes(folder, option, folder / 'blobs.mp4', '--overwrite', code=1)
    assert 'is an input' in capsys.readouterr().err
    assert (folder / 'blobs.mp4').read_bytes() == before


def test_outputs_are_tried_before_a_model_is_loaded(folder, capsys):
    (folder / 'file').write_text('')
    for option, value, said in (
        ('--out-json', folder, 'is a folder'),
        ('--out-json', folder / 'file' / 'poses.json', 'cannot be written'),
        ('--out-video', folder / 'drawn.wmv', 'must end in one of .mp4'),
        ('--out-video', '/dev/full/drawn.mp4', 'cannot be written'),
    ):
        infer(folder, '--box', '1', '1', '50', '90', option, value, config='none.py', code=1)
        assert said in capsys.readouterr().err


def test_every_format_comes_back(folder):
    with_boxes(folder, '--format', 'coco', 'csv', 'npz', 'mot', '--no-video')
    coco = json.loads((folder / 'blobs.poses.json').read_text())
    points = np.array([a['keypoints'] for a in coco['annotations']]).reshape(-1, 3, 3)[..., :2]

    with open(folder / 'blobs.poses.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [int(row['frame']) for row in rows] == [n for n in range(FRAMES) for _ in range(2)]
    found = [[[float(row[f'{name}_{axis}']) for axis in 'xy'] for name in
              ('before', 'now', 'after')] for row in rows]  # fmt: skip
    np.testing.assert_allclose(found, points)

    arrays = np.load(folder / 'blobs.poses.npz')
    np.testing.assert_allclose(arrays['keypoints'], points)
    assert arrays['track_ids'].tolist() == [0, 1] * FRAMES
    np.testing.assert_allclose(arrays['times'], np.arange(FRAMES) / RATE, atol=1e-5)

    mot = np.loadtxt(folder / 'blobs.poses.mot.txt', delimiter=',')
    assert mot[:, 0].tolist() == [n + 1 for n in range(FRAMES) for _ in range(2)]
    boxes = np.concatenate([blob_boxes(frame) for frame in range(FRAMES)])
    np.testing.assert_allclose(mot[:, 2:4], boxes[:, :2], atol=0.01)
    np.testing.assert_allclose(mot[:, 4:6], boxes[:, 2:] - boxes[:, :2], atol=0.01)
    assert not (folder / 'blobs.poses.mp4').exists()


def test_poses_come_back_as_boxes_and_as_a_data_set(folder):
    save_frames(folder / 'frames')
    (folder / 'blobs.mp4').unlink()
    with_boxes(folder, '--no-video', '--no-smoothing', source='frames', config='clip.py')
    path = str(folder / 'frames.poses.json')
    boxes = FileBoxes(path, open_source(str(folder / 'frames')).names())
    for index in range(FRAMES):
        found, scores = boxes(index, None)
        assert np.allclose(found, blob_boxes(index), atol=0.02)
        assert scores.tolist() == [1, 1]
    dataset = VideoClipDataset(
        ann_file=path, data_prefix=dict(img=str(folder / 'frames')), metainfo=INFO, pipeline=[]
    )
    assert len(dataset) == 2 * FRAMES
    assert np.abs(dataset[2]['keypoints'][0, 1] - blob_centre(0, 1)).max() < 1
    assert dataset[3]['track_id'] == 1


def test_coco_joints_become_posetracks():
    names = ['nose', 'left_eye', *(name for name in KEYPOINTS[3:])]
    points = {name: [10.0 * n, 5.0 * n, 0.9] for n, name in enumerate(names)}
    points.update(nose=[50, 20, 0.8], left_shoulder=[60, 40, 0.6], right_shoulder=[40, 40, 0.4])
    found = posetrack_joints(names, [points[name] for name in names])
    assert found[0] == [50, 20, 0.8]
    assert found[1] == [50, 30, 0.5], 'the chin, halfway to the shoulders'
    assert found[2] == [50, 5, 0.5], 'the crown'
    assert found[3:] == [points[name] for name in KEYPOINTS[3:]]
    with pytest.raises(LabelError, match='the model has no nose'):
        posetrack_joints(['now'], [[1, 2, 3]])


def test_poses_in_posetracks_form_are_read_by_its_evaluation(tmp_path):
    people = [posetrack.pose(100, 100), posetrack.pose(400, 100)]
    labels = [
        posetrack.label(frame, points, track)
        for frame in range(3)
        for track, points in enumerate(people)
    ]
    posetrack.write(tmp_path / 'gt', {posetrack.VIDEO: posetrack.document(labels, 3)})
    order = [16, *range(16)]  # the model has its own order
    names = [KEYPOINTS[joint] for joint in order]
    found = [np.array(points).reshape(17, 3)[order] for points in people]
    found[1][names.index('left_knee')] = 900, 900, 0.5  # one of two, and the less sure one
    records = [
        {
            'frame': frame,
            'time': frame / 25,
            'name': f'{frame:06d}.jpg',
            'size': [640, 480],
            'people': [
                {
                    'track_id': 7 + track,
                    'box': [0, 0, 10, 10],
                    'box_score': 1.0,
                    'keypoints': [[x, y, 0.9 * score] for x, y, score in points],
                }
                for track, points in enumerate(found)
            ],
        }
        for frame in range(3)
    ]
    header = {'video': posetrack.VIDEO, 'joints': names, 'skeleton': [], 'info': {}}
    path = tmp_path / 'found' / f'{posetrack.VIDEO}.json'
    write_format('posetrack', str(path), header, records)
    out = tmp_path / 'out.json'
    run_tool('eval_posetrack', tmp_path / 'gt', path.parent, '--tracking', '--out', out)
    result = json.loads(out.read_text())
    scores = dict(zip(result['joint_order'], result['ap_per_joint'], strict=False))
    assert scores.pop('left_knee') == pytest.approx(50)
    assert set(scores.values()) == {100}
    mota = dict(zip(result['joint_order'], result['tracking']['mota'], strict=False))
    assert mota['left_ankle'] == 100


class Stop(Exception):
    """What ends a run in a test."""


def stop_at(monkeypatch, frame: int, error: BaseException) -> None:
    add = video_outputs.VideoOutputs.add

    def stopping(self, result):
        if result.index == frame:
            raise error
        add(self, result)

    monkeypatch.setattr(video_outputs.VideoOutputs, 'add', stopping)


@pytest.mark.parametrize(
    ('error', 'code'),
    [(KeyboardInterrupt(), 130), (OSError(28, 'No space left on device'), 1)],
    ids=['ctrl-c', 'full disk'],
)
def test_a_run_that_ends_early_leaves_whole_files_and_goes_on(folder, monkeypatch, error, code):
    whole = folder / 'whole.json'
    with_boxes(folder, '--out-json', whole, '--no-video')
    with monkeypatch.context() as patch:
        stop_at(patch, 4, error)
        with_boxes(folder, code=code)
    content = json.loads((folder / 'blobs.poses.json').read_text())
    assert [image['id'] for image in content['images']] == [0, 1, 2, 3]
    assert len(VideoFile(str(folder / 'blobs.poses.mp4'))) == 4
    with open(folder / 'blobs.poses.jsonl', 'a') as file:
        file.write('{"frame": 4, "ti')  # the line that the power cut ended

    with_boxes(folder, '--resume')
    resumed = json.loads((folder / 'blobs.poses.json').read_text())
    wanted = json.loads(whole.read_text())
    assert resumed['images'] == wanted['images']
    for ours, theirs in zip(resumed['annotations'], wanted['annotations'], strict=True):
        assert ours['track_id'] == theirs['track_id']
        np.testing.assert_allclose(ours['keypoints'], theirs['keypoints'], atol=0.5)
    assert len(VideoFile(str(folder / 'blobs.poses.mp4'))) == FRAMES
    assert not (folder / 'blobs.poses.jsonl').exists()
    with_boxes(folder, '--resume')  # done already


def test_an_error_in_the_work_keeps_what_was_found(folder, monkeypatch):
    finish = pose_run.PoseRun._finish

    def failing(self, pending):
        if pending.frame.index == 3:
            raise Stop
        return finish(self, pending)

    monkeypatch.setattr(pose_run.PoseRun, '_finish', failing)
    with pytest.raises(Stop):
        run_tool('infer_video', folder / 'blobs.mp4', folder / 'heatmap.py', folder / 'blob.pth',
                 '--whole-frame', '--backend', 'torch', '--device', 'cpu')  # fmt: skip
    assert len(json.loads((folder / 'blobs.poses.json').read_text())['images']) == 3
    assert len(read_journal(str(folder / 'blobs.poses.jsonl'))[1]) == 3


def test_frames_that_cannot_be_read_are_skipped_and_the_exit_code_says_so(folder, capsys):
    save_frames(folder / 'frames')
    (folder / 'frames' / 'f9.png').write_bytes(b'')
    with_boxes(folder, '--no-video', source='frames', code=3)
    assert '1 frames could not be read' in capsys.readouterr().err
    content = json.loads((folder / 'frames.poses.json').read_text())
    assert [image['id'] for image in content['images']] == [0, 1, 3, 4, 5, 6]


def test_several_videos_are_shared_between_processes(folder, monkeypatch):
    (folder / 'other.mp4').write_bytes((folder / 'blobs.mp4').read_bytes())
    sources = [folder / 'blobs.mp4', folder / 'other.mp4']
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    infer(folder, '--whole-frame', '--no-video', source=sources)
    assert (folder / 'other.poses.json').exists()
    assert not (folder / 'blobs.poses.json').exists()


def test_a_picture_becomes_a_picture(folder):
    cv2.imwrite(str(folder / 'still.png'), make_frame(0))
    infer(folder, '--box', '26', '28', '74', '92', source='still.png')
    drawn = cv2.imread(str(folder / 'still.poses.png'))
    assert drawn.shape == make_frame(0).shape
    assert np.abs(drawn.astype(int) - make_frame(0)).max() > 100


def test_wrong_command_lines_are_told(folder, capsys):
    for options, said in (
        (('--frames', '0'), '--frames must be at least 1'),
        (('--rate', '0'), '--rate must lie between'),
        (('--kpt-thr', '1.5'), '--kpt-thr must lie between'),
        (('--batch-size', '0'), '--batch-size must be at least 1'),
        (('--tracker', 'oks_weight=3'), 'oks_weight=3 is outside'),
        (('--tracker', 'speed=3'), 'speed'),
        (('--model', 'movenet-thunder'), 'not both'),
        (('--no-video', '--out-video', 'x.mp4'), 'contradict'),
    ):
        infer(folder, *options, code=2)
        assert said in capsys.readouterr().err
    for options, said in (
        (('--box', '5', '2', '3', '4'), 'is empty'),
        (('--box', 'nan', '0', '10', '10'), 'not finite'),
        (('--box', '0', '0', 'inf', '10'), 'not finite'),
        (('--box', '100', '60', '100.01', '60.01'), 'smaller than a pixel'),
        (('--box', '1000', '1000', '1040', '1080'), 'lies outside frame 0, which is 240x160'),
        (('--whole-frame', '--device', 'gpu'), 'device gpu cannot be used'),
    ):
        infer(folder, '--no-video', *options, '--overwrite', code=1)
        assert said in capsys.readouterr().err, options


def test_a_network_of_one_model_is_not_for_the_two_that_are_chosen_by_size(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        run_tool('infer_video', folder / 'blobs.mp4', '--network', 'int8.onnx')
    assert ended.value.code == 2
    assert 'name it by --model' in capsys.readouterr().err


def test_written_video_has_the_rate_the_frames_and_their_times(tmp_path):
    frames = [np.full((31, 45, 3), value, np.uint8) for value in (0, 100, 250)]
    with VideoWriter(tmp_path / 'v.mp4', rate=12.5) as writer:
        for frame in frames:
            writer.write(frame)
        assert not (tmp_path / 'v.mp4').exists(), 'it appears when it is whole'
    assert float(video_rate(str(tmp_path / 'v.mp4'))) == 12.5
    read = [ClipReader().read(f'{tmp_path}/v.mp4#{index}') for index in range(3)]
    assert [image.shape for image in read] == [(32, 46, 3)] * 3
    for image, value in zip(read, (0, 100, 250), strict=True):
        assert abs(int(image.mean()) - value) < 4
    with VideoWriter(tmp_path / 't.mkv', rate=25) as writer:
        for frame, time in zip(frames, (0, 0.1, 0.5), strict=True):
            writer.write(frame, time)
    assert VideoFile(str(tmp_path / 't.mkv')).times == pytest.approx((0, 0.1, 0.5))
    with VideoWriter(tmp_path / 'w.mp4') as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(LabelError, match=r'\(3, 4, 3\) follows frames of \(8, 8, 3\)'):
            writer.write(np.zeros((3, 4, 3), np.uint8))
    for suffix, rate in (('.wmv', 25), ('.mp4', -5), ('.mp4', 65536), ('.txt', 25)):
        with pytest.raises(LabelError):
            VideoWriter(tmp_path / f'x{suffix}', rate)
    assert sorted(os.listdir(tmp_path)) == ['t.mkv', 'v.mp4', 'w.mp4']
