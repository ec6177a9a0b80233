"""Hooks of a run."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..checkpoint import check_fit, made_for, select_weights

__all__ = ['CheckpointFitHook']


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """End a run whose checkpoint does not fit the model, where MMEngine would only log it.

    Raises:
        CheckpointError: From :meth:`after_load_checkpoint`, see :mod:`star_pose.checkpoint`.
    """

    # Before the EMA hook, which loads the weights too.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights, and put them where and under the names that MMEngine looks for."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        source = str(runner._load_from or 'of the work folder')
        weights = select_weights(checkpoint, model, source)
        check_fit(model, weights, source, made_for(checkpoint))
        wanted = model.state_dict()
        checkpoint['state_dict'] = {n: value for n, value in weights.items() if n in wanted}
