"""The cures of upstream faults, to be applied before mmpose is imported.

Each function cures one fault, says which, and does nothing where the fault is absent. Importing
``star_pose`` applies them all; a config's ``custom_imports`` is early enough, because MMEngine
imports those modules before it imports the default scope.
"""

import atexit
import contextlib
import datetime
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

__all__ = [
    'SUPPORTED_VERSIONS',
    'allow_checkpoint_types',
    'apply',
    'check_versions',
    'declare_torchvision_ops',
    'end_processes',
    'init_dist_anywhere',
    'name_missing_packages',
    'quiet_file_client',
    'quiet_imports',
    'restricted_getattr',
    'stub_mmcv_ops',
    'support_cpu_processes',
]

# Tested: the pins of requirements/. The upper bounds are upstream's own (mmdet refuses mmcv 2.2) or
# known faults (xtcocotools is built against NumPy 1; mmengine 0.11 changed the config resolution).
SUPPORTED_VERSIONS = {
    'numpy': '>=1.23,<2',
    'torch': '>=2.1',
    'torchvision': '>=0.16',
    'mmengine': '>=0.10.3,<0.11',
    'mmcv': '>=2.0.1,<2.2',
    'mmdet': '>=3.2,<3.4',
    'mmpose': '>=1.3.1,<1.4',
}

# What a distribution may be called besides its name: mmcv-lite is mmcv without compiled ops.
_OTHER_NAMES = {'mmcv': ('mmcv-lite',)}

# Whose types MMPose's own configs name, and what pip calls them.
_SIBLINGS = {'mmdet': 'mmdet', 'mmpretrain': 'mmpretrain', 'mmseg': 'mmsegmentation'}

_TORCHVISION_SCHEMAS = (
    'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, '
    'SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor',
)
_declared = []  # schemas live as long as their Library object

# What mmengine's HistoryBuffer pickles as ``getattr(HistoryBuffer, name)``.
_HISTORY_STATISTICS = ('min', 'max', 'current', 'mean')


def check_versions(supported: dict[str, str] = SUPPORTED_VERSIONS) -> None:
    """Refuse an environment whose packages are missing or out of the supported ranges.

    Upstream refuses some of them too, but by an assertion deep in its own import, and NumPy 2 by
    a binary incompatibility that does not name NumPy. Does nothing when all versions fit.

    Args:
        supported: From the name of a distribution to its version specifier.

    Raises:
        ImportError: Names the installed and the supported version of every misfit, and the one
            command that fixes them.
    """
    faults, fixes = [], []
    for name, ranges in supported.items():
        installed, found_name = _installed_version(name)
        if installed is None:
            faults.append(f'{name} is not installed, supported is {ranges}')
        elif not SpecifierSet(ranges).contains(Version(installed), prereleases=True):
            faults.append(f'{found_name} {installed} is installed, supported is {ranges}')
        else:
            continue
        fixes.append(f"'{found_name}{ranges}'")
    if faults:
        raise ImportError(
            f'star_pose does not work with this environment: {"; ".join(faults)}. '
            f'Fix it with: {sys.executable} -m pip install {" ".join(fixes)}'
        )


def _installed_version(name: str) -> tuple[str | None, str]:
    """The version of a distribution under one of its names, and that name; without import."""
    candidates = (name, *_OTHER_NAMES.get(name, ()))
    for candidate in candidates:
        try:
            return importlib.metadata.version(candidate), candidate
        except importlib.metadata.PackageNotFoundError:
            continue
    return None, candidates[-1]


def stub_mmcv_ops() -> None:
    """Let mmpose import ``mmcv.ops`` under mmcv-lite, which has no compiled ops.

    MMPose 1.3.2 and MMDetection 3.2.0 import ``mmcv.ops`` at import time and fail with "No module
    named 'mmcv._ext'". A placeholder of that name whose every attribute is a function that raises
    lets them pass; calling an op then says what is missing. Does nothing when the compiled
    extension is installed.
    """
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return

    class MissingOps(types.ModuleType):
        def __getattr__(self, name: str):
            if name.startswith('__'):  # inspection must see an ordinary module
                raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

            def missing_op(*args, **kwargs):
                raise RuntimeError(
                    f'mmcv op {name!r} is not compiled: mmcv-lite is installed. Install mmcv '
                    f'{SUPPORTED_VERSIONS["mmcv"]}, which has compiled ops, to use it.'
                )

            return missing_op

    module = MissingOps('mmcv._ext')
    # mmengine's mmcv_full_available() looks this spec up and must go on to say False.
    module.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', None)
    sys.modules['mmcv._ext'] = module


def declare_torchvision_ops() -> None:
    """Declare torchvision's op schemas where its native library cannot load.

    That is so beside a CPU-only torch of another build, and ``import torchvision`` then raises
    "operator torchvision::nms does not exist". With the schemas the Python parts work; native ops
    do not. Does nothing when torchvision is absent, imported already, or its library loads.
    """
    if 'torchvision' in sys.modules:
        return
    package = importlib.util.find_spec('torchvision')
    if package is None:
        return
    import torch

    native = importlib.machinery.PathFinder.find_spec('_C', package.submodule_search_locations)
    if native is not None:
        try:
            torch.ops.load_library(native.origin)
            return
        except OSError:
            # The fault itself: the library was linked against another build of torch.
            native = None
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for schema in _TORCHVISION_SCHEMAS:
        library.define(schema)
    _declared.append(library)


def allow_checkpoint_types() -> None:
    """Let torch load MMEngine's checkpoints restricted, as torch >= 2.6 does by default.

    MMEngine 0.10.7 writes its message hub into checkpoints: ``HistoryBuffer`` with NumPy arrays,
    which the restricted unpickler refuses, so that test, resume and load_from fail. Exactly these
    types are allowed. The pickles also name the builtin ``getattr``, which would let a crafted
    file reach module globals; :func:`restricted_getattr` stands in for it. Does nothing where
    torch cannot restrict by an allow-list with names (before 2.6, where it is not the default).
    """
    import torch

    if Version(torch.__version__).release < (2, 6):
        return
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    dtypes = [kind for kind in vars(np.dtypes).values() if isinstance(kind, type)]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.core.multiarray._reconstruct,
            np.core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *dtypes,
            (restricted_getattr, 'builtins.getattr'),
        ]
    )


def restricted_getattr(owner: type, name: str):
    """Stand in for ``getattr`` while a checkpoint is unpickled.

    Args:
        owner: Must be mmengine's ``HistoryBuffer`` itself.
        name: Must be one of its statistics: min, max, current or mean.

    Returns:
        function: The statistic.

    Raises:
        ValueError: The checkpoint asks for anything else, so MMEngine did not write it.
    """
    from mmengine.logging.history_buffer import HistoryBuffer

    # Identity and exact str: a crafted pickle must not bring its own idea of equality.
    if owner is HistoryBuffer and type(name) is str and name in _HISTORY_STATISTICS:
        return getattr(owner, name)
    raise ValueError(
        f'refused: the checkpoint asks for attribute {name!r} of {owner!r}; only the statistics '
        f'{_HISTORY_STATISTICS} of HistoryBuffer are allowed. Do not load files you do not trust.'
    )


def support_cpu_processes() -> None:
    """Let MMEngine's Runner start and wrap the model on processes without an accelerator.

    The Runner calls ``torch.cuda.set_device`` and passes ``device_ids=[LOCAL_RANK]``; on a CPU both
    raise. Only the two names that the Runner looks up are replaced, so that MMPose's own scripts
    (as under ``mim test mmpose``) work too. Does nothing where there is an accelerator.
    """
    from mmengine.device import get_device
    from mmengine.model import MMDistributedDataParallel
    from mmengine.runner import runner

    if get_device() != 'cpu':
        return

    class CPUDistributedDataParallel(MMDistributedDataParallel):
        def __init__(self, module, device_ids=None, **kwargs) -> None:
            super().__init__(module=module, device_ids=None, **kwargs)

    runner.init_dist = init_dist_anywhere
    runner.MMDistributedDataParallel = CPUDistributedDataParallel


def init_dist_anywhere(launcher: str, backend: str = 'nccl', **kwargs) -> None:
    """MMEngine's ``init_dist``, with gloo instead of ``backend`` where there is no accelerator.

    Args:
        launcher: ``'pytorch'`` (torchrun's variables are in the environment); others are left to
            MMEngine.
        backend: Of processes with an accelerator.
        **kwargs: As in ``init_dist``, e.g. ``timeout`` in seconds.
    """
    import torch
    from mmengine.device import get_device
    from mmengine.dist import init_dist

    if launcher != 'pytorch' or get_device() != 'cpu':
        init_dist(launcher, backend, **kwargs)
        return
    # MMEngine's way calls torch.cuda.set_device, which raises in a CPU build of torch.
    timeout = kwargs.get('timeout')
    delta = None if timeout is None else datetime.timedelta(seconds=timeout)
    torch.distributed.init_process_group('gloo', timeout=delta)
    atexit.register(end_processes)


def end_processes() -> None:
    """Leave gloo's process group before the interpreter ends.

    MMEngine leaves it to the interpreter's end, where a thread of gloo that still runs aborts the
    process ("terminate called without an active exception") after all work was done.
    """
    import torch

    if torch.distributed.is_initialized() and torch.distributed.get_backend() == 'gloo':
        torch.distributed.destroy_process_group()


def name_missing_packages() -> None:
    """Let a config whose type belongs to another package of OpenMMLab say that it is missing.

    ViTPose's backbone is ``mmpretrain.VisionTransformer``. Without MMPretrain, MMEngine logs a
    warning and then says that the type is not in MMPose's registry. Does nothing where the package
    can be imported.
    """
    from mmengine.registry import Registry

    if hasattr(Registry.get, '__wrapped__'):
        return

    @functools.wraps(Registry.get)
    def get(self, key: str) -> type | None:
        package, _, name = key.partition('.')
        if name and package in _SIBLINGS:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise ImportError(
                    f'{key} needs {package}, which cannot be imported ({error}); install it: '
                    f'{sys.executable} -m pip install {_SIBLINGS[package]}'
                ) from error
        return get.__wrapped__(self, key)

    Registry.get = get


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Import upstream without the two warnings that its importing causes.

    MMEngine 0.10.7 imports ``pkg_resources``, and the transformers that MMDetection imports
    registers its types by a name that torch has given up. Whoever sees them can do nothing about
    either. All other warnings, and these two of other modules, pass.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            'ignore', 'pkg_resources is deprecated', UserWarning, r'mmengine\.utils\.package_utils'
        )
        warnings.filterwarnings(
            'ignore', '.*_register_pytree_node', FutureWarning, r'transformers\.utils\.generic'
        )
        yield


def quiet_file_client() -> None:
    """Keep MMEngine from logging, at every checkpoint, that its own ``FileClient`` is deprecated.

    MMEngine 0.10.7 makes one in its hooks and in ``save_checkpoint``, whatever a config says. The
    module logs nothing else. Does nothing where there is no such module any more.
    """
    if importlib.util.find_spec('mmengine.fileio.file_client') is None:
        return
    from mmengine.fileio import file_client

    file_client.print_log = lambda *args, **kwargs: None


def apply() -> None:
    """Check the versions, then apply every cure; a second call changes nothing."""
    check_versions()
    stub_mmcv_ops()
    declare_torchvision_ops()
    with quiet_imports():
        allow_checkpoint_types()
        support_cpu_processes()
        name_missing_packages()
        quiet_file_client()
