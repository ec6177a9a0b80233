from .autocast_optim_wrapper import AutocastOptimWrapper
from .channels_last_hook import ChannelsLastHook
from .distributed import CPUDistributedDataParallel, support_cpu_processes
from .hooks import CheckpointFitHook
from .non_finite_hook import NonFiniteHook, watch_non_finite
from .progress_bar_hook import ProgressBarHook
from .skip_summary_hook import SkipSummaryHook

support_cpu_processes()

__all__ = [
    'AutocastOptimWrapper',
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
    'CheckpointFitHook',
    'NonFiniteHook',
    'ProgressBarHook',
    'SkipSummaryHook',
    'watch_non_finite',
]
