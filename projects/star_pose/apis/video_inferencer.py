"""Poses of everybody in a video, with track ids."""

import os
import os.path as osp
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.apis import init_model
from mmpose.registry import TASK_UTILS
from mmpose.structures import PoseDataSample

from ..datasets.errors import DataNotFoundError, LabelError
from ..datasets.frames.clip_reader import VIDEO_SUFFIXES, ClipReader, video_refs

__all__ = ['FramePoses', 'VideoInferencer', 'list_frames']

_IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


@dataclass
class FramePoses:
    """What was found in a frame.

    Attributes:
        index: Position of the frame in the video.
        ref: The frame's file, or ``video.mp4#12``.
        image: (H, W, 3) uint8 BGR, read-only.
        instances: Of N people: ``keypoints`` (N, K, 2) in pixels, ``keypoint_scores`` (N, K),
            ``bboxes`` (N, 4) as x1 y1 x2 y2, ``bbox_scores`` (N,), ``track_ids`` (N,), -1 where
            a person is not tracked.
        samples: The model's N data samples, with everything else it returned.
        clips: The N clips that it saw, (T, 3, h, w) uint8 BGR.
    """

    index: int
    ref: str
    image: np.ndarray
    instances: InstanceData
    samples: list[PoseDataSample]
    clips: list[torch.Tensor]


def list_frames(path: str) -> list[str]:
    """References of the frames of a video file, of the images of a folder, or of one image.

    Args:
        path: Images of a folder are taken in the order of the numbers in their names.

    Raises:
        DataNotFoundError: If there is nothing at ``path``, or no image in the folder.
        ClipReadError: If the video cannot be read.
        LabelError: If the file is neither a video nor an image.
    """
    path = str(path)
    if osp.isdir(path):
        names = [name for name in os.listdir(path) if name.lower().endswith(_IMAGE_SUFFIXES)]
        if not names:
            raise DataNotFoundError.describe('images in the folder', path)
        return [osp.join(path, name) for name in sorted(names, key=_by_number)]
    if not osp.isfile(path):
        raise DataNotFoundError.describe('video file or folder of images', path)
    if path.lower().endswith(VIDEO_SUFFIXES):
        return video_refs(path)
    if path.lower().endswith(_IMAGE_SUFFIXES):
        return [path]
    raise LabelError(
        f'{path} is neither a video ({" ".join(VIDEO_SUFFIXES)}) nor an image '
        f'({" ".join(_IMAGE_SUFFIXES)})'
    )


def _by_number(name: str) -> tuple[list[int], str]:
    digits = ''.join(c if c.isdigit() else ' ' for c in name).split()
    return [int(number) for number in digits], name


class VideoInferencer:
    """Runs a clip model over a video, frame by frame.

    MMPose's inferencers see one image at a time and so never a clip. Here each person of a frame
    goes through the test pipeline of the config, which samples the T frames around it, cuts the
    person out of all of them and makes them small; the people of a frame are one batch; a tracker
    numbers them.

    Args:
        config: Config file or object, with ``test_dataloader.dataset.pipeline``.
        checkpoint: Weights; None runs the model as it is built, which says nothing about people.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        tracker: Config of a registered tracker; None leaves everybody untracked.
        batch_size: Largest number of people in one batch.

    Raises:
        DataNotFoundError: If config or checkpoint are missing.
    """

    def __init__(
        self,
        config: str | Config,
        checkpoint: str | None,
        device: str = 'cpu',
        tracker: dict | None = None,
        batch_size: int = 32,
    ):
        for what, path in (('config', config), ('checkpoint', checkpoint)):
            if isinstance(path, str) and '://' not in path and not osp.isfile(path):
                raise DataNotFoundError.describe(what, path)
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: give at least 1')
        self.model = init_model(config, checkpoint, device=device)
        self.dataset_meta = self.model.dataset_meta
        init_default_scope(self.model.cfg.get('default_scope', 'mmpose'))
        self.pipeline = Compose(self.model.cfg.test_dataloader.dataset.pipeline)
        self.tracker = None if tracker is None else TASK_UTILS.build(tracker)
        self.batch_size = batch_size

    def __call__(
        self,
        frames: Sequence[str],
        boxes: Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]],
        stop: int | None = None,
    ) -> Iterator[FramePoses]:
        """Find the people of every frame.

        Args:
            frames: References of all frames in time order, as of :func:`list_frames`.
            boxes: A box source, see :mod:`star_pose.apis.box_sources`.
            stop: Number of frames to look at; their clips may reach beyond.

        Yields:
            The frames in order.
        """
        frames = list(frames)
        if self.tracker is not None:
            self.tracker.reset()
        reader = ClipReader.shared()
        for index, ref in enumerate(frames[:stop]):
            image = reader.read(ref)
            yield self._estimate(frames, index, image, *boxes(index, image))

    def _estimate(
        self,
        frames: list[str],
        index: int,
        image: np.ndarray,
        boxes: np.ndarray,
        box_scores: np.ndarray,
    ) -> FramePoses:
        packed = [
            self.pipeline(
                {
                    **self.dataset_meta,
                    'id': index,
                    'img_id': index,
                    'img_path': frames[index],
                    'video_frames': frames,
                    'frame_index': index,
                    'bbox': box[None].astype(np.float32),
                    'bbox_score': np.array([score], np.float32),
                }
            )
            for box, score in zip(boxes, box_scores, strict=True)
        ]
        samples = []
        with torch.no_grad():
            for start in range(0, len(packed), self.batch_size):
                batch = pseudo_collate(packed[start : start + self.batch_size])
                samples += self.model.test_step(batch)
        num_joints = len(self.dataset_meta['keypoint_id2name'])
        keypoints, scores = (
            np.zeros((len(boxes), num_joints, 2)),
            np.zeros((len(boxes), num_joints)),
        )
        for person, sample in enumerate(samples):
            keypoints[person] = sample.pred_instances.keypoints[0]
            scores[person] = sample.pred_instances.keypoint_scores[0]
        ids = np.full(len(boxes), -1)
        if self.tracker is not None:
            ids = self.tracker.update(index, keypoints, scores, boxes, box_scores)
        instances = InstanceData(
            keypoints=keypoints,
            keypoint_scores=scores,
            bboxes=boxes,
            bbox_scores=box_scores,
            track_ids=ids,
        )
        clips = [sample['inputs'] for sample in packed]
        return FramePoses(index, frames[index], image, instances, samples, clips)
