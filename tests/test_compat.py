"""The cures: each heals its fault, and each leaves a healthy environment alone."""

import os
import pathlib
import socket
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import runner as runner_module
from mmengine.runner import save_checkpoint
from mmpose.registry import MODELS
from packaging.version import Version

from star_pose import compat

needs_restriction = pytest.mark.skipif(
    Version(torch.__version__).release < (2, 6), reason='this torch does not restrict by default'
)


class _Reduce:
    """Pickles as a call: what a hostile checkpoint is made of."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def _run_python(code: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', '-c', code]
    return subprocess.run(command, capture_output=True, text=True)


@needs_restriction
def test_a_checkpoint_of_mmengine_loads_restricted_with_its_values(tmp_path):
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    message_hub = {'log_scalars': {'train/loss': buffer}, 'runtime_info': {'lr': np.float64(0.5)}}
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {'w': torch.ones(2)}, 'message_hub': message_hub}, path)

    loaded = torch.load(path)

    restored = loaded['message_hub']['log_scalars']['train/loss']
    assert restored.mean() == 2.0
    assert restored.statistics('max') == 3.0
    assert loaded['message_hub']['runtime_info']['lr'] == 0.5
    assert loaded['state_dict']['w'].tolist() == [1.0, 1.0]


@needs_restriction
@pytest.mark.parametrize(
    ('target', 'name'),
    [
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, 'statistics'),
        (HistoryBuffer.mean, '__globals__'),
        (torch.Tensor, '__class__'),
    ],
)
def test_a_hostile_checkpoint_reaches_no_attribute(tmp_path, target, name):
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': {}, 'payload': _Reduce(getattr, target, name)}, path)

    with pytest.raises(ValueError, match=f'refused: .* asks for attribute {name!r}'):
        torch.load(path)


@needs_restriction
def test_a_hostile_checkpoint_runs_no_command(tmp_path):
    canary, path = tmp_path / 'canary', tmp_path / 'hostile.pth'
    torch.save({'payload': _Reduce(os.system, f'touch {canary}')}, path)

    with pytest.raises(Exception, match='Weights only load failed'):
        torch.load(path)
    assert not canary.exists()


def test_the_restricted_getattr_gives_statistics_only():
    assert compat.restricted_getattr(HistoryBuffer, 'mean') is HistoryBuffer.mean

    class Impostor(HistoryBuffer):
        pass

    class Name(str):
        __slots__ = ()

    for owner, name in [
        (Impostor, 'mean'),
        (HistoryBuffer, Name('mean')),
        (HistoryBuffer, '__globals__'),
        (HistoryBuffer(), 'mean'),
        (types, 'mean'),
    ]:
        with pytest.raises(ValueError, match='refused'):
            compat.restricted_getattr(owner, name)


def test_versions_that_fit_pass():
    compat.check_versions()


def test_a_version_out_of_range_names_both_versions_and_the_command():
    with pytest.raises(ImportError) as caught:
        compat.check_versions({'numpy': '<1.0'})
    message = str(caught.value)
    assert f'numpy {np.__version__} is installed, supported is <1.0' in message
    assert "-m pip install 'numpy<1.0'" in message


def test_a_missing_package_is_named_with_the_command():
    with pytest.raises(ImportError) as caught:
        compat.check_versions({'no-such-package': '>=2', 'numpy': '>=1'})
    message = str(caught.value)
    assert 'no-such-package is not installed, supported is >=2' in message
    assert "install 'no-such-package>=2'" in message
    assert 'numpy' not in message


def test_mmcv_counts_under_either_name(monkeypatch):
    versions = {'mmcv-lite': '2.1.0'}

    def version(name):
        if name not in versions:
            raise compat.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(compat.importlib.metadata, 'version', version)
    compat.check_versions({'mmcv': '>=2.0.1,<2.2'})
    versions['mmcv-lite'] = '2.2.0'
    with pytest.raises(ImportError, match=r'mmcv-lite 2\.2\.0 is installed'):
        compat.check_versions({'mmcv': '>=2.0.1,<2.2'})


@pytest.fixture
def without_ops(monkeypatch):
    """An environment whose mmcv has no compiled ops, whatever is installed."""
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: None)
    compat.stub_mmcv_ops()
    yield sys.modules['mmcv._ext']
    sys.modules.pop('mmcv._ext', None)


def test_a_missing_op_says_what_to_install(without_ops):
    with pytest.raises(RuntimeError, match=r"mmcv op 'deform_conv_forward'.*Install mmcv"):
        without_ops.deform_conv_forward(1, 2)


def test_the_placeholder_does_not_pass_for_compiled_ops(without_ops):
    assert without_ops.__spec__.loader is None
    assert not hasattr(without_ops, '__file__')


def test_compiled_ops_are_left_alone(monkeypatch):
    compiled = types.ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    compat.stub_mmcv_ops()
    assert sys.modules['mmcv._ext'] is compiled


@pytest.mark.slow
def test_torchvision_imports_without_its_native_library():
    ran = _run_python(
        'import torch\n'
        'def refuse(path): raise OSError("undefined symbol")\n'
        'torch.ops.load_library = refuse\n'
        'import importlib.util as u\n'
        f'spec = u.spec_from_file_location("compat", {str(pathlib.Path(compat.__file__))!r})\n'
        'compat = u.module_from_spec(spec); spec.loader.exec_module(compat)\n'
        'compat.declare_torchvision_ops(); assert compat._declared\n'
        'import torchvision\n'
        'from torchvision.transforms.functional import hflip\n'
        'print(hflip(torch.arange(2.).view(1, 1, 2)).flatten().tolist())'
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == '[1.0, 0.0]'


def test_a_loaded_torchvision_is_left_alone():
    import torchvision  # noqa: F401

    before = len(compat._declared)
    compat.declare_torchvision_ops()
    assert len(compat._declared) == before


def test_applying_twice_changes_nothing():
    placeholder = sys.modules['mmcv._ext']
    compat.apply()
    assert sys.modules['mmcv._ext'] is placeholder


def test_without_an_accelerator_the_runner_starts_gloo_processes(monkeypatch):
    calls = []
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    monkeypatch.setattr(
        torch.distributed,
        'init_process_group',
        lambda *args, **kwargs: calls.append((args, kwargs)),
    )
    compat.init_dist_anywhere('pytorch', backend='nccl', timeout=60)
    ((args, kwargs),) = calls
    assert args == ('gloo',)
    assert kwargs['timeout'].total_seconds() == 60


def test_with_an_accelerator_the_runner_is_left_alone(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
    monkeypatch.setattr(runner_module, 'init_dist', 'upstream')
    monkeypatch.setattr(runner_module, 'MMDistributedDataParallel', 'upstream')
    compat.support_cpu_processes()
    assert runner_module.init_dist == 'upstream'
    assert runner_module.MMDistributedDataParallel == 'upstream'


# The module alone: twenty children that end with all of OpenMMLab in memory cost a minute.
_TEN_RUNS = """
import gc, importlib.util, os, sys
import torch
import mmengine.device, mmengine.dist
spec = importlib.util.spec_from_file_location('compat', sys.argv[2])
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
gc.freeze()  # which a child would look through at its end
for run in range(10):
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                              MASTER_PORT=str(int(sys.argv[1]) + run))
            compat.init_dist_anywhere('pytorch')
            total = torch.ones(1) * (rank + 1)
            torch.distributed.all_reduce(total)
            assert total.item() == 3
            sys.exit(0)  # ends like a program of its own
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0, (run, status)
print('clean')
"""


@pytest.mark.slow
def test_ten_distributed_runs_end_clean_and_leave_their_process_group():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    ran = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', _TEN_RUNS, str(port), compat.__file__],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == 'clean'


def test_the_process_group_is_left_at_the_interpreters_end(tmp_path, monkeypatch):
    registered = []
    monkeypatch.setattr(compat.atexit, 'register', registered.append)
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    store = torch.distributed.HashStore()
    start = torch.distributed.init_process_group
    monkeypatch.setattr(
        torch.distributed,
        'init_process_group',
        lambda backend, timeout: start(backend, store=store, rank=0, world_size=1),
    )
    compat.init_dist_anywhere('pytorch')
    assert torch.distributed.is_initialized()
    (end,) = registered
    end()
    assert not torch.distributed.is_initialized()
    end()  # a script that has left it itself


def test_a_type_of_a_package_that_is_missing_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)  # as where it is not installed
    backbone = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny')
    with pytest.raises(ImportError, match=r'Transformer needs mmpretrain.*pip install mmpre'):
        MODELS.build(dict(type='TopdownPoseEstimator', backbone=backbone))
    assert MODELS.get('mmpose.HRNet') is MODELS.get('HRNet')
    assert MODELS.get('mmdet.HRNet') is not MODELS.get('HRNet')
    assert MODELS.get('mmdet.NoSuchNet') is None


def _warn_as(module: str, message: str, category: type[Warning]) -> None:
    code = compile('warnings.warn(message, category)', f'{module}.py', 'exec')
    exec(code, {'__name__': module, 'warnings': warnings, 'message': message, 'category': category})


def test_only_the_two_known_warnings_of_imports_are_silent():
    pytree = '`torch.utils._pytree._register_pytree_node` is deprecated'
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        with compat.quiet_imports():
            _warn_as('mmengine.utils.package_utils', 'pkg_resources is deprecated', UserWarning)
            _warn_as('transformers.utils.generic', pytree, FutureWarning)
            _warn_as('mmengine.utils.package_utils', 'another', UserWarning)
            _warn_as('my_module', pytree, FutureWarning)
        _warn_as('transformers.utils.generic', pytree, FutureWarning)
    assert [str(one.message) for one in shown] == ['another', pytree, pytree]


def test_a_checkpoint_is_saved_without_a_word_about_upstreams_file_client(tmp_path, capfd):
    compat.apply()
    save_checkpoint({'state_dict': {}}, str(tmp_path / 'a.pth'))
    assert (tmp_path / 'a.pth').exists()
    assert ''.join(capfd.readouterr()) == ''
