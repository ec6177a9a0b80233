import functools
import math

import pytest
import torch

from pose_batches import batch, build, losses_of, star_pose
from star_pose.models import PoseAwareSRLoss
from star_pose.models.losses import pose_aware_sr_loss
from star_pose.models.losses.pose_aware_sr_loss import pose_evidence

EPS = 1e-3
NO_STRUCTURE = {'structure': 0}


def charbonnier(value):
    return math.sqrt(value**2 + EPS**2) - EPS


@pytest.fixture
def frames():
    torch.manual_seed(0)
    return torch.randn(2, 3, 32, 24), torch.randn(2, 3, 32, 24)


class TestEvidence:
    def test_a_joint_is_a_gaussian_of_the_given_deviation(self):
        evidence = pose_evidence(
            torch.tensor([[[10.0, 7.0]]]), torch.ones(1, 1), (24, 32), sigma=3, stride=1
        )
        assert evidence.shape == (1, 1, 32, 24)
        assert evidence[0, 0, 7, 10] == 1
        # Distances 3 and 5 pixels: one deviation, and the 3-4-5 triangle.
        assert evidence[0, 0, 7, 13] == pytest.approx(math.exp(-0.5))
        assert evidence[0, 0, 11, 13] == pytest.approx(math.exp(-25 / 18))

    def test_a_limb_is_equally_strong_along_its_line(self):
        keypoints = torch.tensor([[[4.0, 4.0], [20.0, 20.0]]])
        evidence = pose_evidence(
            keypoints, torch.ones(1, 2), (24, 32), [(0, 1)], sigma=0.5, limb_sigma=2, stride=1
        )[0, 0]
        assert torch.allclose(evidence.diagonal()[4:21], torch.ones(17))
        # The point (12, 16) is 4 / sqrt(2) pixels off the diagonal.
        assert evidence[16, 12] == pytest.approx(math.exp(-8 / 8))
        # Behind the end only the distance to the end counts.
        assert evidence[22, 22] == pytest.approx(math.exp(-8 / 8))

    def test_overlapping_evidence_is_the_maximum_not_the_sum(self):
        twice = torch.tensor([[[10.0, 10.0], [10.0, 10.0]]])
        evidence = pose_evidence(twice, torch.ones(1, 2), (24, 32), [(0, 1)], stride=1)
        once = pose_evidence(twice[:, :1], torch.ones(1, 1), (24, 32), stride=1)
        assert torch.equal(evidence, once)

    @pytest.mark.parametrize(
        'outside', [(-1.0, 5.0), (24.0, 5.0), (5.0, 31.5), (float('nan'), 5.0)]
    )
    def test_a_joint_outside_the_frame_and_its_limb_add_nothing(self, outside):
        keypoints = torch.tensor([[[12.0, 12.0], outside]])
        evidence = pose_evidence(keypoints, torch.ones(1, 2), (24, 32), [(0, 1)], stride=1)
        alone = pose_evidence(keypoints[:, :1], torch.ones(1, 1), (24, 32), stride=1)
        assert torch.equal(evidence, alone)

    def test_an_unlabelled_joint_and_its_limb_add_nothing(self):
        keypoints = torch.tensor([[[12.0, 12.0], [0.0, 0.0]]])
        visible = torch.tensor([[1.0, 0.0]])
        evidence = pose_evidence(keypoints, visible, (24, 32), [(0, 1)], stride=1)
        alone = pose_evidence(keypoints[:, :1], visible[:, :1], (24, 32), stride=1)
        assert torch.equal(evidence, alone)
        nobody = pose_evidence(keypoints, torch.zeros(1, 2), (24, 32), [(0, 1)], stride=1)
        assert not nobody.any()

    def test_the_coarse_map_stays_close_to_the_exact_one(self):
        torch.manual_seed(0)
        keypoints = torch.rand(3, 6, 2) * torch.tensor([95.0, 127.0])
        args = (keypoints, torch.ones(3, 6), (96, 128), [(0, 1), (2, 3)])
        exact, coarse = pose_evidence(*args, stride=1), pose_evidence(*args, stride=2)
        assert coarse.shape == exact.shape
        assert (coarse - exact).abs().max() < 0.12
        assert (coarse - exact).abs().mean() < 0.005

    def test_a_size_that_is_no_multiple_of_the_stride_is_kept(self):
        evidence = pose_evidence(torch.zeros(1, 1, 2), torch.ones(1, 1), (23, 30), stride=4)
        assert evidence.shape == (1, 1, 30, 23)


class TestPixelTerm:
    def test_a_constant_error_gives_its_charbonnier_whatever_the_evidence(self, frames):
        sr, _ = frames
        keypoints = torch.tensor([[[5.0, 5.0]], [[12.0, 20.0]]])
        losses = PoseAwareSRLoss()(sr + 0.3, sr, keypoints)
        assert losses['loss_sr_pixel'].item() == pytest.approx(charbonnier(0.3), rel=1e-5)

    def test_equal_frames_cost_nothing(self, frames):
        losses = PoseAwareSRLoss()(frames[0], frames[0])
        assert losses['loss_sr_pixel'] == losses['loss_sr_structure'] == 0

    def test_an_error_on_a_joint_weighs_one_plus_gain_times_more(self, monkeypatch):
        hr = torch.zeros(1, 3, 33, 33)
        keypoints = torch.tensor([[[16.0, 16.0]]])
        exact = functools.partial(pose_evidence, stride=1)
        monkeypatch.setattr(pose_aware_sr_loss, 'pose_evidence', exact)
        on, off = hr.clone(), hr.clone()
        on[..., 16, 16] = 1
        off[..., 0, 0] = 1  # 16 sqrt(2) pixels away: 7.5 deviations
        loss = PoseAwareSRLoss(sigma=3, evidence_gain=4, weights=NO_STRUCTURE)
        ratio = loss(on, hr, keypoints)['loss_sr_pixel'] / loss(off, hr, keypoints)['loss_sr_pixel']
        assert ratio.item() == pytest.approx(5, rel=1e-5)

    def test_without_gain_it_is_the_plain_mean(self, frames):
        sr, hr = frames
        loss = PoseAwareSRLoss(evidence_gain=0)
        value = loss(sr, hr, torch.tensor([[[5.0, 5.0]]] * 2))['loss_sr_pixel']
        expected = (((sr - hr) ** 2 + EPS**2).sqrt() - EPS).mean()
        torch.testing.assert_close(value, expected)

    def test_the_padding_is_masked(self, frames):
        sr, hr = frames
        mask = torch.ones(2, 1, 32, 24)
        mask[..., :8] = 0
        loss = PoseAwareSRLoss(weights=NO_STRUCTURE)
        keypoints = torch.tensor([[[12.0, 5.0]]] * 2)
        masked = loss(sr, hr, keypoints, mask=mask)['loss_sr_pixel']
        noise = sr.clone()
        noise[..., :8] = 100
        assert loss(noise, hr, keypoints, mask=mask)['loss_sr_pixel'] == masked


class TestStructureTerm:
    def test_a_ramp_of_slope_s_costs_half_its_charbonnier(self):
        # Along x the difference is s everywhere, along y it is 0; the two are averaged.
        ramp = 0.2 * torch.arange(24.0).expand(1, 3, 32, 24)
        value = PoseAwareSRLoss(weights={'structure': 1.0})(ramp, torch.zeros_like(ramp))
        assert value['loss_sr_structure'].item() == pytest.approx(charbonnier(0.2) / 2, rel=1e-4)

    def test_a_constant_offset_is_free(self, frames):
        losses = PoseAwareSRLoss()(frames[0] + 1, frames[0])
        assert losses['loss_sr_structure'].item() == pytest.approx(0, abs=1e-6)

    def test_no_difference_reaches_across_the_mask(self, frames):
        sr, hr = frames
        mask = torch.ones(2, 1, 32, 24)
        mask[..., 10:] = 0
        loss = PoseAwareSRLoss()
        expected = loss(sr, hr, mask=mask)['loss_sr_structure']
        noise = sr.clone()
        noise[..., 10:] = 1e3
        assert loss(noise, hr, mask=mask)['loss_sr_structure'] == expected


class TestWeights:
    def test_samples_of_weight_zero_add_nothing_yet_stay_in_the_graph(self, frames):
        sr, hr = frames[0].clone().requires_grad_(), frames[1]
        loss = PoseAwareSRLoss()
        alone = loss(sr[:1], hr[:1])['loss_sr_pixel']
        both = loss(sr, hr, sample_weight=torch.tensor([1.0, 0.0]))['loss_sr_pixel']
        torch.testing.assert_close(both, alone / 2)
        none = loss(sr, hr, mask=torch.zeros(2, 1, 32, 24), sample_weight=torch.zeros(2))
        sum(none.values()).backward()
        assert sum(none.values()) == 0
        assert sr.grad is not None
        assert not sr.grad.any()

    def test_fixed_weights_scale_each_term_and_the_pose_loss(self, frames):
        plain = PoseAwareSRLoss()
        weighted = PoseAwareSRLoss(weights={'pose': 2.0, 'pixel': 0.5, 'structure': 0.0})
        pose = {'loss_kpt': torch.tensor(3.0), 'loss_bone': [torch.tensor(1.0)], 'acc_pose': 0.5}
        losses, reference = weighted(*frames, pose_losses=pose), plain(*frames)
        assert losses['loss_kpt'] == 6
        assert losses['loss_bone'] == [2]
        assert losses['acc_pose'] == 0.5
        assert losses['loss_sr_pixel'] == 0.5 * reference['loss_sr_pixel']
        assert 'loss_sr_structure' not in losses

    def test_by_default_the_structure_weighs_half(self, frames):
        equal = PoseAwareSRLoss(weights={'structure': 1.0})(*frames)
        default = PoseAwareSRLoss()(*frames)
        assert default['loss_sr_pixel'] == equal['loss_sr_pixel']
        torch.testing.assert_close(2 * default['loss_sr_structure'], equal['loss_sr_structure'])

    @pytest.mark.parametrize(
        ('weights', 'words'),
        [
            ({'pixel': -1}, "'pixel' is -1"),
            ({'pixel': '1'}, "'pixel' is '1'"),
            ({'pixels': 1.0}, r"names 'pixels'; the terms are pose, pixel, structure"),
            ({'type': 'FixedLossWeights', 'pixel': 1.0}, "names 'type'"),
        ],
    )
    def test_weights_that_are_misspelt_or_out_of_range_are_refused(self, weights, words):
        with pytest.raises(ValueError, match=words):
            PoseAwareSRLoss(weights=weights)

    def test_they_weigh_inside_the_model(self):
        values = []
        for weight in (1.0, 3.0):
            loss = {'type': 'PoseAwareSRLoss', 'weights': {'pose': weight}}
            values.append(losses_of(build(star_pose(sr_loss=loss)), batch()))
        torch.testing.assert_close(values[1]['loss_kpt'], 3 * values[0]['loss_kpt'])
        torch.testing.assert_close(values[1]['loss_sr_pixel'], values[0]['loss_sr_pixel'])


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        ({'sigma': 0}, 'sigma=0'),
        ({'evidence_gain': -1}, 'evidence_gain=-1'),
    ],
)
def test_bad_arguments_are_named(args, words):
    with pytest.raises(ValueError, match=words):
        PoseAwareSRLoss(**args)


def test_shapes_that_disagree_are_named(frames):
    loss = PoseAwareSRLoss()
    with pytest.raises(ValueError, match=r'\(2, 3, 32, 24\) and hr \(2, 3, 32, 12\)'):
        loss(frames[0], frames[1][..., :12])
    with pytest.raises(ValueError, match=r'mask has shape \(2, 32, 24\)'):
        loss(*frames, mask=torch.ones(2, 32, 24))


def test_the_gradient_matches_finite_differences():
    torch.manual_seed(0)
    hr = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    keypoints = torch.tensor([[[2.0, 2.0]]])
    loss = PoseAwareSRLoss(sigma=1)
    sr = torch.randn_like(hr).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sum(loss(x, hr, keypoints).values()), sr)
