"""Videos end to end with a model whose answer is known: the centroid of a bright blob."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.apis import inference_topdown
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from star_pose.apis.box_sources import DetectorBoxes, FileBoxes, FixedBoxes, WholeFrameBoxes
from star_pose.apis.pose_file import PoseDocument
from star_pose.apis.video_inferencer import VideoInferencer, list_frames
from star_pose.apis.video_writer import VideoWriter, video_rate
from star_pose.datasets import DataNotFoundError, LabelError, VideoClipDataset
from star_pose.datasets.frames.clip_reader import ClipReader
from tiny_runs import run_tool

NAMES = ('before', 'now', 'after')
INFO = dict(
    dataset_name='blob',
    keypoint_info={
        k: dict(name=name, id=k, color=[255, 0, 0], type='', swap='')
        for k, name in enumerate(NAMES)
    },
    skeleton_info={0: dict(link=('before', 'now'), id=0, color=[0, 255, 0])},
    joint_weights=[1.0] * 3,
    sigmas=[0.08] * 3,
)
SIZE, FRAMES = (240, 160), 7  # w, h


@MODELS.register_module(force=True)
class ClipThrough(torch.nn.Module):
    """A backbone that passes the clip on."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return (inputs,)


@MODELS.register_module(force=True)
class CentroidHead(torch.nn.Module):
    """Joint k is the centroid of frame k of the clip, in pixels of the HR crop."""

    def predict(self, feats, data_samples, test_cfg):
        weights = feats[0].mean(2).clamp(min=60) - 60  # (N, T, h, w), the background is dark
        h, w = weights.shape[-2:]
        total = weights.sum((-2, -1)).clamp(min=1e-6)
        x = (weights * torch.arange(w)).sum((-2, -1)) / total
        y = (weights * torch.arange(h)[:, None]).sum((-2, -1)) / total
        points = (torch.stack([x, y], -1) + 0.5) * 4 - 0.5  # (N, T, 2)
        return [
            InstanceData(keypoints=p[None].numpy(), keypoint_scores=np.ones((1, len(p))))
            for p in points
        ]


def make_config():
    pipeline = [
        dict(type='SampleClipFrames', num_frames=3),
        dict(type='LoadClip'),
        dict(type='GetBBoxCenterScale'),
        dict(type='ClipAffine', input_size=(192, 256)),
        dict(type='GenerateLRClip', scale=4),
        dict(type='PackClipInputs'),
    ]
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseClipDataPreprocessor'),
                backbone=dict(type='ClipThrough'),
                head=dict(type='CentroidHead'),
            ),
            test_dataloader=dict(dataset=dict(type='VideoClipDataset', pipeline=pipeline)),
        )
    )


def blob_centre(person, frame):
    return np.array([50 + 110 * person + 4 * frame, 60 + 3 * frame * (1 - 2 * person)], float)


def blob_boxes(frame):
    centres = np.array([blob_centre(person, frame) for person in range(2)])
    half = np.array([24, 32])
    return np.concatenate([centres - half, centres + half], axis=1)


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """A folder of frames with two blobs, and the same as a video file."""
    root = tmp_path_factory.mktemp('blobs')
    folder = root / 'frames'
    folder.mkdir()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    with VideoWriter(root / 'blobs.mp4', rate=12, crf=8) as writer:
        for frame in range(FRAMES):
            image = np.full((SIZE[1], SIZE[0]), 30.0)
            for person in range(2):
                x, y = blob_centre(person, frame)
                image += 220 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6**2))
            image = np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
            cv2.imwrite(str(folder / f'f{frame + 7}.png'), image)  # f7 ... f13: numeric order
            writer.write(image)
    return folder


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'centroid.pth'
    meta = dict(dataset_meta=parse_pose_metainfo(INFO))
    torch.save(dict(state_dict={'backbone.unused': torch.zeros(1)}, meta=meta), path)
    return str(path)


@pytest.fixture
def inferencer(checkpoint):
    return VideoInferencer(make_config(), checkpoint, tracker=dict(type='PoseTracker'))


def moving_boxes(index, image):
    return blob_boxes(index), np.ones(2)


def test_joints_of_the_neighbouring_frames_land_where_they_are(video, inferencer):
    results = list(inferencer(list_frames(video), moving_boxes))
    assert [result.index for result in results] == list(range(FRAMES))
    for result in results:
        t = result.index
        times = np.clip([t - 1, t, t + 1], 0, FRAMES - 1)
        expected = [[blob_centre(person, frame) for frame in times] for person in range(2)]
        assert np.abs(result.instances.keypoints - expected).max() < 1


def test_ids_stay_with_the_people_in_any_order(video, inferencer):
    def shuffled(index, image):
        boxes = blob_boxes(index)
        return (boxes if index % 2 else boxes[::-1]), np.ones(2)

    ids = [
        result.instances.track_ids.tolist() for result in inferencer(list_frames(video), shuffled)
    ]
    assert ids == [[0, 1], [1, 0]] * 3 + [[0, 1]]


def test_video_file_gives_what_its_frames_give(video, inferencer):
    from_folder = list(inferencer(list_frames(video), moving_boxes))
    from_file = list(inferencer(list_frames(video.parent / 'blobs.mp4'), moving_boxes))
    assert len(from_file) == FRAMES
    for a, b in zip(from_folder, from_file, strict=True):
        assert np.abs(a.instances.keypoints - b.instances.keypoints).max() < 0.5


def test_a_still_gives_what_mmpose_gives(video, inferencer):
    frame = list_frames(video)[3]
    (result,) = inferencer([frame], moving_boxes)
    boxes = blob_boxes(0)
    theirs = inference_topdown(inferencer.model, ClipReader().read(frame), boxes)
    for person, sample in enumerate(theirs):
        ours = result.instances.keypoints[person]
        assert np.allclose(ours, sample.pred_instances.keypoints[0], atol=1e-4)


def test_batches_of_people_change_nothing(video, checkpoint):
    frames = list_frames(video)
    one = VideoInferencer(make_config(), checkpoint, batch_size=1)
    many = VideoInferencer(make_config(), checkpoint, batch_size=32)
    for a, b in zip(one(frames, moving_boxes, 3), many(frames, moving_boxes, 3), strict=True):
        assert np.array_equal(a.instances.keypoints, b.instances.keypoints)
        assert a.instances.track_ids.tolist() == [-1, -1]


def test_a_frame_without_boxes_has_no_people(video, inferencer):
    def none(index, image):
        return np.zeros((0, 4)), np.zeros(0)

    results = list(inferencer(list_frames(video), none, 2))
    assert [len(result.instances.keypoints) for result in results] == [0, 0]


def test_document_comes_back_as_boxes_and_as_a_data_set(video, inferencer, tmp_path):
    frames = list_frames(video)
    document = PoseDocument(inferencer.dataset_meta, dict(boxes='test'), 'frames')
    for result in inferencer(frames, moving_boxes):
        document.add(result)
    path = tmp_path / 'poses.json'
    path.write_text(json.dumps(document.as_dict()))
    boxes = FileBoxes(str(path), frames)
    for index in range(FRAMES):
        found, scores = boxes(index, None)
        assert np.allclose(found, blob_boxes(index), atol=0.02)
        assert scores.tolist() == [1, 1]
    dataset = VideoClipDataset(
        ann_file=str(path), data_prefix=dict(img=str(video)), metainfo=INFO, pipeline=[]
    )
    assert len(dataset) == 2 * FRAMES
    assert np.abs(dataset[2]['keypoints'][0, 1] - blob_centre(0, 1)).max() < 1
    assert dataset[3]['track_id'] == 1


def test_boxes_from_a_detection_list_and_their_scores(tmp_path):
    path = tmp_path / 'detections.json'
    path.write_text(
        json.dumps(
            [
                {'image_id': 1, 'category_id': 1, 'bbox': [10, 20, 30, 40], 'score': 0.9},
                {'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.2},
            ]
        )
    )
    boxes = FileBoxes(str(path), ['a/v.mp4#0', 'a/v.mp4#1'])
    assert boxes(0, None)[0].shape == (0, 4)
    assert boxes(1, None)[0].tolist() == [[10, 20, 40, 60]]
    assert boxes(1, None)[1].tolist() == [0.9]


def test_boxes_of_another_video_or_category_are_not_taken(tmp_path):
    content = {
        'categories': [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'dog'}],
        'images': [{'id': 5, 'file_name': 'v.mp4#0'}, {'id': 6, 'file_name': 'other.mp4#0'}],
        'annotations': [
            {'image_id': 5, 'category_id': 1, 'bbox': [0, 0, 5, 5]},
            {'image_id': 5, 'category_id': 2, 'bbox': [0, 0, 6, 6]},
            {'image_id': 6, 'category_id': 1, 'bbox': [0, 0, 7, 7]},
        ],
    }
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(content))
    assert FileBoxes(str(path), ['v.mp4#0'])(0, None)[0].tolist() == [[0, 0, 5, 5]]
    with pytest.raises(LabelError, match='has no box with a score'):
        FileBoxes(str(path), ['third.mp4#0'])


def test_frames_of_another_folder_with_the_same_names_are_not_taken(tmp_path):
    """As in a merged PoseTrack file, where every video has a 000000.jpg."""
    names = ['images/val/walk/000000.jpg', 'images/val/run/000000.jpg', '000001.jpg']
    content = {
        'images': [{'id': index, 'file_name': name} for index, name in enumerate(names)],
        'annotations': [{'image_id': index, 'bbox': [0, 0, 5 + index, 9]} for index in range(3)],
    }
    path = tmp_path / 'merged.json'
    path.write_text(json.dumps(content))
    boxes = FileBoxes(str(path), ['data/run/000000.jpg', 'data/run/000001.jpg'])
    assert boxes(0, None)[0].tolist() == [[0, 0, 6, 9]]
    assert boxes(1, None)[0].tolist() == [[0, 0, 7, 9]]


def test_whole_frame_and_fixed_boxes():
    image = np.zeros((30, 40, 3), np.uint8)
    assert WholeFrameBoxes()(0, image)[0].tolist() == [[0, 0, 40, 30]]
    assert FixedBoxes([[1, 2, 3, 4]])(9, image)[0].tolist() == [[1, 2, 3, 4]]
    with pytest.raises(ValueError, match='is empty'):
        FixedBoxes([[5, 2, 3, 4]])


def make_detector_config(path):
    """A detector whose people are what is brighter than 128, and whose class 1 is the frame."""
    from mmdet.models.detectors.base import BaseDetector
    from mmdet.registry import MODELS as DETECTORS
    from mmengine.structures import InstanceData as Found

    @DETECTORS.register_module(name='BrightnessDetector', force=True)
    class BrightnessDetector(BaseDetector):
        def __init__(self, backbone, data_preprocessor=None):
            super().__init__(data_preprocessor=data_preprocessor)

        def extract_feat(self, inputs):
            return inputs

        def loss(self, inputs, samples):
            return {}

        def _forward(self, inputs, samples=None):
            return inputs

        def predict(self, inputs, samples):
            rows, columns = torch.nonzero(inputs[0].mean(0) > 128, as_tuple=True)
            sides = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            h, w = inputs.shape[-2:]
            boxes = torch.tensor([[float(side) for side in sides], [0, 0, w, h], [0, 0, 1, 1]])
            found = Found(
                bboxes=boxes, scores=torch.tensor([0.8, 0.9, 0.1]), labels=torch.tensor([0, 1, 0])
            )
            return self.add_pred_to_datasample(samples, [found])

    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=SIZE, keep_ratio=True),
        dict(type='PackDetInputs', meta_keys=('img_shape', 'ori_shape', 'scale_factor')),
    ]
    Config(
        dict(
            default_scope='mmdet',
            model=dict(
                type='BrightnessDetector',
                backbone=dict(),
                data_preprocessor=dict(type='DetDataPreprocessor'),
            ),
            test_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=pipeline)),
        )
    ).dump(path)


@pytest.mark.slow
def test_detector_gives_boxes_of_people_above_the_threshold(tmp_path, video, checkpoint):
    make_detector_config(tmp_path / 'bright.py')
    boxes = DetectorBoxes(str(tmp_path / 'bright.py'), None)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    image[30:90, 50:80] = 255
    found, scores = boxes(0, image)
    assert found.tolist() == [[50, 30, 80, 90]]
    assert scores == pytest.approx(0.8)
    inferencer = VideoInferencer(make_config(), checkpoint)
    (result,) = inferencer(list_frames(video)[:1], boxes)
    assert len(result.instances.keypoints) == 1
    with pytest.raises(DataNotFoundError, match='detector config'):
        DetectorBoxes(str(tmp_path / 'none.py'), None)


def test_tool_writes_the_drawn_video_and_the_poses(tmp_path, video, checkpoint, capsys):
    make_config().dump(tmp_path / 'config.py')
    boxes = [
        {'image_id': frame, 'category_id': 1, 'bbox': [*box[:2], *(box[2:] - box[:2])]}
        for frame in range(FRAMES)
        for box in blob_boxes(frame)
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    run_tool(
        'infer_video', video.parent / 'blobs.mp4', tmp_path / 'config.py', checkpoint,
        '--boxes', tmp_path / 'boxes.json', '--device', 'cpu', '--frames', '4',
        '--out-video', tmp_path / 'new' / 'out.mp4', '--out-json', tmp_path / 'out.json',
        '--tracker', 'max_lost=3',
    )  # fmt: skip
    assert '4 frames, 8 poses, 2 tracks; boxes: file boxes.json' in capsys.readouterr().out
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['info']['tracker'] == {'type': 'PoseTracker', 'max_lost': 3}
    assert (content['info']['num_frames'], content['info']['rate']) == (3, 12)
    assert [entry['track_id'] for entry in content['annotations']] == [0, 1] * 4
    assert [image['file_name'] for image in content['images']][-1] == 'blobs.mp4#3'
    points = np.array(content['annotations'][5]['keypoints']).reshape(3, 3)
    assert np.abs(points[1, :2] - blob_centre(1, 2)).max() < 1
    drawn = list_frames(tmp_path / 'new' / 'out.mp4')
    assert len(drawn) == 4
    before, after = ClipReader().read(str(video / 'f7.png')), ClipReader().read(drawn[0])
    assert np.abs(before.astype(int) - after).max() > 100, 'boxes and joints are drawn'


def test_tool_says_what_is_wrong_without_a_traceback(tmp_path, checkpoint, capsys):
    make_config().dump(tmp_path / 'config.py')
    line = ['infer_video', tmp_path / 'none.mp4', tmp_path / 'config.py', checkpoint]
    with pytest.raises(SystemExit) as stop:
        run_tool(*line, '--out-json', tmp_path / 'out.json')
    assert stop.value.code == 1
    assert 'none.mp4' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run_tool(*line)
    assert stop.value.code == 2
    assert '--out-video' in capsys.readouterr().err
    for option, value, named in (
        ('--tracker', 'oks_weight=3', 'oks_weight=3 is outside'),
        ('--tracker', 'speed=3', 'speed'),
        ('--out-video', 'drawn.txt', 'drawn.txt must end in one of .mp4'),
    ):
        with pytest.raises(SystemExit):
            run_tool(*line, '--out-json', tmp_path / 'out.json', option, value)
        assert named in capsys.readouterr().err


def test_written_video_has_the_rate_and_the_frames(tmp_path):
    frames = [np.full((31, 45, 3), value, np.uint8) for value in (0, 100, 250)]
    with VideoWriter(tmp_path / 'v.mp4', rate=12.5) as writer:
        for frame in frames:
            writer.write(frame)
    assert float(video_rate(str(tmp_path / 'v.mp4'))) == 12.5
    refs = list_frames(tmp_path / 'v.mp4')
    read = [ClipReader().read(ref) for ref in refs]
    assert [image.shape for image in read] == [(32, 46, 3)] * 3
    for image, value in zip(read, (0, 100, 250), strict=True):
        assert abs(int(image.mean()) - value) < 4
    with VideoWriter(tmp_path / 'w.mp4') as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(ValueError, match=r'\(3, 4, 3\) follows frames of \(8, 8, 3\)'):
            writer.write(np.zeros((3, 4, 3), np.uint8))


def test_bad_input_names_file_and_remedy(tmp_path, checkpoint):
    with pytest.raises(DataNotFoundError, match='video file or folder of images'):
        list_frames(tmp_path / 'missing.mp4')
    with pytest.raises(DataNotFoundError, match='images in the folder'):
        list_frames(tmp_path)
    (tmp_path / 'notes.txt').write_text('')
    with pytest.raises(LabelError, match=r'notes.txt is neither a video'):
        list_frames(tmp_path / 'notes.txt')
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(LabelError, match=r'bad.json is no json file'):
        FileBoxes(str(tmp_path / 'bad.json'), ['v.mp4#0'])
    (tmp_path / 'flat.json').write_text(json.dumps([{'image_id': 0, 'bbox': [1, 2, 0, 4]}]))
    with pytest.raises(LabelError, match=r'entry 0 \(image_id 0\): bbox'):
        FileBoxes(str(tmp_path / 'flat.json'), ['v.mp4#0'])
    with pytest.raises(DataNotFoundError, match='box file'):
        FileBoxes(str(tmp_path / 'none.json'), ['v.mp4#0'])
    with pytest.raises(DataNotFoundError, match='checkpoint'):
        VideoInferencer(make_config(), str(tmp_path / 'none.pth'))
    with pytest.raises(ValueError, match='batch_size=0'):
        VideoInferencer(make_config(), checkpoint, batch_size=0)
