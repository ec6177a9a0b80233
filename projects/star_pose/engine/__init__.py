from .autocast_optim_wrapper import AutocastOptimWrapper
from .hooks import (
    ChannelsLastHook,
    CheckpointFitHook,
    NonFiniteHook,
    ProgressBarHook,
    SkipSummaryHook,
    watch_non_finite,
)

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'CheckpointFitHook',
    'NonFiniteHook',
    'ProgressBarHook',
    'SkipSummaryHook',
    'watch_non_finite',
]
