"""PSNR and SSIM over a region of an image, as super-resolution papers compute them."""

import cv2
import mmcv
import numpy as np

__all__ = ['luma', 'psnr', 'ssim_map', 'ssim_region']

# A uint8 RGB frame of 256x192 that differs by 1 in one value has 99.8 dB: equal frames come next.
# A number instead of infinity keeps the mean over frames finite.
_EQUAL_PSNR = 100.0
_SSIM_RADIUS = 5  # of the 11x11 Gaussian window with sigma 1.5
_SSIM_SIGMA = 1.5
_GREY = np.float32(127.5)
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(image: np.ndarray) -> np.ndarray:
    """The Y channel of BT.601 in [16, 235], which super-resolution papers report.

    Args:
        image: (H, W, 3) RGB in [0, 255].

    Returns:
        (H, W, 1) float32; mmcv's conversion, not rounded.
    """
    y = mmcv.rgb2ycbcr((image / 255).astype(np.float32), y_only=True)
    return y[..., None] * np.float32(255)


def psnr(image: np.ndarray, reference: np.ndarray, region: np.ndarray) -> float:
    """Peak signal-to-noise ratio over a region.

    Args:
        image: (H, W, C) in [0, 255].
        reference: Of the same shape.
        region: (H, W) bool.

    Returns:
        dB, 100 for equal images; NaN for an empty region.
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
    """The pixels whose SSIM window lies wholly inside the image and its valid part.

    Args:
        valid: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    size = 2 * _SSIM_RADIUS + 1
    kernel = np.ones((size, size), np.uint8)
    inside = cv2.erode(
        valid.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return inside.astype(bool)
