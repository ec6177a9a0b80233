"""Videos of two moving blobs, and models that find them exactly."""

import pathlib

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import KEYPOINT_CODECS, MODELS

__all__ = [
    'FRAMES', 'INFO', 'NAMES', 'RATE', 'SIZE', 'blob_boxes', 'blob_centre', 'clip_config',
    'heatmap_config', 'make_checkpoint', 'make_frame', 'moving_boxes',
    'save_frames',
]  # fmt: skip

NAMES = ('before', 'now', 'after')
INFO = dict(
    dataset_name='blob',
    keypoint_info={
        k: dict(name=name, id=k, color=[255, 0, 0], type='', swap='')
        for k, name in enumerate(NAMES)
    },
    skeleton_info={0: dict(link=('before', 'now'), id=0, color=[0, 255, 0])},
    joint_weights=[1.0] * 3,
    sigmas=[0.08] * 3,
)
SIZE, FRAMES, RATE = (240, 160), 7, 12  # w, h


@MODELS.register_module(force=True)
class PassThrough(torch.nn.Module):
    """A backbone that passes the input on."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return (inputs,)


@MODELS.register_module(force=True)
class CentroidHead(torch.nn.Module):
    """Joint k is the centroid of frame k of the clip, in pixels of the HR crop."""

    def forward(self, feats):
        weights = feats[0].mean(2).clamp(min=60) - 60  # (N, T, h, w), the background is dark
        h, w = weights.shape[-2:]
        total = weights.sum((-2, -1)).clamp(min=1e-6)
        x = (weights * torch.arange(w)).sum((-2, -1)) / total
        y = (weights * torch.arange(h)[:, None]).sum((-2, -1)) / total
        return (torch.stack([x, y], -1) + 0.5) * 4 - 0.5  # (N, T, 2)

    def decode(self, points):
        return [
            InstanceData(keypoints=p[None].numpy(), keypoint_scores=np.ones((1, len(p))))
            for p in points
        ]

    def predict(self, feats, data_samples, test_cfg):
        return self.decode(self.forward(feats))


@MODELS.register_module(force=True)
class BrightnessHead(torch.nn.Module):
    """Each of the three joints' heatmaps is the low-resolution picture itself."""

    def __init__(self):
        super().__init__()
        self.decoder = KEYPOINT_CODECS.build(
            dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(48, 64), sigma=2)
        )

    def forward(self, feats):
        grey = feats[0].mean(-3, keepdim=True)
        grey = grey[:, grey.shape[1] // 2] if grey.ndim == 5 else grey
        return grey.repeat(1, 3, 1, 1) / 255

    def decode(self, heatmaps):
        found = []
        for maps in heatmaps.numpy():
            keypoints, scores = self.decoder.decode(maps)
            found.append(InstanceData(keypoints=keypoints, keypoint_scores=scores))
        return found


def _config(head: str, pipeline: list[dict]) -> Config:
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseClipDataPreprocessor'),
                backbone=dict(type='PassThrough'),
                head=dict(type=head),
                test_cfg=dict(flip_test=False),
            ),
            test_dataloader=dict(dataset=dict(type='VideoClipDataset', pipeline=pipeline)),
        )
    )


def clip_config(target: str = 'centre', num_frames: int = 3) -> Config:
    """A model of clips that gives coordinates."""
    return _config(
        'CentroidHead',
        [
            dict(type='SampleClipFrames', num_frames=num_frames, target=target),
            dict(type='LoadClip'),
            dict(type='GetBBoxCenterScale'),
            dict(type='ClipAffine', input_size=(192, 256)),
            dict(type='GenerateLRClip', scale=4),
            dict(type='PackClipInputs'),
        ],
    )


def heatmap_config() -> Config:
    """A model of single images that gives heatmaps."""
    return _config(
        'BrightnessHead',
        [
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(48, 64)),
            dict(type='PackPoseInputs'),
        ],
    )


def make_checkpoint(folder: pathlib.Path) -> str:
    """Weights for both."""
    path = folder / 'blob.pth'
    meta = dict(dataset_meta=parse_pose_metainfo(INFO))
    torch.save(dict(state_dict={'backbone.unused': torch.zeros(1)}, meta=meta), path)
    return str(path)


def blob_centre(person: int, frame: float) -> np.ndarray:
    """Where a person is."""
    return np.array([50 + 110 * person + 4 * frame, 60 + 3 * frame * (1 - 2 * person)], float)


def blob_boxes(frame: float) -> np.ndarray:
    """(2, 4): both people's boxes."""
    centres = np.array([blob_centre(person, frame) for person in range(2)])
    half = np.array([24, 32])
    return np.concatenate([centres - half, centres + half], axis=1)


def moving_boxes(index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box source that knows the truth."""
    return blob_boxes(index), np.ones(2)


def make_frame(frame: float) -> np.ndarray:
    """(h, w, 3) uint8: the picture at a time."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    image = np.full((SIZE[1], SIZE[0]), 30.0)
    for person in range(2):
        x, y = blob_centre(person, frame)
        image += 220 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6**2))
    return np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def save_frames(folder: pathlib.Path) -> None:
    """Write f7.png ... f13.png: names whose order is that of their numbers."""
    folder.mkdir()
    for frame in range(FRAMES):
        cv2.imwrite(str(folder / f'f{frame + 7}.png'), make_frame(frame))
