"""The converter of TensorFlow.js graphs, and the detector that came out of it."""

import base64
import dataclasses
import hashlib
import json
import pathlib
import re

import av
import cv2
import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from star_pose.apis.person_detector import PersonDetector, _decode, _join
from star_pose.apis.synthetic_demo import CLIP, make_clip
from star_pose.apis.tfjs_graph import read_tfjs_graph
from star_pose.apis.tfjs_to_onnx import tfjs_to_onnx
from star_pose.datasets import DataNotFoundError, LabelError
from star_pose.tracking.pose_similarity import box_iou
from tiny_runs import REPO

WEIGHTS = REPO / 'projects' / 'star_pose' / 'weights'
VTEST = pathlib.Path('/usr/share/doc/opencv-doc/examples/data/vtest.avi')


def text(value: str) -> dict:
    return {'s': base64.b64encode(value.encode()).decode()}


class GraphFile:
    """Writes a small graph model as TensorFlow.js does."""

    def __init__(self):
        shape = {'dim': [{'size': str(side)} for side in (1, 3, 8, 12)]}
        self.nodes = [{'name': 'x', 'op': 'Placeholder', 'attr': {'shape': {'shape': shape}}}]
        self.specs, self.data = [], b''

    def constant(self, name: str, value: np.ndarray) -> str:
        value = np.asarray(value)
        spec = {'name': name, 'shape': list(value.shape), 'dtype': 'int32'}
        if value.dtype.kind == 'f':
            value = value.astype(np.float16)
            spec.update(dtype='float32', quantization={'dtype': 'float16'})
        else:
            value = value.astype(np.int32)
        self.nodes.append({'name': name, 'op': 'Const'})
        self.specs.append(spec)
        self.data += value.tobytes()
        return name

    def node(self, name: str, op: str, *inputs: str, **attributes) -> str:
        self.nodes.append({'name': name, 'op': op, 'input': list(inputs), 'attr': attributes})
        return name

    def save(self, folder: pathlib.Path) -> str:
        group = {'paths': ['g.bin'], 'weights': self.specs}
        content = {'modelTopology': {'node': self.nodes}, 'weightsManifest': [group]}
        (folder / 'g.json').write_text(json.dumps(content))
        (folder / 'g.bin').write_bytes(self.data)
        return str(folder / 'g.json')


def sliding(stride: int) -> dict:
    return {
        'padding': text('VALID'),
        'data_format': text('NHWC'),
        'strides': {'list': {'i': ['1', str(stride), str(stride), '1']}},
    }


def make_graph(folder: pathlib.Path) -> tuple[str, dict[str, np.ndarray]]:
    """Every operation that the converter knows, in the orders in which the real graph has them."""
    rng, graph = np.random.default_rng(0), GraphFile()
    half = {
        name: rng.standard_normal(shape).astype(np.float16)
        for name, shape in {'kernel': (3, 3, 3, 4), 'bias': (4,)}.items()
    }
    to_last = graph.constant('to_last', [0, 2, 3, 1])
    to_first = graph.constant('to_first', [0, 3, 1, 2])
    pads = graph.constant('pads', [[0, 0], [0, 0], [1, 1], [1, 1]])
    graph.node('padded', 'Pad', 'x', pads)
    graph.node('last', 'Transpose', 'padded', to_last)
    for name, value in half.items():
        graph.constant(name, value)
    graph.node('conv', 'Conv2D', 'last', 'kernel', **sliding(1))
    graph.node('sum', 'Add', 'conv', 'bias')
    graph.node('first', 'Transpose', 'sum', to_first)
    graph.node('leaky', 'LeakyRelu', 'first', alpha={'f': 0.1})
    graph.node('leaky_last', 'Transpose', 'leaky', to_last)
    ksize = {'list': {'i': ['1', '2', '2', '1']}}
    graph.node('pool', 'MaxPool', 'leaky_last', ksize=ksize, **sliding(2))
    size = graph.constant('size', [8, 12])
    half_pixel = {'half_pixel_centers': {'b': True}, 'align_corners': {'b': False}}
    graph.node('large', 'ResizeBilinear', 'pool', size, **half_pixel)
    graph.node('large_first', 'Transpose', 'large', to_first)
    # One in each order: the other has to be turned
    graph.node('both', 'AddV2', 'leaky_last', 'large')
    graph.node('joined', 'ConcatV2', 'large_first', 'leaky', graph.constant('axis', 1))
    sizes = graph.constant('sizes', [3, 5])
    graph.node('parts', 'SplitV', 'joined', sizes, graph.constant('split_axis', 1))
    graph.node('sigmoid', 'Sigmoid', 'parts')
    shape = graph.constant('shape', [1, 3, 96])
    graph.node('flat', 'Reshape', 'sigmoid', shape)
    graph.node('cells', 'Transpose', 'flat', graph.constant('to_cells', [0, 2, 1]))
    graph.node('out_0', 'Identity', 'cells')
    graph.node('out_1', 'Identity', 'parts:1')
    graph.node('out_2', 'Identity', 'both')
    return graph.save(folder), half


def run(path: str, image: np.ndarray) -> list[np.ndarray]:
    model = tfjs_to_onnx(read_tfjs_graph(path)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    return session.run(None, {'x': image})


@pytest.mark.parametrize('size', [(1, 8, 12), (2, 16, 20)], ids=['stored size', 'another'])
def test_converted_graph_computes_what_torch_computes(tmp_path, size):
    path, half = make_graph(tmp_path)
    batch, height, width = size
    image = np.random.default_rng(1).standard_normal((batch, 3, height, width)).astype(np.float32)
    cells, rest, both = run(path, image)

    kernel = torch.from_numpy(half['kernel']).float().permute(3, 2, 0, 1)
    bias = torch.from_numpy(half['bias']).float()
    leaky = F.leaky_relu(F.conv2d(torch.from_numpy(image), kernel, bias, padding=1), 0.1)
    large = F.interpolate(F.max_pool2d(leaky, 2), scale_factor=2, mode='bilinear')
    joined = torch.cat([large, leaky], 1)
    np.testing.assert_allclose(cells, joined[:, :3].sigmoid().flatten(2).mT, atol=1e-5)
    np.testing.assert_allclose(rest, joined[:, 3:], atol=1e-5)
    np.testing.assert_allclose(both, (leaky + large).permute(0, 2, 3, 1), atol=1e-5)


def test_a_tensor_is_turned_only_where_it_must_be(tmp_path):
    path, _ = make_graph(tmp_path)
    model = tfjs_to_onnx(read_tfjs_graph(path))
    assert sum(node.op_type == 'Transpose' for node in model.graph.node) == 2  # the outputs


def test_what_cannot_be_converted_is_named(tmp_path):
    path, _ = make_graph(tmp_path)
    content = json.loads((tmp_path / 'g.json').read_text())
    content['modelTopology']['node'][-1]['op'] = 'Einsum'
    (tmp_path / 'g.json').write_text(json.dumps(content))
    with pytest.raises(LabelError, match='node out_2: Einsum is not known'):
        tfjs_to_onnx(read_tfjs_graph(path))
    (tmp_path / 'g.bin').write_bytes(b'')
    with pytest.raises(LabelError, match='the file is cut short'):
        read_tfjs_graph(path)
    (tmp_path / 'g.json').write_text('[]')
    with pytest.raises(LabelError, match=r'g\.json is no graph model'):
        read_tfjs_graph(path)
    with pytest.raises(DataNotFoundError, match=r'none\.json'):
        read_tfjs_graph(str(tmp_path / 'none.json'))


def test_shipped_detector_is_the_one_that_the_notice_names():
    data = (WEIGHTS / 'nanodet.onnx').read_bytes()
    notice = (WEIGHTS / 'NOTICE').read_text()
    entry = notice[notice.index('nanodet.onnx') :]
    assert hashlib.sha256(data).hexdigest() == re.search(r'SHA-256\s+(\w{64})', entry)[1]
    assert 'Apache License 2.0' in entry
    assert len(data) < 8e6


def test_a_cell_says_its_box_by_distances_from_its_centre():
    scores = np.zeros((6, 80), np.float32)  # 2 x 3 cells of 8 pixels
    scores[4, 0], scores[2, 1] = 0.9, 0.95  # a person, and another class
    sides = np.zeros((6, 4, 11), np.float32)
    for side, distance in enumerate((1, 2, 3, 0)):
        sides[4, side, distance] = 40  # as good as certain
    boxes, found = _decode(scores, sides.reshape(6, 44), 8, (16, 24), 0.5)
    centre = 1.5 * 8 - 0.5
    np.testing.assert_allclose(boxes, [[centre - 8, centre - 16, centre + 24, centre]], atol=1e-4)
    np.testing.assert_allclose(found, [0.9])


@pytest.mark.parametrize('size', [(576, 768), (30, 1000), (1, 1)])
def test_an_empty_frame_of_any_size_has_nobody(size):
    boxes, scores = PersonDetector()(0, np.full((*size, 3), 127, np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_numbers_out_of_range_are_refused():
    for wrong in (dict(tiles=0), dict(score_thr=1.5), dict(nms_thr=0)):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))}={next(iter(wrong.values()))}'):
            PersonDetector(**wrong)
    with pytest.raises(DataNotFoundError, match=r'none\.onnx'):
        PersonDetector(weights='none.onnx')


def count_found(labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which labels are found: greedily, surest first, from an IoU of one half on."""
    found = np.zeros(len(labels), bool)
    for row in np.argsort(-scores):
        overlap = box_iou(labels, boxes[row : row + 1])[:, 0] * ~found
        found[overlap.argmax()] |= overlap.max() >= 0.5
    return found


def person(x: float, y: float, height: float, score: float) -> list[float]:
    return [x, y, x + 0.4 * height, y + height, score]


def join(whole: list, detail: list, tall: float = 100) -> list:
    parts = [np.array(people, float).reshape(-1, 5) for people in (whole, detail)]
    boxes, scores = _join(*((part[:, :4], part[:, 4]) for part in parts), tall, 0.5)
    return np.hstack([boxes, scores[:, None]]).tolist()


def test_a_look_at_the_detail_adds_small_people_and_no_parts_of_tall_ones():
    tall, small = person(0, 0, 200, 0.6), person(300, 0, 60, 0.6)
    head, beside = person(20, 10, 50, 0.9), person(200, 20, 40, 0.7)
    assert join([tall, small], [head, beside]) == [tall, beside, small]
    assert join([tall, small], []) == [tall, small]
    assert join([], [beside, tall]) == [beside]  # the tall are the first look's


def test_of_two_looks_at_a_small_person_the_surer_counts():
    seen, again = person(300, 0, 60, 0.6), person(301, 1, 60, 0.8)
    assert join([seen], [again]) == [again]
    assert join([again], [seen]) == [again]


def test_wide_frames_are_looked_at_in_more_detail(tmp_path, monkeypatch):
    detector, looks = PersonDetector(), []
    look = PersonDetector._look
    monkeypatch.setattr(
        PersonDetector,
        '_look',
        lambda self, image, tiles, thr: looks.append(tiles) or look(self, image, tiles, thr),
    )
    for width, expected in ((1000, [1]), (1001, [1, 2]), (3000, [1, 3])):
        looks.clear()
        detector(0, np.full((32, width, 3), 127, np.uint8))
        assert looks == expected
    monkeypatch.undo()

    scene = dataclasses.replace(CLIP.scene, frames=1)
    (path,) = make_clip(tmp_path, dataclasses.replace(CLIP, scene=scene)).iterdir()
    image = cv2.imread(str(path))
    wide = cv2.copyMakeBorder(image, 400, 410, 700, 740, cv2.BORDER_REPLICATE)  # 1920x1080
    near = len(detector(0, image)[0])
    assert near >= 2
    assert len(detector(0, wide)[0]) >= near
    assert len(PersonDetector(tiles=1)(0, wide)[0]) == 0


def read_vtest() -> list[tuple[np.ndarray, np.ndarray]]:
    """The hand-labelled frames of the file, and the boxes (N, 4) of their people."""
    frames = json.loads((REPO / 'tests' / 'vtest_people.json').read_text())['frames']
    with av.open(str(VTEST)) as container:
        return [
            (frame.to_ndarray(format='bgr24'), np.array(frames[str(index)], float))
            for index, frame in enumerate(container.decode(video=0))
            if str(index) in frames
        ]


def as_one(frames: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Four frames as one of twice the sides, which shows people as small as a wide view does."""
    images, labels = zip(*frames, strict=True)
    height, width = images[0].shape[:2]
    image = np.vstack([np.hstack(images[:2]), np.hstack(images[2:])])
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    moved = [boxes + np.tile(corner, 2) for boxes, corner in zip(labels, corners, strict=True)]
    return image, np.concatenate(moved)


@pytest.mark.skipif(not VTEST.is_file(), reason=f'no {VTEST}: install the package opencv-doc')
@pytest.mark.parametrize(
    ('tiles', 'four'), [(None, False), (2, False), (None, True)], ids=['one', 'in detail', 'wide']
)
def test_people_of_40_to_90_pixels_are_found(tiles, four):
    """Hand-labelled frames; precision is over all detections, of any size."""
    frames = read_vtest()
    if four:
        frames = [as_one(frames[start : start + 4]) for start in (0, 3, 6)]
    detector = PersonDetector(tiles)
    wanted = hits = detections = true = 0
    for image, labels in frames:
        boxes, scores = detector(0, image)
        found = count_found(labels, boxes, scores)
        heights = labels[:, 3] - labels[:, 1]
        asked = (heights >= 40) & (heights <= 90)
        wanted, hits = wanted + asked.sum(), hits + (found & asked).sum()
        detections, true = detections + len(boxes), true + found.sum()
    assert wanted >= 44
    assert hits / wanted >= 0.9
    assert true / detections >= 0.9
