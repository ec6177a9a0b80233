"""Samples for the tests of the clip transforms: made of numbers, no file needed."""

import cv2
import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpose.registry import TRANSFORMS

NUM_KEYPOINTS = 17
FLIP_INDICES = [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def seed_pipeline(seed: int) -> None:
    """Seed numpy's global generator, from which MMPose's transforms and ours draw."""
    np.random.seed(seed)  # noqa: NPY002


def use_mmpose_scope() -> None:
    """Let types be found without a prefix, as a config's ``default_scope`` does."""
    DefaultScope.get_instance('clip_samples', scope_name='mmpose')


def build(*cfgs: dict) -> Compose:
    """Build a pipeline from the registry, as a config does."""
    use_mmpose_scope()
    return Compose([TRANSFORMS.build(cfg) for cfg in cfgs])


def texture(size: tuple[int, int], rng: np.random.Generator, cell: int = 24) -> np.ndarray:
    """A smooth random colour image (H, W, 3) uint8 of size (w, h), band-limited by ``cell``."""
    width, height = size
    coarse = rng.uniform(40, 215, (height // cell + 4, width // cell + 4, 3)).astype(np.float32)
    large = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return np.clip(large[cell : cell + height, cell : cell + width], 0, 255).astype(np.uint8)


def blob(size: tuple[int, int], centre: tuple[float, float], sigma: float) -> np.ndarray:
    """A Gaussian spot (H, W, 3) uint8 on black, with its centre between pixels if need be."""
    x, y = np.arange(size[0]), np.arange(size[1])[:, None]
    value = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.rint(255 * np.repeat(value[..., None], 3, axis=2)).astype(np.uint8)


def centroid(image: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y) of an image's grey values."""
    grey = image.astype(np.float64).sum(axis=2)
    x, y = np.arange(grey.shape[1]), np.arange(grey.shape[0])
    return np.array([(grey.sum(axis=0) * x).sum(), (grey.sum(axis=1) * y).sum()]) / grey.sum()


def sample(images: list[np.ndarray], box: tuple, rng: np.random.Generator, **fields) -> dict:
    """A person in a clip, as it stands after LoadClip; the keypoints are drawn inside the box."""
    x1, y1, x2, y2 = box
    keypoints = rng.uniform([x1, y1], [x2, y2], (1, NUM_KEYPOINTS, 2)).astype(np.float32)
    return dict(
        img=list(images),
        img_path='video/000002.jpg',
        frame_paths=[f'video/{t:06d}.jpg' for t in range(len(images))],
        target_idx=len(images) // 2,
        img_shape=images[0].shape[:2],
        ori_shape=images[0].shape[:2],
        bbox=np.array([box], dtype=np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=keypoints,
        keypoints_visible=np.ones((1, NUM_KEYPOINTS), np.float32),
        id=7,
        img_id=3,
        flip_indices=FLIP_INDICES,
        upper_body_ids=list(range(11)),
        lower_body_ids=list(range(11, 17)),
        **fields,
    )


def random_box(rng: np.random.Generator, size: tuple[int, int]) -> tuple:
    """A box well inside an image of size (w, h)."""
    width, height = size
    box_width, box_height = rng.uniform(0.15, 0.4) * width, rng.uniform(0.3, 0.6) * height
    x, y = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    return x, y, x + box_width, y + box_height
