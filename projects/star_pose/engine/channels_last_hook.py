"""Store convolution weights channels-last, which convolutions in bfloat16 run faster with."""

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

__all__ = ['ChannelsLastHook']


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Convert the model's 4-D weights before a run.

    A convolution with channels-last weights gives a channels-last map whatever its input, so the
    inputs need no conversion. Values, state dict and results are those of the other layout up to
    the rounding of another order of summation.
    """

    # Before the EMA hook copies the model, so that the copy has the layout too.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Convert the model in place.

        Args:
            runner: Its ``model``, wrapped or not, is converted.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.to(memory_format=torch.channels_last)
