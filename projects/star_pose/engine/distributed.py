"""Distributed training without an accelerator, which MMEngine's Runner takes for granted."""

import datetime

import torch
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import runner as runner_module

__all__ = ['CPUDistributedDataParallel', 'init_dist_anywhere', 'support_cpu_processes']


class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper for modules on the CPU, where device ids are not allowed.

    Args:
        module: The model.
        device_ids: Ignored: the Runner passes the local rank.
        **kwargs: As in ``MMDistributedDataParallel``.
    """

    def __init__(self, module: torch.nn.Module, device_ids=None, **kwargs) -> None:
        super().__init__(module=module, device_ids=None, **kwargs)


def init_dist_anywhere(launcher: str, backend: str = 'nccl', **kwargs) -> None:
    """MMEngine's ``init_dist``, or gloo processes where there is no accelerator.

    Args:
        launcher: ``'pytorch'`` (torchrun's variables are in the environment); others are left to
            MMEngine.
        backend: Without an accelerator gloo is used, whatever the config says.
        **kwargs: As in ``init_dist``, e.g. ``timeout`` in seconds.
    """
    if launcher != 'pytorch' or get_device() != 'cpu':
        init_dist(launcher, backend, **kwargs)
        return
    # MMEngine's way calls torch.cuda.set_device, which raises in a CPU build of torch.
    timeout = kwargs.get('timeout')
    delta = None if timeout is None else datetime.timedelta(seconds=timeout)
    torch.distributed.init_process_group('gloo', timeout=delta)


def support_cpu_processes() -> None:
    """Let MMEngine's Runner start and wrap the model on processes without an accelerator.

    The Runner calls ``torch.cuda.set_device`` and passes ``device_ids=[LOCAL_RANK]``; on a CPU both
    raise. Only the two names that the Runner looks up are replaced, and only where MMEngine trains
    on the CPU, so that MMPose's own scripts (as under ``mim test mmpose``) work too. Does nothing
    where there is an accelerator.
    """
    if get_device() != 'cpu':
        return
    runner_module.init_dist = init_dist_anywhere
    runner_module.MMDistributedDataParallel = CPUDistributedDataParallel
