"""ESRGAN's converter and its network against the package's own graph run by tfjs.

The package is made here in its own layout, of drawn weights. What is expected was computed by
@tensorflow/tfjs 4.22.0 in Node (``tf.loadLayersModel``, the topology that of
@upscalerjs/esrgan-slim 1.0.0): every 12th row and column of the picture below, super-resolved.
"""

import json
import pathlib

import numpy as np
import pytest
import torch
from mmengine.config import Config
from skimage import data

from pose_batches import build
from star_pose.apis.esrgan_converter import convert_esrgan
from star_pose.datasets import DataNotFoundError, LabelError
from star_pose.models import ResidualDenseNet
from tiny_runs import REPO, run_tool

CONFIG = REPO / 'configs/cascades/esrgan-pretrained_movenet-lightning_64x48_coco.py'
SHAPES = {
    'F_m1': (3, 3, 3, 64), 'F_0': (3, 3, 64, 64),
    'F_1_1': (3, 3, 64, 4), 'LFF_1': (1, 1, 68, 64),
    'F_2_1': (3, 3, 64, 4), 'LFF_2': (1, 1, 68, 64),
    'GFF_1': (1, 1, 128, 64), 'GFF_2': (3, 3, 64, 64),
    'UPN1': (5, 5, 64, 64), 'UPN2': (3, 3, 64, 32), 'UPN3': (3, 3, 32, 48), 'SR': (3, 3, 48, 3),
}  # fmt: skip
EXPECTED = [
    -0.389441, -0.031340, -0.201109, -0.492646, -0.193736, 0.015779, -0.500200, -0.143165,
    -0.017697, -0.541558, -0.245446, -0.036470, -0.665456, -0.042101, -0.806003, -1.226860,
    0.420195, -1.086131, -1.500401, 0.733514, -1.499368, -1.202890, 0.522688, -1.486269,
    -0.586463, 0.038662, -0.732002, -1.210855, 0.631348, -0.974304, -1.544297, 0.948974,
    -1.402555, -1.142070, 0.622329, -1.577113, -0.599905, 0.027645, -0.796981, -1.210548,
    0.769172, -1.019599, -1.512953, 0.984980, -1.448430, -1.167508, 0.703048, -1.612492,
    -0.692537, 0.013314, -0.799525, -1.515106, 0.865709, -0.896590, -1.594667, 1.069742,
    -1.415829, -1.183004, 0.945455, -1.455839, -0.533546, -0.092840, -0.562336, -0.817177,
    0.451675, -1.106014, -0.669756, 0.395584, -1.159508, -0.598149, 0.332247, -1.263859,
]  # fmt: skip


class Package:
    """The unpacked npm package, which can be tampered with before it is written."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        rng = np.random.RandomState(0)  # a stream that NumPy keeps for ever
        self.tensors = {}
        for name, shape in SHAPES.items():
            spread = np.prod(shape[:3]) ** -0.5
            self.tensors[f'{name}/kernel'] = rng.normal(0, spread, shape).astype(np.float32)
            self.tensors[f'{name}/bias'] = rng.normal(0, 0.1, shape[3:]).astype(np.float32)

    def write(self) -> str:
        models = self.folder / 'models' / 'x4'
        models.mkdir(parents=True, exist_ok=True)
        name = 'group1-shard1of1.bin'
        (models / name).write_bytes(b''.join(v.tobytes() for v in self.tensors.values()))
        specs = [
            {'name': key, 'shape': list(value.shape), 'dtype': 'float32'}
            for key, value in self.tensors.items()
        ]
        content = {'modelTopology': {}, 'weightsManifest': [{'paths': [name], 'weights': specs}]}
        (models / 'model.json').write_text(json.dumps(content))
        return str(self.folder)


@pytest.fixture
def package(tmp_path) -> Package:
    return Package(tmp_path / 'package')


def picture() -> np.ndarray:
    """A part (16, 12, 3) of a face, RGB in [0, 1]."""
    return data.astronaut()[100:116, 210:222].astype(np.float32) / 255


def test_the_network_computes_what_the_published_graph_does(package):
    checkpoint = convert_esrgan(package.write())
    definition = dict(checkpoint['meta']['sr'])
    assert definition.pop('type') == 'ResidualDenseNet'
    network = ResidualDenseNet(**definition)
    network.load_state_dict(checkpoint['state_dict'])
    with torch.no_grad():
        frame = network(torch.from_numpy(picture()).permute(2, 0, 1)[None])
    assert frame.shape == (1, 3, 64, 48)
    found = frame[0, :, ::12, ::12].permute(1, 2, 0).flatten()
    np.testing.assert_allclose(found, EXPECTED, atol=1e-5)


def test_the_tool_makes_what_the_cascade_loads(package, tmp_path, capsys):
    run_tool('convert_esrgan', package.write(), '--out', tmp_path / 'out' / 'esrgan.pth')
    assert "esrgan.pth: 0.9 MB, {'type': 'ResidualDenseNet'" in capsys.readouterr().out
    config = Config.fromfile(CONFIG).model
    assert config.backbone.frozen
    config.backbone.checkpoint = str(tmp_path / 'out' / 'esrgan.pth')
    config.backbone.sr.update(num_blocks=2, growth_channels=4)
    cascade = build(config)
    wanted = convert_esrgan(package.write())['state_dict']
    for name, value in cascade.backbone.sr.state_dict().items():
        assert torch.equal(value, wanted[name])
    with torch.no_grad():
        heatmaps = cascade.eval()(torch.randn(1, 5, 3, 64, 48), None)
    assert heatmaps.shape == (1, 17, 64, 48)


def remove(package: Package) -> None:
    del package.tensors['UPN2/bias']


def narrow(package: Package) -> None:
    package.tensors['GFF_1/kernel'] = package.tensors['GFF_1/kernel'][:, :, :64]


def spoil(package: Package) -> None:
    package.tensors['SR/bias'][1] = np.nan


def add(package: Package) -> None:
    package.tensors['F_1_2/kernel'] = np.zeros((3, 3, 68, 4), np.float32)


def empty(package: Package) -> None:
    package.tensors.clear()


@pytest.mark.parametrize(
    ('tamper', 'said'),
    [
        (remove, r'UPN2/bias is missing; it becomes upsample\.2\.bias'),
        (narrow, r'join\.0\.weight has the shape \(64, 64, 1, 1\) where \(64, 128, 1, 1\) is due'),
        (spoil, r'upsample\.6\.bias .* not finite'),
        (add, 'F_1_2/kernel is not part of the network'),
        (empty, 'F_1_1/kernel are missing'),
    ],
)
def test_another_package_is_refused_by_the_tensor(package, tamper, said):
    tamper(package)
    with pytest.raises(LabelError, match=rf'model\.json.*{said}'):
        convert_esrgan(package.write())


def test_a_folder_without_the_package_says_how_to_get_it(tmp_path):
    with pytest.raises(DataNotFoundError, match=r'npm pack @upscalerjs/esrgan-medium@1\.0\.0'):
        convert_esrgan(str(tmp_path))


def test_every_parameter_of_the_network_gets_a_gradient():
    network = ResidualDenseNet(num_blocks=2, growth_channels=4, mid_channels=8, scale=2)
    frame = network(torch.rand(1, 3, 6, 5))
    assert frame.shape == (1, 3, 12, 10)
    frame.square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
