"""Change colours of a whole clip alike."""

from mmcv.transforms.utils import cache_random_params
from mmpose.datasets.transforms import PhotometricDistortion
from mmpose.registry import TRANSFORMS

from .random_source import fetch_rng

__all__ = ['ClipPhotometricDistortion']


@TRANSFORMS.register_module()
class ClipPhotometricDistortion(PhotometricDistortion):
    """MMPose's ``PhotometricDistortion``, drawn once a clip and applied to all its frames.

    Place it after ``ClipAffine``, where crops are small, and before ``GenerateLRClip``, so that
    the high-resolution target gets the same colours.

    Required Keys:

    - img: list of T (H, W, 3) uint8

    Modified Keys:

    - img

    Args:
        prob: Probability of changing a clip, in [0, 1].
        **kwargs: Arguments of MMPose's ``PhotometricDistortion``.
    """

    def __init__(self, prob: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Change the colours of all frames.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        if fetch_rng().random() < self.prob:
            with cache_random_params(self):  # super() draws in the first frame, then repeats
                parent = super().transform
                results['img'] = [parent(dict(img=frame))['img'] for frame in results['img']]
        return results
