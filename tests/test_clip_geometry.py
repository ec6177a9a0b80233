"""Property tests of the pixel grids, with random boxes and angles."""

import copy

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import KEYPOINT_CODECS

from clip_samples import blob, build, centroid, random_box, sample, texture
from star_pose.datasets.frames.geometry import (
    apply_matrix,
    box_matrix,
    compose,
    inside_mask,
    invert,
    recover_matrix,
    resize_matrix,
)

INPUT_SIZE = (192, 256)
SIZE = (320, 240)
UDP = dict(type='UDPHeatmap', input_size=INPUT_SIZE, heatmap_size=(48, 64), sigma=2)
SIMCC = dict(
    type='SimCCLabel',
    input_size=INPUT_SIZE,
    sigma=(4.9, 5.66),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)


def affine(use_udp=True, kind='ClipAffine', **kwargs):
    return dict(type=kind, input_size=INPUT_SIZE, use_udp=use_udp, **kwargs)


def turned(results, angle):
    results['bbox_rotation'] = np.array([angle], np.float32)
    return results


@pytest.mark.parametrize('method', ['bicubic', 'bilinear', 'area'])
def test_flipping_and_downsampling_commute_to_the_last_bit(method):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (256, 192, 3), dtype=np.uint8) for _ in range(3)]
    lr = build(dict(type='GenerateLRClip', downsample=method))
    base = dict(input_size=INPUT_SIZE, target_idx=1)
    straight = lr(dict(base, img=frames))
    mirrored = lr(dict(base, img=[np.ascontiguousarray(f[:, ::-1]) for f in frames]))
    for one, other in zip(straight['img'], mirrored['img'], strict=True):
        np.testing.assert_array_equal(one[:, ::-1], other)


@pytest.mark.parametrize('use_udp', [True, False])
def test_flipping_the_frame_mirrors_crop_mask_and_low_resolution_clip(use_udp):
    rng = np.random.default_rng(1)
    for _ in range(5):
        frames = [texture(SIZE, rng) for _ in range(3)]
        start = sample(frames, random_box(rng, SIZE), rng)
        tail = (affine(use_udp), dict(type='GenerateLRClip'))
        plain = build(dict(type='GetBBoxCenterScale'), *tail)(copy.deepcopy(start))
        flip = dict(type='RandomFlip', prob=1.0)
        flipped = build(dict(type='GetBBoxCenterScale'), flip, *tail)(copy.deepcopy(start))
        # MMPose's matrix without UDP maps the centre to w/2, half a pixel off the mirror axis of
        # the pixel grid, so its flipped crop is one pixel further; with UDP it is exact.
        shift = 0 if use_udp else 1
        one, other = plain['gt_img'][:, ::-1], flipped['gt_img']
        one, other = (one[:, : 192 - shift], other[:, shift:])
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 3
        if use_udp:
            difference = plain['gt_mask'][:, ::-1] != flipped['gt_mask']
            assert difference.mean() < 0.01
            for lr, lr_flipped in zip(plain['img'], flipped['img'], strict=True):
                assert np.abs(lr[:, ::-1].astype(int) - lr_flipped.astype(int)).max() <= 2


@pytest.mark.parametrize(('codec', 'use_udp'), [(UDP, True), (SIMCC, False)])
def test_keypoints_return_from_encoding_decoding_and_mapping_back(codec, use_udp):
    rng = np.random.default_rng(2)
    pipeline = build(
        dict(type='GetBBoxCenterScale'),
        affine(use_udp),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='GenerateLRClip'),
        dict(type='PackClipInputs'),
    )
    decoder = KEYPOINT_CODECS.build(codec)
    estimator = copy.copy(TopdownPoseEstimator.__new__(TopdownPoseEstimator))
    object.__setattr__(estimator, 'test_cfg', {})
    frame, errors = texture(SIZE, rng), []
    for _ in range(20):
        start = sample([frame] * 3, random_box(rng, SIZE), rng)
        packed = pipeline(copy.deepcopy(start))['data_samples']
        if codec is UDP:
            decoded, scores = decoder.decode(packed.gt_fields.heatmaps.numpy())
        else:
            labels = packed.gt_instance_labels
            decoded, scores = decoder.decode(
                labels.keypoint_x_labels.numpy(), labels.keypoint_y_labels.numpy()
            )
        prediction = InstanceData(keypoints=decoded, keypoint_scores=scores)
        returned = estimator.add_pred_to_datasample([prediction], None, [packed])[0]
        error = returned.pred_instances.keypoints - start['keypoints']
        errors.append(error * INPUT_SIZE[0] / packed.metainfo['input_scale'][0])
    errors = np.abs(errors)
    if codec is UDP:
        assert errors.mean() < 0.02
        assert errors.max() < 0.5  # at the heatmap's border the refinement lacks a neighbour
    else:
        assert errors.max() <= 0.5 / codec['simcc_split_ratio'] + 1e-3


@pytest.mark.parametrize('use_udp', [True, False])
def test_low_resolution_clip_has_a_spot_where_the_grid_says(use_udp):
    rng = np.random.default_rng(3)
    head = dict(type='GetBBoxCenterScale')
    pipeline = build(head, affine(use_udp), dict(type='GenerateLRClip'))
    for _ in range(12):
        box = (100.0, 60.0, 100 + rng.uniform(60, 140), 60 + rng.uniform(80, 160))
        spot = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) + rng.uniform(-15, 15, 2)
        frame = blob(SIZE, spot, sigma=7.0)
        start = turned(sample([frame] * 3, box, rng), rng.uniform(-80, 80))
        made = pipeline(start)
        expected = (apply_matrix(made['warp_mat'], spot) + 0.5) / 4 - 0.5
        np.testing.assert_allclose(centroid(made['img'][1]), expected, atol=0.04)


def test_identity_warp_returns_the_frame():
    rng = np.random.default_rng(5)
    frame = texture(INPUT_SIZE, rng)
    start = sample([frame] * 3, (0, 0, 192, 256), rng)
    # With UDP a box of (w - 1, h - 1) about the centre pixel's position is the image itself
    start.update(bbox_center=np.float32([[95.5, 127.5]]), bbox_scale=np.float32([[191, 255]]))
    # TopdownAffine widens boxes to the crop's ratio; 191/255 is not quite 192/256
    start['bbox_scale'] = np.float32([[191.25, 255]])
    made = build(affine(True))(start)
    np.testing.assert_allclose(made['warp_mat'], np.eye(2, 3), atol=0.14)
    exact = dict(input_center=np.array([95.5, 127.5]), input_scale=np.array([191.0, 255.0]))
    matrix = box_matrix(exact, INPUT_SIZE, use_udp=True)
    np.testing.assert_allclose(matrix, np.eye(2, 3), atol=1e-6)
    np.testing.assert_array_equal(cv2.warpAffine(frame, matrix, INPUT_SIZE), frame)
    assert inside_mask(matrix, (0, 0, 191, 255), INPUT_SIZE).all()


@pytest.mark.parametrize('use_udp', [True, False])
def test_clip_affine_equals_the_stock_affine_bit_for_bit(use_udp):
    rng = np.random.default_rng(6)
    for angle in (0.0, 33.0, -71.0):
        frames = [texture(SIZE, rng) for _ in range(3)]
        start = turned(sample(frames, random_box(rng, SIZE), rng), angle)
        head = dict(type='GetBBoxCenterScale')
        stock = build(head, affine(use_udp, 'TopdownAffine'))(copy.deepcopy(start))
        ours = build(head, affine(use_udp))(copy.deepcopy(start))
        for one, other in zip(stock['img'], ours['img'], strict=True):
            np.testing.assert_array_equal(one, other)
        for key in ('transformed_keypoints', 'input_center', 'input_scale', 'bbox_scale'):
            np.testing.assert_array_equal(stock[key], ours[key])
        np.testing.assert_array_equal(recover_matrix(stock), ours['warp_mat'])
        lr = build(dict(type='GenerateLRClip'))
        stock, ours = lr(stock), lr(ours)
        np.testing.assert_array_equal(stock['gt_mask'], ours['gt_mask'])


def test_matrix_that_the_keypoints_contradict_is_refused():
    rng = np.random.default_rng(7)
    start = sample([texture(SIZE, rng)] * 3, random_box(rng, SIZE), rng)
    stock = build(dict(type='GetBBoxCenterScale'), affine(kind='TopdownAffine'))(start)
    stock['transformed_keypoints'] = stock['transformed_keypoints'] + 1
    with pytest.raises(ValueError, match='ClipAffine'):
        build(dict(type='GenerateLRClip'))(stock)


def test_mask_is_the_warp_of_a_white_frame():
    rng = np.random.default_rng(8)
    white = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    seen = set()
    for _ in range(20):
        start = turned(sample([white] * 3, random_box(rng, SIZE), rng), rng.uniform(-80, 80))
        pipeline = (dict(type='GetBBoxCenterScale'), dict(type='RandomFlip'), affine())
        made = build(*pipeline, dict(type='GenerateLRClip'))(start)
        mask = made['gt_mask'].astype(bool)
        filled = made['gt_img'][..., 0] < 255  # some black of outside is mixed in
        assert not (filled & mask).any()
        # cv2 rounds positions to 1/32 pixel: the two may differ along the border line only
        assert (~filled & ~mask).mean() < 0.01
        seen.add(bool(mask.all()))
    assert seen == {True, False}


def test_resize_matrix_is_what_resizing_does():
    rng = np.random.default_rng(9)
    spot = rng.uniform(40, 100, 2)
    image = blob((160, 128), spot, sigma=8.0)
    small = cv2.resize(image[16:, 8:], (38, 28), interpolation=cv2.INTER_AREA)
    matrix = resize_matrix((38 / 152, 28 / 112), (8, 16))
    np.testing.assert_allclose(centroid(small), apply_matrix(matrix, spot), atol=0.02)
    np.testing.assert_allclose(compose(invert(matrix), matrix), np.eye(2, 3), atol=1e-12)
