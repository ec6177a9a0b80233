"""Exported networks do what PyTorch does, as a file that the video tool runs."""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from blob_videos import clip_config, make_checkpoint, make_frame, moving_boxes, save_frames
from star_pose import VideoPose
from star_pose.apis import runtimes
from star_pose.apis.export import compare, cut_clips, quantise
from star_pose.apis.pose_model import PoseModel
from star_pose.apis.runtimes import export_onnx, load_exported, load_onnx
from star_pose.apis.shipped_models import find_model
from star_pose.datasets import LabelError
from star_pose.datasets.errors import DataNotFoundError
from tiny_runs import run_tool

NAME = 'movenet-lightning'


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """A folder of frames that show something."""
    folder = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = rng.integers(0, 256, (16, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{number}.png'), cv2.resize(coarse, (120, 160)))
    return folder


def export(pictures, out, *options):
    run_tool('export', NAME, '--clips', pictures, '--whole-frame', '--out', out, *options)
    return out


@pytest.fixture(scope='module')
def exported(pictures, tmp_path_factory):
    return export(pictures, tmp_path_factory.mktemp('exported') / 'model.onnx')


@pytest.fixture(scope='module')
def model():
    return PoseModel(*find_model(NAME), backend='torch')


def test_the_file_gives_pytorchs_maxima_for_any_number_of_people(exported, model):
    session = onnxruntime.InferenceSession(str(exported), providers=['CPUExecutionProvider'])
    for number in (1, 3):
        pixels = np.random.default_rng(number).integers(0, 256, (number, 3, 256, 192), np.uint8)
        (expected,) = model.run(pixels)
        (found,) = session.run(None, {'pixels': pixels})
        flat = (number, 17, -1)
        assert (found.reshape(flat).argmax(-1) == expected.reshape(flat).argmax(-1)).all()
        np.testing.assert_allclose(found, expected, atol=1e-4 * abs(expected).max())


def test_openvino_is_asked_first_and_gives_the_same(exported, model, monkeypatch):
    monkeypatch.setattr(runtimes, '_is_installed', lambda package: False)
    assert load_exported(str(exported), model.network).name == 'onnxruntime'
    with pytest.raises(LabelError, match=r'openvino is not installed: pip install star_pose\[open'):
        load_onnx(str(exported), 'openvino')
    monkeypatch.undo()
    pytest.importorskip('openvino')
    run = load_exported(str(exported), model.network)
    assert run.name == 'openvino'
    pixels = np.random.default_rng(5).integers(0, 256, (2, 3, 256, 192), np.uint8)
    assert compare(model.run(pixels), run(pixels)).is_exact
    rounded = load_onnx(str(exported), 'openvino-bfloat16')
    assert rounded.name == 'openvino-bfloat16'
    assert np.corrcoef(run(pixels)[0].ravel(), rounded(pixels)[0].ravel())[0, 1] > 0.9


def test_the_video_tool_runs_the_file(exported, pictures):
    plain, given = (
        VideoPose(NAME, backend='onnxruntime', network=network) for network in (None, str(exported))
    )
    for a, b in zip(plain(pictures, 'frame'), given(pictures, 'frame'), strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_a_file_of_other_weights_is_refused(exported, tmp_path):
    with pytest.raises(LabelError, match=r'model\.onnx was exported from movenet-lightning_.*py '):
        VideoPose('movenet-thunder', network=str(exported))
    with pytest.raises(LabelError, match='backend torch cannot run'):
        VideoPose(NAME, backend='torch', network=str(exported))
    with pytest.raises(DataNotFoundError, match='exported network not found'):
        VideoPose(NAME, network=str(tmp_path / 'none.onnx'))
    (tmp_path / 'text.onnx').write_text('no model')
    with pytest.raises(LabelError, match=r'text\.onnx is no ONNX file'):
        VideoPose(NAME, network=str(tmp_path / 'text.onnx'))


class ConvolutionsAndAttention(torch.nn.Module):
    """Of each kind of operation that a pose network has, one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 4, 1)

    def forward(self, pixels):
        maps = self.first(pixels.float() / 255).clamp(0, 6)
        tokens = maps.flatten(2)  # N C h w -> N C L
        mixed = (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens
        return self.last(maps + mixed.reshape(maps.shape))


def test_int8_is_of_the_convolutions_alone_and_near_float32():
    clips = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), np.uint8)
    exported = export_onnx(ConvolutionsAndAttention().eval(), clips)
    quantised = quantise(exported, clips[:8])
    graph = onnx.load_model_from_string(quantised).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    fed = {
        node.op_type: [made_by.get(name) for name in node.input[:2]]
        for node in graph.node
        if node.op_type in ('Conv', 'MatMul')
    }
    assert fed['Conv'] == ['DequantizeLinear'] * 2
    weights = [init for init in graph.initializer if 'weight' in init.name and len(init.dims) == 4]
    assert {init.data_type for init in weights} == {onnx.TensorProto.INT8}
    softmax = next(node for node in graph.node if node.op_type == 'Softmax')
    assert made_by[softmax.input[0]] == 'MatMul'
    (expected,), (found,) = load_onnx(exported)(clips[8:]), load_onnx(quantised)(clips[8:])
    assert 1e-4 < np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_a_file_that_exists_stays(exported, pictures, capsys):
    before = exported.read_bytes()
    with pytest.raises(SystemExit):
        export(pictures, exported)
    assert 'model.onnx exists; --overwrite replaces it' in capsys.readouterr().err
    assert exported.read_bytes() == before


def test_outputs_are_compared_by_the_places_of_their_maxima():
    maps = np.zeros((2, 2, 3, 3), np.float32)
    maps[..., 1, 2] = 4
    moved = maps.copy()
    moved[0, 1, 0, 0] = 4.1
    assert compare([maps], [maps]).is_exact
    found = compare([maps], [moved])
    assert (found.equal, found.is_exact) == (0.75, False)
    assert found.error == pytest.approx(4.1 / 4)
    tied = maps.copy()
    tied[0, 0, 0, 0] = 4 + 1e-6  # two cells that cannot be told apart
    maps[0, 0, 0, 0] = 4
    assert compare([maps], [tied]).is_exact
    points = np.arange(12.0).reshape(2, 3, 2)
    assert compare([points], [points + 0.5]).equal == 1
    assert not compare([points], [points + 0.5]).is_exact


def test_clips_are_cut_out_of_windows_that_share_no_frame(tmp_path):
    save_frames(tmp_path / 'frames')
    model = PoseModel(clip_config(), make_checkpoint(tmp_path), backend='torch')
    clips = cut_clips(model, [str(tmp_path / 'frames')], moving_boxes, 64)
    assert clips.shape == (4, 3, 3, 64, 48)  # frames 0-2 and 3-5 of 7, two people each
    images = [make_frame(frame) for frame in (3, 4, 5)]
    boxes, _ = moving_boxes(4, None)
    assert np.abs(clips[2:].astype(int) - model.cut(images, boxes).pixels).max() <= 1
    assert len(cut_clips(model, [str(tmp_path / 'frames')] * 2, moving_boxes, 3)) == 3
    with pytest.raises(LabelError, match='no people were found'):
        cut_clips(model, [make_frame(0)], lambda index, image: (np.zeros((0, 4)), []), 4)
