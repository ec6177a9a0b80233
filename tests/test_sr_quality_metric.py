"""PSNR and SSIM against scikit-image, and what counts."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from star_pose.evaluation.sr_quality_metric import (
    SRQualityMetric,
    luma,
    psnr,
    ssim_map,
    ssim_region,
)

H, W = 64, 48
SSIM = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)


def make_images(seed=0):
    """A smooth RGB picture and a noisy copy, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:H, :W]
    periods = enumerate((5, 8, 13))
    hr = np.stack([127 + 100 * np.sin(rows / p + c) * np.cos(columns / 7) for c, p in periods], -1)
    hr = hr.round().clip(0, 255).astype(np.uint8)
    sr = (hr + rng.normal(0, 12, hr.shape)).round().clip(0, 255).astype(np.uint8)
    return sr, hr


def make_sample(sr, hr, keypoints=((10.0, 20.0), (30.0, 50.0)), visible=(1, 1), mask=None):
    bgr = torch.from_numpy(hr[..., ::-1].copy()).permute(2, 0, 1)
    sample = {
        'img_path': 'video/000003.jpg',
        'pred_sr': {'img': torch.from_numpy(sr.astype(np.float32)).permute(2, 0, 1)},
        'gt_sr': {'img': bgr},
        'gt_instances': {
            'transformed_keypoints': np.array([keypoints]),
            'keypoints': np.zeros((1, len(keypoints), 2)),
            'keypoints_visible': np.array([visible]),
        },
    }
    if mask is not None:
        sample['gt_sr']['mask'] = torch.from_numpy(mask[None].astype(np.uint8))
    return sample


def evaluate(samples, **kwargs):
    metric = SRQualityMetric(**kwargs)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_whole_frame_equals_scikit_image():
    pairs = [make_images(seed) for seed in range(3)]
    metrics = evaluate([make_sample(*pair) for pair in pairs])
    expected = np.mean([peak_signal_noise_ratio(hr, sr) for sr, hr in pairs])
    assert metrics['sr/PSNR'] == pytest.approx(expected, abs=1e-9)
    expected = np.mean([structural_similarity(sr, hr, channel_axis=2, **SSIM) for sr, hr in pairs])
    assert metrics['sr/SSIM'] == pytest.approx(expected, abs=1e-6)


def test_luma_equals_scikit_image():
    sr, hr = make_images()
    assert np.allclose(luma(sr)[..., 0], rgb2ycbcr(sr)[..., 0], atol=1e-4)
    metrics = evaluate([make_sample(sr, hr)])
    y_sr, y_hr = rgb2ycbcr(sr)[..., 0], rgb2ycbcr(hr)[..., 0]
    expected = peak_signal_noise_ratio(y_hr, y_sr, data_range=255)
    assert metrics['sr/PSNR_Y'] == pytest.approx(expected, abs=1e-4)
    assert metrics['sr/SSIM_Y'] == pytest.approx(
        structural_similarity(y_sr, y_hr, **SSIM), abs=1e-6
    )


def test_ssim_map_equals_scikit_image_inside():
    sr, hr = make_images()
    _, full = structural_similarity(sr, hr, channel_axis=2, full=True, **SSIM)
    inside = ssim_region(np.ones((H, W), bool))
    assert inside.sum() == (H - 10) * (W - 10)
    assert np.allclose(ssim_map(sr, hr)[inside], full.mean(-1)[inside], atol=1e-5)


def test_keypoint_regions_are_discs_around_labelled_joints():
    sr, hr = make_images()
    rows, columns = np.mgrid[:H, :W]
    disc = (columns - 10) ** 2 + (rows - 20) ** 2 <= 8**2
    metrics = evaluate([make_sample(sr, hr, visible=(1, 0))], radius=8)
    error = ((sr[disc].astype(float) - hr[disc]) ** 2).mean()
    assert metrics['sr/kpt_PSNR'] == pytest.approx(10 * np.log10(255**2 / error))
    worse = sr.copy()
    worse[40:, 20:] = 0
    spoilt = evaluate([make_sample(worse, hr, visible=(1, 0))], radius=8)
    assert spoilt['sr/kpt_PSNR'] == metrics['sr/kpt_PSNR']
    assert spoilt['sr/kpt_SSIM'] == metrics['sr/kpt_SSIM']
    assert spoilt['sr/PSNR'] < metrics['sr/PSNR'] - 3


def test_keypoints_of_the_source_image_are_mapped_into_the_crop():
    sr, hr = make_images()
    direct = make_sample(sr, hr)
    mapped = make_sample(sr, hr)
    crop = mapped['gt_instances'].pop('transformed_keypoints')
    mapped['gt_instances']['keypoints'] = crop * 2 + np.array([100, 60]) - np.array([W, H])
    mapped.update(input_center=[100, 60], input_scale=[2 * W, 2 * H], input_size=(W, H))
    assert evaluate([mapped]) == evaluate([direct])


def test_padding_never_counts():
    sr, hr = make_images()
    mask = np.ones((H, W), bool)
    mask[:, :20] = False
    clean = evaluate([make_sample(sr, hr, mask=mask)])
    spoilt_sr = sr.copy()
    spoilt_sr[:, :20] = 0
    assert evaluate([make_sample(spoilt_sr, hr, mask=mask)]) == clean
    expected = psnr(sr[:, 20:], hr[:, 20:], np.ones((H, W - 20), bool))
    assert clean['sr/PSNR'] == pytest.approx(expected)
    cropped = structural_similarity(sr[:, 20:], hr[:, 20:], channel_axis=2, **SSIM)
    assert clean['sr/SSIM'] == pytest.approx(cropped, abs=1e-6)


def test_equal_frames_have_100_db_and_the_smallest_error_less():
    _, hr = make_images()
    assert evaluate([make_sample(hr, hr)])['sr/PSNR'] == 100
    frame = np.full((256, 192, 3), 7, np.uint8)
    other = frame.copy()
    other[0, 0, 0] = 8
    whole = np.ones((256, 192), bool)
    assert 99.7 < psnr(frame, other, whole) < 100


def test_prediction_is_rounded_and_clipped_like_a_stored_image():
    _, hr = make_images()
    sample = make_sample(hr, hr)
    sample['pred_sr']['img'] = sample['pred_sr']['img'] + 0.4
    assert evaluate([sample])['sr/PSNR'] == 100


def test_normalised_target_gives_the_same_numbers():
    sr, hr = make_images()
    raw = make_sample(sr, hr)
    normalised = make_sample(sr, hr)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    rgb = torch.from_numpy(hr.astype(np.float32)).permute(2, 0, 1)
    offset, factor = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    normalised['gt_sr']['img'] = (rgb - offset) / factor
    normalised['img_norm_cfg'] = dict(mean=mean, std=std)
    assert evaluate([normalised]) == pytest.approx(evaluate([raw]), abs=1e-4)


def test_samples_without_hr_target_are_left_out():
    sr, hr = make_images()
    without = make_sample(hr, hr)
    del without['gt_sr']
    assert evaluate([make_sample(sr, hr), without]) == evaluate([make_sample(sr, hr)])
    with pytest.raises(ValueError, match='none of 1 samples has an HR target'):
        evaluate([without])


def test_missing_sr_frame_says_how_to_get_it():
    sample = make_sample(*make_images())
    del sample['pred_sr']
    with pytest.raises(ValueError, match=r'000003.jpg.*test_cfg.output_sr=True'):
        evaluate([sample])
    sample = make_sample(*make_images())
    sample['pred_sr']['img'] = sample['pred_sr']['img'][:, :32]
    with pytest.raises(ValueError, match=r'\(3, 32, 48\)'):
        evaluate([sample])
    with pytest.raises(ValueError, match='radius=0'):
        SRQualityMetric(radius=0)
