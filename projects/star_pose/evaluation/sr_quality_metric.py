"""How well the super-resolved frame matches the high-resolution one."""

import cv2
import mmcv
import numpy as np
import torch
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from ..models.data_samples import denormalise
from ..posetrack.score_ap import mean_labelled
from .clip_metric import ClipMetric

__all__ = [
    'SRQualityMetric',
    'image_to_crop',
    'luma',
    'psnr',
    'ssim_map',
    'ssim_region',
    'target_to_rgb',
]

# A uint8 RGB frame of 256x192 that differs by 1 in one value has 99.8 dB: equal frames come next.
# A number instead of infinity keeps the mean over frames finite.
_EQUAL_PSNR = 100.0
_SSIM_RADIUS = 5  # of the 11x11 Gaussian window with sigma 1.5
_SSIM_SIGMA = 1.5
_GREY = np.float32(127.5)
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


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
            measures[f'SSIM{suffix}'] = mean_labelled(similarity[inside])
            measures[f'kpt_PSNR{suffix}'] = psnr(image, reference, valid & discs)
            measures[f'kpt_SSIM{suffix}'] = mean_labelled(similarity[inside & discs])
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
        return {key: mean_labelled([measure[key] for measure in measured]) for key in measured[0]}


def _to_image(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 255] -> (H, W, 3) of whole numbers, float32."""
    rounded = image.detach().float().cpu().round().clamp(0, 255)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())


def target_to_rgb(image: torch.Tensor, img_norm_cfg: dict | None) -> torch.Tensor:
    """Bring ``gt_sr.img`` back to RGB in [0, 255].

    Args:
        image: (3, H, W); uint8 BGR as packed, or float RGB as the data preprocessor normalised it.
        img_norm_cfg: The sample's metainfo of that name: ``mean`` and ``std``, 3 values each, in
            RGB order and in [0, 255]. Only a float image needs it.

    Returns:
        (3, H, W) float32 RGB in [0, 255].

    Raises:
        ValueError: If the image is float and its normalisation is unknown.
    """
    if image.dtype == torch.uint8:
        return image.flip(0).float()
    if img_norm_cfg is None:
        raise ValueError(
            f'gt_sr.img has dtype {image.dtype}, so it is normalised, but the sample has no '
            'img_norm_cfg to undo it; use PoseClipDataPreprocessor, which records it'
        )
    return denormalise(image.float(), **img_norm_cfg)


def image_to_crop(keypoints: np.ndarray, metainfo: dict) -> np.ndarray:
    """Map keypoints of the source image into the HR crop that the network saw.

    The inverse of what ``TopdownPoseEstimator.add_pred_to_datasample`` does to predictions; like
    that, it spreads the box over ``input_size`` pixels, so that under a UDP affine the result is
    off by less than one HR pixel.

    Args:
        keypoints: (N, K, 2) in pixels of the source image.
        metainfo: A data sample's, with ``input_center``, ``input_scale`` and ``input_size`` (w, h).

    Returns:
        (N, K, 2) in pixels of the crop.
    """
    centre, scale = np.asarray(metainfo['input_center']), np.asarray(metainfo['input_scale'])
    return (keypoints - centre + scale / 2) / scale * np.asarray(metainfo['input_size'])


def luma(image: np.ndarray) -> np.ndarray:
    """The Y channel of BT.601 in [16, 235], not rounded: (H, W, 3) RGB in [0, 255] -> (H, W, 1)."""
    y = mmcv.rgb2ycbcr((image / 255).astype(np.float32), y_only=True)
    return y[..., None] * np.float32(255)


def psnr(image: np.ndarray, reference: np.ndarray, region: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of (H, W, C) images in [0, 255] over a (H, W) region.

    It is 100 for equal images and NaN for an empty region.
    """
    if not region.any():
        return float('nan')
    difference = image[region] - reference[region].astype(np.float32)
    error = np.mean(np.square(difference), dtype=np.float64)
    return float(10 * np.log10(255**2 / error)) if error > 0 else _EQUAL_PSNR


def ssim_map(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Structural similarity at every pixel (Wang et al., "Image quality assessment", TIP 2004).

    Gaussian window 11x11 with sigma 1.5, population covariance, K1 = 0.01 and K2 = 0.03.

    Args:
        image: (H, W, C) in [0, 255].
        reference: Of the same shape.

    Returns:
        (H, W) float32, the mean over channels, exact to 1e-5. Near the border the window leaves
        the image: see :func:`ssim_region`.
    """

    def blur(values: np.ndarray) -> np.ndarray:
        size = 2 * _SSIM_RADIUS + 1
        return cv2.GaussianBlur(values, (size, size), _SSIM_SIGMA).reshape(image.shape)

    # Around 0, where single precision loses least in the differences of squares below.
    x, y = image.astype(np.float32) - _GREY, reference.astype(np.float32) - _GREY
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + _GREY, mean_y + _GREY
    similarity = ((2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)) / (
        (mean_x**2 + mean_y**2 + _SSIM_C1) * (var_x + var_y + _SSIM_C2)
    )
    return similarity.mean(-1)


def ssim_region(valid: np.ndarray) -> np.ndarray:
    """The pixels whose SSIM window lies wholly inside the image and its valid part, (H, W)."""
    size = 2 * _SSIM_RADIUS + 1
    kernel = np.ones((size, size), np.uint8)
    inside = cv2.erode(
        valid.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return inside.astype(bool)
