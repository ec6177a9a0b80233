"""How well the super-resolved frame matches the high-resolution one."""

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from .clip_metric import ClipMetric
from .image_quality import luma, psnr, ssim_map, ssim_region
from .sr_frames import image_to_crop, target_to_rgb

__all__ = ['SRQualityMetric']


@METRICS.register_module()
class SRQualityMetric(ClipMetric):
    """PSNR and SSIM of the SR frame on RGB and on Y, over the frame and around the keypoints.

    Keys: ``PSNR``, ``SSIM`` (RGB), ``PSNR_Y``, ``SSIM_Y`` (luma of BT.601), and the four again
    with the prefix ``kpt_``, over discs around the labelled joints: a super-resolution that serves
    the pose may lose on the frame and win there. Each is the mean over frames.

    The prediction is rounded to uint8 values first, as it would be stored. Padding outside the
    source image (``gt_sr.mask`` 0) never counts. Needs ``model.test_cfg.output_sr=True``, and a
    test pipeline that keeps the HR target.

    Args:
        radius: Of the discs, in pixels of the HR crop. 16 is two standard deviations of the
            heatmap target (sigma 2 at stride 4).
        **kwargs: Of :class:`ClipMetric`.

    Raises:
        ValueError: If the radius is not positive.
    """

    default_prefix = 'sr'

    def __init__(self, radius: float = 16, **kwargs):
        super().__init__(**kwargs)
        if radius <= 0:
            raise ValueError(f'radius={radius}: give a positive number of HR pixels')
        self.radius = radius

    def measure(self, sample: dict) -> dict[str, float] | None:
        """Quality of one frame.

        Args:
            sample: Output of the model: ``pred_sr.img`` (3, H, W) RGB in [0, 255], ``gt_sr`` with
                ``img`` and ``mask`` (1, H, W), keypoints in ``gt_instances``.

        Returns:
            The eight numbers; None without ``gt_sr``, where the source is itself low-resolution.

        Raises:
            ValueError: If there is no SR frame, or its size is not the target's.
        """
        if 'pred_sr' not in sample:
            raise ValueError(
                f'{sample.get("img_path")}: the model returned no SR frame (pred_sr); set '
                'model.test_cfg.output_sr=True, and use a model that has an SR decoder'
            )
        if 'gt_sr' not in sample:
            return None
        predicted, target = sample['pred_sr']['img'], sample['gt_sr']['img']
        if predicted.shape != target.shape:
            raise ValueError(
                f'{sample.get("img_path")}: the SR frame has shape {tuple(predicted.shape)} and '
                f'its target {tuple(target.shape)}; make the codec size the scale times the LR size'
            )
        sr = _to_image(predicted)
        hr = _to_image(target_to_rgb(target, sample.get('img_norm_cfg')))
        valid = np.ones(sr.shape[:2], bool)
        if 'mask' in sample['gt_sr']:
            valid = sample['gt_sr']['mask'][0].cpu().numpy() > 0
        inside = ssim_region(valid)
        discs = self._discs(sample, valid.shape)
        measures = {}
        for suffix, image, reference in (('', sr, hr), ('_Y', luma(sr), luma(hr))):
            similarity = ssim_map(image, reference)
            measures[f'PSNR{suffix}'] = psnr(image, reference, valid)
            measures[f'SSIM{suffix}'] = _mean(similarity[inside])
            measures[f'kpt_PSNR{suffix}'] = psnr(image, reference, valid & discs)
            measures[f'kpt_SSIM{suffix}'] = _mean(similarity[inside & discs])
        return measures

    def _discs(self, sample: dict, shape: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: within ``radius`` of a labelled joint of any person of the sample."""
        gt = sample.get('gt_instances', {})
        region = np.zeros(shape, bool)
        if 'keypoints' not in gt:
            return region
        if 'transformed_keypoints' in gt:
            keypoints = np.asarray(gt['transformed_keypoints'])
        else:
            keypoints = image_to_crop(np.asarray(gt['keypoints']), sample)
        labelled = np.asarray(gt['keypoints_visible']).reshape(*keypoints.shape[:2], -1)[..., 0] > 0
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        for x, y in keypoints[labelled]:
            region |= (columns - x) ** 2 + (rows - y) ** 2 <= self.radius**2
        return region

    def summarise(self, measures: list[dict | None]) -> dict[str, float]:
        """Average over the frames.

        Args:
            measures: Of all frames, as of :meth:`measure`; None is counted and left out.

        Returns:
            Means; dB for PSNR, at most 1 for SSIM. Frames in which a region is empty are left out
            of that mean.

        Raises:
            ValueError: If no sample had an HR target.
        """
        measured = [measure for measure in measures if measure is not None]
        if not measured:
            raise ValueError(
                f'none of {len(measures)} samples has an HR target (gt_sr): put GenerateLRClip '
                'into the test pipeline, and use a source that is not itself low-resolution'
            )
        MMLogger.get_current_instance().info(
            f'SRQualityMetric: {len(measured)} frames, {len(measures) - len(measured)} without HR '
            'target left out'
        )
        return {key: _mean(np.array([measure[key] for measure in measured])) for key in measured[0]}


def _to_image(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 255] -> (H, W, 3) of whole numbers, float32."""
    rounded = image.detach().float().cpu().round().clamp(0, 255)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are numbers; NaN where none is."""
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if len(numbers) else float('nan')
