"""Any top-down model of MMPose as three steps: cut people out, run the network, decode."""

from __future__ import annotations

import os.path as osp
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.apis import init_model
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.utils.tta import flip_heatmaps

from ..checkpoint import load_weights
from ..datasets.errors import LabelError
from ..engine.command_line import building
from ..engine.config_options import ConfigError, read_config
from ..models import EvidenceFusion
from .pose_network import PoseNetwork
from .runtimes import check_device, load_exported, make_runtime

__all__ = ['Crops', 'PoseModel']

# What loads and packs: the frames are here already, and only pixels are wanted.
_NOT_FOR_CROPS = ('LoadImage', 'LoadClip', 'SampleClipFrames', 'PackPoseInputs', 'PackClipInputs')


class Crops:
    """People cut out of frames: what enters the network, and where it came from.

    Attributes:
        pixels: (N, T, 3, h, w) or (N, 3, h, w) uint8 BGR.
        centres, scales: (N, 2): centre and size of what was cut out, in pixels of the frame.
    """

    def __init__(self, pixels: np.ndarray, centres: np.ndarray, scales: np.ndarray):
        self.pixels, self.centres, self.scales = pixels, centres, scales

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: np.ndarray) -> Crops:
        """The people of these rows."""
        return Crops(self.pixels[rows], self.centres[rows], self.scales[rows])


class PoseModel:
    """A model with its weights, ready for frames and boxes.

    People are cut out by the test pipeline of the config, its very transforms, so that a video
    shows the network what the evaluation showed it.

    Args:
        config: Config file or object with ``test_dataloader.dataset.pipeline``.
        checkpoint: Weights; None leaves random ones.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        backend: See :func:`~star_pose.apis.runtimes.make_runtime`.
        flip_test: Whether to add what the mirrored crops give; heatmap models only.
        network: File that ``tools/export.py`` wrote of this model, to be run in its place.

    Attributes:
        dataset_meta: Metainfo of the joints.
        num_frames, target: T and ``'centre'`` or ``'last'``, of a clip model; T is 1 for a model
            of single images.
        fusion: Brings the heatmaps of several frames together: the model's own, or the mean.
        gives_heatmaps: Whether the outputs are heatmaps (N, K, h, w), which can be fused over time.

    Raises:
        CheckpointError: If the weights cannot be read or do not fit.
        ConfigError: If the config cannot be read or built, or has no test pipeline.
        LabelError: If the model is no top-down model, or the device is not there.
    """

    def __init__(
        self,
        config: str | Config,
        checkpoint: str | None,
        device: str = 'cpu',
        backend: str = 'auto',
        flip_test: bool = False,
        network: str | None = None,
    ):
        config = _read_config(config)
        with building(_name(config)), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of joints unknown so far: the weights name them
            self.model = init_model(config, None, device='cpu')
        if not isinstance(self.model, TopdownPoseEstimator):
            raise LabelError(
                f'{_name(config)}: model.type is {type(self.model).__name__}; videos need a '
                'top-down model, TopdownPoseEstimator'
            )
        meta = {} if checkpoint is None else load_weights(self.model, checkpoint)
        self.dataset_meta = meta.get('dataset_meta') or self.model.dataset_meta
        self.model.to(check_device(device))
        self.config = _name(config)
        init_default_scope(config.get('default_scope', 'mmpose'))
        steps = config.test_dataloader.dataset.pipeline
        sampling = next((s for s in steps if s['type'] == 'SampleClipFrames'), None)
        self.is_clip = sampling is not None
        sampling = sampling or {}
        frames = sampling.get('num_frames', 5 if self.is_clip else 1)
        # Of a model that fuses evidence, the clip is that of one frame's evidence
        self.num_frames = getattr(self.model.data_preprocessor, 'window', None) or frames
        self.target = sampling.get('target', 'centre') if self.is_clip else 'centre'
        self._cutting = Compose([s for s in steps if s['type'] not in _NOT_FOR_CROPS])
        head = self.model.head
        self._head = getattr(head, 'pose_head', head)
        learned = (m for m in self.model.modules() if isinstance(m, EvidenceFusion))
        self.fusion = next(learned, None) or EvidenceFusion()
        self.flip_test = flip_test
        example = self.cut([np.zeros((64, 64, 3), np.uint8)] * self.num_frames, [[8, 8, 40, 56]])
        self.input_size = self._input_size
        self.network = PoseNetwork(self.model).eval()
        if network is None:
            self._run = make_runtime(self.network, example.pixels, backend, device)
        else:
            self._run = load_exported(network, self.network, backend)
        outputs = self._run(example.pixels)
        self.gives_heatmaps = len(outputs) == 1 and outputs[0].ndim == 4
        if flip_test and not self.gives_heatmaps:
            raise LabelError(f'{self.config}: the flip test needs a model that gives heatmaps')

    @property
    def backend(self) -> str:
        """The runtime in use."""
        return self._run.name

    @property
    def target_index(self) -> int:
        """Position of the target among the frames of a clip."""
        return self.num_frames - 1 if self.target == 'last' else self.num_frames // 2

    def cut_one(
        self, image: np.ndarray, box: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut one person out of one frame.

        Args:
            image: (H, W, 3) uint8 BGR.
            box: x1, y1, x2, y2.

        Returns:
            The crop (3, h, w) uint8, and centre and size of it in the frame, (2,) each.
        """
        shape = image.shape[:2]
        results = self._cutting(
            {
                'img': [image] if self.is_clip else image,
                'img_path': None,
                'img_shape': shape,
                'ori_shape': shape,
                'target_idx': 0,
                'id': 0,
                'bbox': np.asarray(box, np.float32)[None],
                'bbox_score': np.ones(1, np.float32),
            }
        )
        crop = results['img'][0] if self.is_clip else results['img']
        self._input_size = np.asarray(results['input_size'], np.float64)
        return (
            np.ascontiguousarray(crop.transpose(2, 0, 1)),  # H W C -> C H W
            np.asarray(results['input_center'], np.float64),
            np.asarray(results['input_scale'], np.float64),
        )

    def cut(self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[float]]) -> Crops:
        """Cut people out of a clip.

        Args:
            images: The T frames; a frame that occurs twice is cut once.
            boxes: (N, 4) as x1 y1 x2 y2, N >= 1.
        """
        pixels, centres, scales = [], [], []
        for box in boxes:
            done = {}
            for image in images:
                if id(image) not in done:
                    done[id(image)] = self.cut_one(image, box)
            clip = [done[id(image)] for image in images]
            pixels.append(np.stack([crop for crop, _, _ in clip]) if self.is_clip else clip[0][0])
            centres.append(clip[0][1])
            scales.append(clip[0][2])
        return Crops(np.stack(pixels), np.stack(centres), np.stack(scales))

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network.

        Args:
            pixels: As of :class:`Crops`.

        Returns:
            What the decoder reads, each (N, ...) float32.
        """
        outputs = self._run(pixels)
        if not self.flip_test:
            return outputs
        mirrored = self._run(np.ascontiguousarray(pixels[..., ::-1]))[0]
        test_cfg = self.model.test_cfg
        back = flip_heatmaps(
            torch.from_numpy(mirrored),
            flip_mode='heatmap',
            flip_indices=self.dataset_meta['flip_indices'],
            shift_heatmap=test_cfg.get('shift_heatmap', False),
        )
        return ((outputs[0] + back.numpy()) * 0.5,)

    def decode(
        self, outputs: tuple[np.ndarray, ...], centres: np.ndarray, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn outputs into keypoints, by the decoder of the config.

        Args:
            outputs: As of :meth:`run`.
            centres: (N, 2) of the crops.
            scales: (N, 2).

        Returns:
            Keypoints (N, K, 2) in pixels of the frame and scores (N, K).
        """
        tensors = tuple(torch.from_numpy(output) for output in outputs)
        found = self._head.decode(tensors if len(tensors) > 1 else tensors[0])
        keypoints = np.stack([np.asarray(p.keypoints[0], np.float64)[:, :2] for p in found])
        scores = np.stack([np.asarray(p.keypoint_scores[0], np.float64) for p in found])
        chosen = self.model.test_cfg.get('output_keypoint_indices')
        if chosen is not None:
            keypoints, scores = keypoints[:, chosen], scores[:, chosen]
        return self._to_frame(keypoints, centres, scales), scores

    def peaks(
        self, heatmaps: np.ndarray, centres: np.ndarray, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`decode` of heatmaps, to the accuracy of a cell: enough to follow people."""
        num, joints, h, w = heatmaps.shape
        flat = heatmaps.reshape(num, joints, h * w)
        best = flat.argmax(-1)
        scores = np.take_along_axis(flat, best[..., None], -1)[..., 0].astype(np.float64)
        # A parabola through the peak and its neighbours finds it between the cells
        cells = np.stack(
            [_parabola(flat, best, 1, best % w, w), _parabola(flat, best, w, best // w, h)], -1
        )  # (N, K, 2)
        chosen = self.model.test_cfg.get('output_keypoint_indices')
        if chosen is not None:
            cells, scores = cells[:, chosen], scores[:, chosen]
        return self._to_frame(cells / (w, h) * self.input_size, centres, scales), scores

    def _to_frame(
        self, keypoints: np.ndarray, centres: np.ndarray, scales: np.ndarray
    ) -> np.ndarray:
        """Pixels of the input -> pixels of the frame, as MMPose's estimator maps them."""
        corners = centres - 0.5 * scales
        return keypoints / self.input_size * scales[:, None] + corners[:, None]


def _parabola(
    flat: np.ndarray, best: np.ndarray, step: int, place: np.ndarray, count: int
) -> np.ndarray:
    """Positions of peaks along an axis, in cells whose first has its centre at 0.5.

    Args:
        flat: (N, K, h w).
        best: (N, K) of the largest.
        step: To the next cell of the axis.
        place: (N, K) cell of the largest on the axis.
        count: Cells of the axis.
    """

    def value(cells: np.ndarray) -> np.ndarray:
        return np.take_along_axis(flat, cells[..., None], -1)[..., 0].astype(np.float64)

    inside = (place > 0) & (place < count - 1)
    low, top, high = (value(best + n * step * inside) for n in (-1, 0, 1))
    bend = np.maximum(2 * top - low - high, 1e-12)
    return place + 0.5 + np.clip((high - low) / (2 * bend), -0.5, 0.5)


def _read_config(config: str | Config) -> Config:
    """Read a config and check that it can be used for frames."""
    if not isinstance(config, Config):
        config = read_config(config)
    for key in ('model', 'test_dataloader.dataset.pipeline'):
        value = config
        for part in key.split('.'):
            value = value.get(part) if hasattr(value, 'get') else None
        if not value:
            raise ConfigError(f'{_name(config)} has no {key}')
    return config


def _name(config: Config) -> str:
    return osp.basename(config.filename or '') or 'the given config'
