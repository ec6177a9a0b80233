"""The cures of upstream faults, to be applied before mmpose is imported.

Each function cures one fault, says which, and does nothing where the fault is absent.
"""

import importlib.machinery
import importlib.util
import pathlib
import sys
import types

__all__ = ['apply']

_TORCHVISION_SCHEMAS = (
    'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, '
    'int sampling_ratio, bool aligned) -> Tensor',
)


def stub_mmcv_ops() -> None:
    """Let mmpose import ``mmcv.ops`` under mmcv-lite, which has no compiled ops.

    MMPose 1.3.2 imports ``mmcv.ops`` at import time. A placeholder ``mmcv._ext`` whose every attribute is a function
    that raises makes the import pass. Does nothing when the compiled extension is installed.
    """
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return

    class _MissingOps(types.ModuleType):
        def __getattr__(self, name: str):
            if name.startswith('__'):
                raise AttributeError(name)

            def missing_op(*args, **kwargs):
                raise RuntimeError(
                    f'mmcv op "{name}" is not compiled: mmcv-lite is installed. Install mmcv 2.1.0 with ops to use it.'
                )

            return missing_op

    module = _MissingOps('mmcv._ext')
    # mmengine's mmcv_full_available() looks the spec up and must go on to say False.
    module.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', None)
    sys.modules['mmcv._ext'] = module


def declare_torchvision_ops() -> None:
    """Declare torchvision's op schemas where its native library cannot load beside a CPU-only torch.

    Otherwise ``import torchvision`` raises "operator torchvision::nms does not exist". The Python parts then work; native
    ops do not. Does nothing when torchvision is imported already or its native library loads.
    """
    if 'torchvision' in sys.modules:
        return
    import torch

    spec = importlib.util.find_spec('torchvision')
    if spec is None:
        return
    native = next(pathlib.Path(spec.submodule_search_locations[0]).glob('_C*.so'), None)
    try:
        if native is not None:
            torch.ops.load_library(str(native))
            return
    except OSError:
        pass
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for schema in _TORCHVISION_SCHEMAS:
        library.define(schema)
    declare_torchvision_ops.library = library  # the schemas live as long as this object


def allow_checkpoint_types() -> None:
    """Let torch >= 2.6 load MMEngine checkpoints restricted (weights_only)."""


def apply() -> None:
    """Apply every cure once."""
    stub_mmcv_ops()
    declare_torchvision_ops()
    allow_checkpoint_types()
