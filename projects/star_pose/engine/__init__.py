from .autocast_optim_wrapper import AutocastOptimWrapper
from .channels_last_hook import ChannelsLastHook
from .distributed import CPUDistributedDataParallel, support_cpu_processes
from .skip_summary_hook import SkipSummaryHook

support_cpu_processes()

__all__ = [
    'AutocastOptimWrapper',
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
    'SkipSummaryHook',
]
