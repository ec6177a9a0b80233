"""End the frames of a clip beside the person."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from ..frames.geometry import inside_mask
from .random_source import fetch_rng

__all__ = ['RandomFrameBorder']

# (x1, y1, x2, y2) of a frame without end.
OPEN = np.array([-np.inf, -np.inf, np.inf, np.inf])


@TRANSFORMS.register_module()
class RandomFrameBorder(BaseTransform):
    """Show a person as one at the border of the picture: black beyond a line beside the joints.

    Video has people at its borders, and sets of photographs with the person in the middle have few:
    a network that has never seen a black margin takes it for part of the scene. Each side of the
    frame is moved in with a probability of its own, for all frames of the clip alike. The sides
    are those of the frame, so that they turn with a turned box. No labelled joint is cut off.

    Place it after ``ClipAffine`` and before ``GenerateLRClip``. A clip whose warp is deferred stays
    as it is.

    Required Keys:

    - img: list of T (H, W, 3) uint8 crops
    - warp_mat, gt_mask, warp_deferred: of ``ClipAffine``
    - keypoints: (1, K, 2) in the frame's pixels
    - keypoints_visible: (1, K), 0 where not labelled

    Modified Keys:

    - img: 0 beyond the border
    - gt_mask: 0 beyond the border

    Args:
        prob: Probability of moving a side, in [0, 1], for each of the four.
        gap: (least, most) distance of the border from the outermost labelled joint, as a share of
            the longer side of the box of the labelled joints.
    """

    def __init__(self, prob: float = 0.25, gap: tuple[float, float] = (0.05, 0.4)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        if not 0 <= gap[0] <= gap[1]:
            raise ValueError(f'gap must be (least, most) with 0 <= least <= most, got {gap}')
        self.prob = prob
        self.gap = tuple(gap)

    def transform(self, results: dict) -> dict:
        """Blacken what lies beyond the moved sides.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        if 'warp_deferred' not in results:
            raise KeyError(
                'RandomFrameBorder needs warp_mat, gt_mask and warp_deferred: place it '
                'after ClipAffine'
            )
        rng = fetch_rng()
        moved, gaps = rng.random(4) < self.prob, rng.uniform(*self.gap, 4)
        joints = results['keypoints'][results['keypoints_visible'] > 0]
        if results['warp_deferred'] or not moved.any() or not len(joints):
            return results
        low, high = joints.min(axis=0), joints.max(axis=0)
        gaps *= (high - low).max()
        box = np.where(moved, np.concatenate([low - gaps[:2], high + gaps[2:]]), OPEN)
        height, width = results['img'][0].shape[:2]
        inside = inside_mask(results['warp_mat'], tuple(box), (width, height))
        results['img'] = [frame * inside[..., None] for frame in results['img']]
        results['gt_mask'] = results['gt_mask'] * inside
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, gap={self.gap})'
