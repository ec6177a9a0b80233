"""How alike the poses and boxes of two frames are."""

import numpy as np
import torch
from mmpose.structures.bbox import bbox_overlaps

__all__ = ['box_iou', 'oks', 'pose_boxes']


def oks(
    poses: np.ndarray,
    seen: np.ndarray,
    others: np.ndarray,
    others_seen: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Object keypoint similarity of every pair, over the joints that both poses have.

    Args:
        poses: (M, K, 2) pixels.
        seen: (M, K) bool.
        others: (N, K, 2) pixels.
        others_seen: (N, K) bool.
        areas: (M,) area of the person in pixels^2; the larger, the more a joint may be off.
        sigmas: (K,) or (M, K): COCO's tolerance of each joint relative to the person's size.

    Returns:
        (M, N) in [0, 1]; 0 for pairs that share no joint.
    """
    distance = ((poses[:, None] - others[None]) ** 2).sum(-1)  # (M, N, K)
    variance = (2 * np.atleast_2d(sigmas)) ** 2 * np.maximum(areas, 1)[:, None]  # (M, K)
    similar = np.exp(-distance / (2 * variance[:, None]))
    both = seen[:, None] & others_seen[None]
    return (similar * both).sum(-1) / np.maximum(both.sum(-1), 1)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of boxes.

    Args:
        boxes: (M, 4) as x1 y1 x2 y2.
        others: (N, 4).

    Returns:
        (M, N) in [0, 1].
    """
    return bbox_overlaps(torch.as_tensor(boxes).double(), torch.as_tensor(others).double()).numpy()


def pose_boxes(poses: np.ndarray, seen: np.ndarray, padding: float = 0.1) -> np.ndarray:
    """The boxes of poses that come without.

    Args:
        poses: (N, K, 2) pixels.
        seen: (N, K) bool; a pose without a joint gets a box of zeros.
        padding: Share of the width and height that is added on every side, as joints lie inside
            the body's outline.

    Returns:
        (N, 4) as x1 y1 x2 y2.
    """
    boxes = np.zeros((len(poses), 4))
    for box, pose, visible in zip(boxes, poses, seen, strict=True):
        if visible.any():
            low, high = pose[visible].min(0), pose[visible].max(0)
            margin = padding * (high - low)
            box[:] = *(low - margin), *(high + margin)
    return boxes
