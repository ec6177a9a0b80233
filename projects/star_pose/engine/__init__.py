from .autocast_optim_wrapper import AutocastOptimWrapper
from .hooks import (
    ChannelsLastHook,
    CheckpointFitHook,
    FiniteLossHook,
    NonFiniteHook,
    ProgressBarHook,
    SkipSummaryHook,
    watch_non_finite,
)

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'CheckpointFitHook',
    'FiniteLossHook',
    'NonFiniteHook',
    'ProgressBarHook',
    'SkipSummaryHook',
    'watch_non_finite',
]
