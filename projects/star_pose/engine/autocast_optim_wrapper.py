"""Mixed precision without a loss scaler, on a CPU or any accelerator that has bfloat16."""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmpose.registry import OPTIM_WRAPPERS
from torch import nn

__all__ = ['AutocastOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run forward and loss under ``torch.autocast``; weights and optimizer stay in float32.

    MMEngine's ``AmpOptimWrapper`` asserts an accelerator and always builds a gradient scaler.
    bfloat16 has float32's range, so no scaler is needed, and a CPU with AVX-512 or AMX gains about
    a factor of two from it.

    Args:
        dtype: ``'bfloat16'``, the only type that needs no scaler.
        device_type: What ``torch.autocast`` wants, e.g. ``'cpu'`` or ``'cuda'``; None: the device
            that MMEngine trains on.
        **kwargs: As in MMEngine's ``OptimWrapper``: optimizer, clip_grad, accumulative_counts.

    Raises:
        ValueError: ``dtype`` is another one.
    """

    def __init__(self, dtype: str = 'bfloat16', device_type: str | None = None, **kwargs) -> None:
        if dtype != 'bfloat16':
            raise ValueError(
                f"dtype must be 'bfloat16', got {dtype!r}: float16 underflows without a loss "
                'scaler; use AmpOptimWrapper on an accelerator for it'
            )
        super().__init__(**kwargs)
        self.dtype = torch.bfloat16
        self.device_type = device_type or get_device()

    @contextmanager
    def optim_context(self, model: nn.Module):
        # Inside the context that the base class gives: gradient accumulation.
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype):
            yield
