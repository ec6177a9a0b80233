"""Draw the panels of clips while a model is validated or tested."""

import pathlib
from collections.abc import Sequence

from mmengine.runner import Runner
from mmpose.engine.hooks import PoseVisualizationHook
from mmpose.registry import HOOKS
from mmpose.structures import PoseDataSample

from .clip_visualizer import ClipVisualizer

__all__ = ['ClipVisualizationHook']


@HOOKS.register_module()
class ClipVisualizationHook(PoseVisualizationHook):
    """Stock hook for the panels of :class:`ClipVisualizer`.

    The stock hook reads the whole source image and draws a merged sample, in which no SR frame is
    left; this one draws from the packed clip and the unmerged sample, and needs no file.
    ``interval`` counts iterations in validation, as upstream, and samples in a test, which would
    otherwise write a picture for every person of every frame.

    Args:
        **kwargs: Of :class:`PoseVisualizationHook`. ``out_dir`` lies in the run's folder.

    Raises:
        TypeError: When a run begins whose visualizer cannot draw clips, and the hook is enabled.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._test_dir: pathlib.Path | None = None

    def before_run(self, runner: Runner) -> None:
        # The stock hook takes the process's latest visualizer, which another run may have made.
        self._visualizer = runner.visualizer
        if self.enable and not isinstance(self._visualizer, ClipVisualizer):
            raise TypeError(
                f'ClipVisualizationHook needs a ClipVisualizer, but the run has a '
                f"{type(self._visualizer).__name__}; set visualizer=dict(type='ClipVisualizer', "
                "name='visualizer', vis_backends=...)"
            )

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[PoseDataSample],
    ) -> None:
        step = runner.iter + batch_idx
        if not self.enable or step % self.interval:
            return
        self._visualizer.set_dataset_meta(runner.val_evaluator.dataset_meta)
        self._visualizer.add_clip(
            'val_clip',
            data_batch['inputs'][0],
            outputs[0],
            kpt_thr=self.kpt_thr,
            show=self.show,
            wait_time=self.wait_time,
            step=step,
        )

    def before_test_epoch(self, runner: Runner) -> None:
        if self.enable and self.out_dir is not None:
            self._test_dir = pathlib.Path(runner.work_dir, runner.timestamp, self.out_dir)
            self._test_dir.mkdir(parents=True, exist_ok=True)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[PoseDataSample],
    ) -> None:
        if not self.enable:
            return
        self._visualizer.set_dataset_meta(runner.test_evaluator.dataset_meta)
        for clip, sample in zip(data_batch['inputs'], outputs, strict=True):
            index, self._test_index = self._test_index, self._test_index + 1
            if index % self.interval:
                continue
            out_file = None
            if self._test_dir is not None:
                out_file = self._test_dir / f'{index:06d}_{pathlib.Path(sample.img_path).stem}.png'
            self._visualizer.add_clip(
                'test_clip',
                clip,
                sample,
                kpt_thr=self.kpt_thr,
                show=self.show,
                wait_time=self.wait_time,
                out_file=out_file,
                step=index,
            )
