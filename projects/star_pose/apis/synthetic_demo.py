"""The whole way on generated clips: show poses, make data, train briefly, evaluate, draw."""

import pathlib

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from tqdm import tqdm

from ..engine import ProgressBarHook
from ..synthetic import DatasetOptions, SceneOptions, make_dataset
from ..visualization import draw_people
from .closeups import CloseUps
from .video_pose import VideoPose, VideoPoseFrame
from .video_writer import VideoWriter

__all__ = ['CLIP', 'SyntheticDemo', 'longest_track', 'make_clip']

# Four people of some 60 pixels on a lawn, and a camera that pans
CLIP = DatasetOptions(1, 12, SceneOptions(frames=75, size=(480, 270), people=4), 0, dense=True)


def make_clip(root: str | pathlib.Path, options: DatasetOptions = CLIP) -> pathlib.Path:
    """Render a clip of people who are small in the picture.

    Args:
        root: Folder to write, of a data set in PoseTrack18's form; an earlier one is replaced.
        options: Of a data set of one training video.

    Returns:
        The folder of its frames.
    """
    make_dataset(root, options, 1, True)
    (frames,) = pathlib.Path(root, 'images', 'train').iterdir()
    return frames


def longest_track(frames: list[VideoPoseFrame]) -> int:
    """Id of the person who is in most of the frames; -1 where nobody is tracked."""
    ids = np.concatenate([frame.track_ids for frame in frames])
    ids = ids[ids >= 0]
    return int(np.bincount(ids).argmax()) if len(ids) else -1


class SyntheticDemo:
    """Train and evaluate a recipe on a small synthetic data set in PoseTrack18's form.

    Args:
        config: Path of a recipe for ``PoseTrackClipDataset``.
        out: Folder to write: ``clip/``, ``poses.mp4``, ``poses.png`` by the shipped weights;
            ``data/``, ``work/last.pth``, ``prediction.png`` of the training.
        seed: Seed of the data and of the training.
    """

    def __init__(self, config: str | pathlib.Path, out: str | pathlib.Path, seed: int = 0) -> None:
        self.config = str(config)
        self.out = pathlib.Path(out)
        self.seed = seed
        self.data_root = self.out / 'data'
        self.work_dir = self.out / 'work'
        self.checkpoint = self.work_dir / 'last.pth'
        self.picture = self.out / 'prediction.png'
        self.video = self.out / 'poses.mp4'
        self.closeups = self.out / 'poses.png'

    def show(self, model: str, options: DatasetOptions = CLIP) -> list[VideoPoseFrame]:
        """Find the poses of a rendered clip by shipped weights, and draw them.

        Args:
            model: Name of a shipped model with a front end that super-resolves.
            options: Of the clip, see :func:`make_clip`.

        Returns:
            The frames.
        """
        clip = make_clip(self.out / 'clip', options)
        poser, frames = VideoPose(model), []
        with VideoWriter(self.video) as video:
            for frame in tqdm(poser(str(clip)), total=options.scene.frames, desc='poses'):
                frames.append(frame)
                people = frame.keypoints, frame.scores, frame.boxes, frame.track_ids
                video.write(draw_people(frame.image[..., ::-1], *people, poser.dataset_meta))
        picture = CloseUps(model).panel(frames, len(frames) // 2, longest_track(frames))
        cv2.imwrite(str(self.closeups), picture[..., ::-1])
        return frames

    def make_data(self, videos: int, frames: int, workers: int = 2) -> dict[str, dict[str, int]]:
        """Generate the data set.

        Args:
            videos: Number of videos, of which a third, at least one, is for validation.
            frames: Frames a video.
            workers: Processes; the bytes do not depend on it.

        Returns:
            Counts by split.
        """
        scene = SceneOptions(frames=frames, size=(480, 270), people=2)
        options = DatasetOptions(
            videos, self.seed, scene, val_videos=max(1, videos // 3), dense=True
        )
        with tqdm(total=videos, desc='clips', unit='video') as bar:
            return make_dataset(self.data_root, options, workers, True, bar.update)

    def build(
        self,
        steps: int,
        batch_size: int = 16,
        workers: int = 2,
        max_seconds: float | None = None,
    ) -> Runner:
        """Build the Runner for a short training.

        Args:
            steps: Number of training steps.
            batch_size: Clips a step.
            workers: Processes that load clips.
            max_seconds: End the training after this time; None: after all steps.

        Returns:
            The Runner, to be trained and tested.
        """
        cfg = Config.fromfile(self.config)
        cfg.work_dir = str(self.work_dir)
        cfg.log_level = 'WARNING'  # the bar replaces the log
        cfg.randomness = dict(seed=self.seed)
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=steps)
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        for split in ('train', 'test'):
            loader = cfg[f'{split}_dataloader']
            loader.update(
                batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0
            )
            loader.dataset.data_root = str(self.data_root)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
        labels = self.data_root / cfg.test_dataloader.dataset.ann_file
        cfg.test_evaluator.ann_file = str(labels)
        # The SR frame is for the picture; estimating poses does not need it.
        cfg.model.test_cfg.output_sr = True
        warm_up = max(1, steps // 10)
        cfg.param_scheduler = [
            dict(type='LinearLR', begin=0, end=warm_up, start_factor=0.01, by_epoch=False),
            dict(type='CosineAnnealingLR', begin=warm_up, end=steps, T_max=steps, by_epoch=False),
        ]
        cfg.default_hooks.checkpoint = None  # see train()
        cfg.log_processor = dict(type='LogProcessor', by_epoch=False)
        runner = Runner.from_cfg(cfg)
        runner.register_hook(ProgressBarHook(max_seconds))
        return runner

    def train(self, runner: Runner) -> None:
        """Train, and keep the weights wherever the training ended.

        Args:
            runner: What :meth:`build` gave.
        """
        runner.train()
        runner.save_checkpoint(
            str(self.work_dir), self.checkpoint.name, save_optimizer=False, by_epoch=False
        )

    def draw(self, runner: Runner, count: int = 3) -> pathlib.Path:
        """Draw LR frame, SR frame, ground truth and prediction of some persons.

        Args:
            runner: A Runner whose model is trained.
            count: Number of persons, spread over the test split.

        Returns:
            The picture.
        """
        loader = runner.test_dataloader
        dataset, visualizer = loader.dataset, runner.visualizer
        visualizer.set_dataset_meta(dataset.metainfo)
        runner.model.eval()
        panels = []
        for index in np.linspace(0, len(dataset) - 1, num=min(count, len(dataset))).astype(int):
            batch = loader.collate_fn([dataset[index]])
            clip = batch['inputs'][0]
            (sample,) = runner.model.test_step(batch)
            panels.append(visualizer.draw_clip(clip, sample, kpt_thr=0.0))
        width = max(panel.shape[1] for panel in panels)
        rows = [
            np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255)
            for p in panels
        ]
        mmcv.imwrite(np.concatenate(rows)[..., ::-1], str(self.picture))
        return self.picture
