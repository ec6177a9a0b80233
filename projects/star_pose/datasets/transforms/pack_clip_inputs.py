"""Pack a clip and its ground truth for the model."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import TRANSFORMS

__all__ = ['PackClipInputs']

_CLIP_META_KEYS = (
    'id',
    'img_id',
    'img_path',
    'category_id',
    'crowd_index',
    'ori_shape',
    'img_shape',
    'input_size',
    'input_center',
    'input_scale',
    'flip',
    'flip_direction',
    'flip_indices',
    'raw_ann_info',
    'dataset_name',
    'target_idx',
    'frame_paths',
    'nframes',
    'skeleton_links',
    'degradation',
    'sr_weight',
    'vid_id',
    'track_id',
    'frame_id',
    'head_box',
)


@TRANSFORMS.register_module()
class PackClipInputs(PackPoseInputs):
    """MMPose's ``PackPoseInputs`` for clips, with the super-resolution target.

    Required Keys:

    - img: list of T (h, w, 3) uint8
    - gt_img: (H, W, 3) uint8 (optional)
    - gt_mask: (H, W) uint8 (optional)
    - those of ``PackPoseInputs``

    Packed:

    - inputs: (T, 3, h, w) uint8
    - data_samples: as of ``PackPoseInputs``, with the keypoints in pixels of the high-resolution
      crop as ``gt_instances.transformed_keypoints``, (1, K, 2) float32, and with ``gt_sr``, a
      ``PixelData`` of ``img`` (3, H, W) uint8 BGR and ``mask`` (1, H, W) uint8, where there is a
      high-resolution target. (``gt_fields`` cannot hold it: one ``PixelData`` has one size, and
      the codec's own mapping table decides what goes there.)

    Args:
        meta_keys: Keys that go to the meta information, where present.
        pack_transformed: Whether to pack the keypoints in crop pixels, which the pose-aware loss
            needs.
    """

    def __init__(
        self, meta_keys: tuple[str, ...] = _CLIP_META_KEYS, pack_transformed: bool = True
    ) -> None:
        super().__init__(meta_keys=meta_keys, pack_transformed=pack_transformed)

    def transform(self, results: dict) -> dict:
        """Pack a sample.

        Args:
            results: The sample.

        Returns:
            ``inputs`` and ``data_samples``.
        """
        keypoints = results.get('transformed_keypoints')
        if keypoints is not None:
            # Without keypoints TopdownAffine leaves an array of no dimension, which cannot be
            # packed, and a (1, 1, 1) visibility of nothing
            results = {k: v for k, v in results.items() if k != 'transformed_keypoints'}
            if keypoints.ndim == 3:
                results['transformed_keypoints'] = keypoints[..., :2].astype(np.float32)
        dataset = results.get('dataset')
        if dataset is not None and 'skeleton_links' in dataset.metainfo:
            # MMPose's CombinedDataset leaves the links of the part's own joints in the sample,
            # although KeypointConverter has changed the joints
            results = {**results, 'skeleton_links': dataset.metainfo['skeleton_links']}
        packed = super().transform(results)
        if results.get('gt_img') is not None:
            fields = dict(img=torch.from_numpy(_channels_first(results['gt_img'])))
            if results.get('gt_mask') is not None:
                fields['mask'] = torch.from_numpy(_channels_first(results['gt_mask'][..., None]))
            packed['data_samples'].gt_sr = PixelData(**fields)
        return packed


def _channels_first(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))  # H W C -> C H W
