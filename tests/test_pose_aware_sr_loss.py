import copy
import math
import pathlib

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage

from pose_batches import batch, build, estimator, losses_of, star_pose
from star_pose.models import (
    FixedLossWeights,
    FrozenPoseFeatures,
    PoseAwareSRLoss,
    ScheduledLossWeights,
    UncertaintyLossWeights,
)
from star_pose.models.losses.pose_evidence import pose_evidence

EPS = 1e-3


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
        losses = PoseAwareSRLoss(structure='laplacian')(frames[0], frames[0])
        assert losses['loss_sr_pixel'] == losses['loss_sr_structure'] == 0

    def test_an_error_on_a_joint_weighs_one_plus_gain_times_more(self):
        hr = torch.zeros(1, 3, 33, 33)
        keypoints = torch.tensor([[[16.0, 16.0]]])
        on, off = hr.clone(), hr.clone()
        on[..., 16, 16] = 1
        off[..., 0, 0] = 1  # 16 sqrt(2) pixels away: 7.5 deviations
        loss = PoseAwareSRLoss(sigma=3, evidence_gain=4, evidence_stride=1, structure=None)
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
        loss = PoseAwareSRLoss(structure=None)
        keypoints = torch.tensor([[[12.0, 5.0]]] * 2)
        masked = loss(sr, hr, keypoints, mask=mask)['loss_sr_pixel']
        noise = sr.clone()
        noise[..., :8] = 100
        assert loss(noise, hr, keypoints, mask=mask)['loss_sr_pixel'] == masked


class TestStructureTerm:
    def test_a_ramp_of_slope_s_costs_half_its_charbonnier(self):
        # Along x the difference is s everywhere, along y it is 0; the two are averaged.
        ramp = 0.2 * torch.arange(24.0).expand(1, 3, 32, 24)
        value = PoseAwareSRLoss(weights={'type': 'FixedLossWeights'})(ramp, torch.zeros_like(ramp))
        assert value['loss_sr_structure'].item() == pytest.approx(charbonnier(0.2) / 2, rel=1e-4)

    def test_a_parabola_has_the_laplacian_of_its_second_derivative(self):
        parabola = 0.1 * torch.arange(24.0).square().expand(1, 3, 32, 24)
        loss = PoseAwareSRLoss(structure='laplacian', weights={'type': 'FixedLossWeights'})
        value = loss(parabola, torch.zeros_like(parabola))['loss_sr_structure']
        assert value.item() == pytest.approx(charbonnier(0.2), rel=1e-3)

    @pytest.mark.parametrize('structure', ['gradient', 'laplacian'])
    def test_a_constant_offset_is_free(self, frames, structure):
        losses = PoseAwareSRLoss(structure=structure)(frames[0] + 1, frames[0])
        assert losses['loss_sr_structure'].item() == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize('structure', ['gradient', 'laplacian'])
    def test_no_difference_reaches_across_the_mask(self, frames, structure):
        sr, hr = frames
        mask = torch.ones(2, 1, 32, 24)
        mask[..., 10:] = 0
        loss = PoseAwareSRLoss(structure=structure)
        expected = loss(sr, hr, mask=mask)['loss_sr_structure']
        noise = sr.clone()
        noise[..., 10:] = 1e3
        assert loss(noise, hr, mask=mask)['loss_sr_structure'] == expected


class TestFeatureTerm:
    @pytest.fixture
    def loss(self):
        torch.manual_seed(0)
        feature = {'model': estimator(), 'layers': ('layer1',)}
        return build({'type': 'PoseAwareSRLoss', 'structure': None, 'feature': feature})

    def test_it_is_the_relative_squared_distance_of_the_layers_outputs(self, loss, frames):
        sr, hr = frames
        net = loss.feature.net
        outputs = []
        handle = net.layer1.register_forward_hook(lambda *args: outputs.append(args[2]))
        with torch.no_grad():
            for image in (sr[:1], hr[:1]):
                image = torch.nn.functional.pad(image, (0, 8))  # HRNet wants multiples of 32
                net(image)
        handle.remove()
        image_pair = [torch.nn.functional.pad(image[:1], (0, 8)) for image in (sr, hr)]
        value = loss(*image_pair)['loss_sr_feature']
        expected = (outputs[0] - outputs[1]).square().sum() / outputs[1].square().sum()
        torch.testing.assert_close(value, expected)
        assert loss(hr, hr)['loss_sr_feature'] == 0

    def test_the_network_stops_behind_the_last_layer(self, loss, frames):
        calls = []
        loss.feature.net.stage2.register_forward_hook(lambda *args: calls.append(1))
        loss(*frames)
        assert not calls

    def test_it_is_frozen_and_in_no_state_dict(self, loss, frames):
        loss.train()
        net = loss.feature.net
        before = copy.deepcopy(net.state_dict())
        sr = frames[0].clone().requires_grad_()
        loss(sr, frames[1])['loss_sr_feature'].backward()
        assert sr.grad.any()
        assert not net.training
        assert all(parameter.grad is None for parameter in net.parameters())
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        assert list(loss.state_dict()) == []
        assert list(loss.parameters()) == []

    def test_an_ema_copy_shares_it_and_a_move_takes_it_along(self, loss):
        averaged = ExponentialMovingAverage(torch.nn.Sequential(loss, torch.nn.Conv2d(1, 1, 1)))
        assert averaged.module[0].feature.net is loss.feature.net
        loss.double()
        assert loss.feature.net.conv1.weight.dtype == torch.float64

    def test_it_takes_a_published_checkpoint(self, tmp_path):
        stock = build(estimator(), seed=3)
        torch.save({'state_dict': stock.state_dict()}, tmp_path / 'pose.pth')
        feature = FrozenPoseFeatures(model=estimator(), checkpoint=str(tmp_path / 'pose.pth'))
        assert torch.equal(feature.net.conv1.weight, stock.backbone.conv1.weight)

    def test_it_reads_configs_of_mmpose_and_the_nested_network_of_ours(self):
        stock = FrozenPoseFeatures(
            config='mmpose::body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_res50_8xb64-210e_coco-256x192.py'
        )
        assert stock.net.depth == 50
        ours = pathlib.Path(__file__).parent.parent / 'configs/star_pose_tiny_64x48_posetrack.py'
        nested = FrozenPoseFeatures(config=str(ours))
        assert type(nested.net).__name__ == 'HRNet'

    def test_padding_cannot_leak_in(self, loss, frames):
        sr, hr = frames
        mask = torch.ones(2, 1, 32, 24)
        mask[..., 12:] = 0
        noise = sr.clone()
        noise[..., 12:] = 50
        first, second = (loss(image, hr, mask=mask)['loss_sr_feature'] for image in (sr, noise))
        assert first == second

    @pytest.mark.parametrize(
        ('args', 'words'),
        [
            ({}, 'exactly one'),
            ({'model': estimator(), 'config': 'x.py'}, 'exactly one'),
            (
                {'model': estimator(), 'layers': ('layer9',)},
                r"\('layer9',\): name modules of HRNet.*'layer1'",
            ),
            ({'model': estimator(), 'layers': ()}, r'layers=\(\)'),
        ],
    )
    def test_bad_arguments_are_named(self, args, words):
        with pytest.raises(ValueError, match=words):
            FrozenPoseFeatures(**args)


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
        plain = PoseAwareSRLoss(weights={'type': 'FixedLossWeights'})
        weighted = PoseAwareSRLoss(
            weights={'type': 'FixedLossWeights', 'pose': 2.0, 'pixel': 0.5, 'structure': 0.0}
        )
        pose = {'loss_kpt': torch.tensor(3.0), 'loss_bone': [torch.tensor(1.0)], 'acc_pose': 0.5}
        losses, reference = weighted(*frames, pose_losses=pose), plain(*frames)
        assert losses['loss_kpt'] == 6
        assert losses['loss_bone'] == [2]
        assert losses['acc_pose'] == 0.5
        assert losses['loss_sr_pixel'] == 0.5 * reference['loss_sr_pixel']
        assert losses['loss_sr_structure'] == 0

    @pytest.mark.parametrize(('curve', 'quarter'), [('linear', 0.25), ('cosine', 0.146447)])
    def test_a_schedule_moves_from_start_to_stop(self, frames, curve, quarter):
        weights = ScheduledLossWeights(
            {'pixel': 1.0}, {'pixel': 3.0}, begin=100, end=200, curve=curve
        )
        hub = MessageHub.get_current_instance()
        expected = {0: 1, 100: 1, 125: 1 + 2 * quarter, 150: 2, 200: 3, 999: 3}
        for iteration, factor in expected.items():
            hub.update_info('iter', iteration)
            assert weights({'pixel': None})['pixel'] == pytest.approx(factor, abs=1e-5)

    def test_a_schedule_without_a_runner_says_so(self, monkeypatch):
        monkeypatch.setattr(MessageHub, 'get_info', lambda self, key, default=None: default)
        with pytest.raises(RuntimeError, match='RuntimeInfoHook'):
            ScheduledLossWeights({'pixel': 1.0}, {'pixel': 0.0})({'pixel': None})

    def test_uncertainty_weights_follow_the_formula(self, frames):
        initial = {'pixel': 0.5, 'structure': 2.0}
        loss = PoseAwareSRLoss(weights={'type': 'UncertaintyLossWeights', 'initial': initial})
        plain = PoseAwareSRLoss(weights={'type': 'FixedLossWeights'})(*frames)
        pose = {'loss_kpt': torch.tensor(3.0)}
        losses = loss(*frames, pose_losses=pose)
        torch.testing.assert_close(losses['loss_sr_pixel'], 0.5 * plain['loss_sr_pixel'])
        torch.testing.assert_close(losses['loss_sr_structure'], 2 * plain['loss_sr_structure'])
        torch.testing.assert_close(losses['loss_sr_balance'], torch.tensor(0.0))
        sum(losses.values()).backward()
        gradient = loss.weights.log_variances['pose'].grad
        torch.testing.assert_close(gradient, torch.tensor(1.0 - 3.0))

    def test_uncertainty_weights_settle_where_each_weighted_term_is_one(self):
        weights = UncertaintyLossWeights(terms=('pose', 'pixel'))
        terms = {'pose': torch.tensor(4.0), 'pixel': torch.tensor(0.1)}
        optimiser = torch.optim.SGD(weights.parameters(), 0.1)
        for _ in range(500):
            optimiser.zero_grad()
            factors = weights(terms)
            loss = sum(factors[name] * terms[name] for name in terms)
            (loss + weights.penalty(terms, torch.tensor(1.0))).backward()
            optimiser.step()
        assert (factors['pose'] * 4).item() == pytest.approx(1, abs=1e-3)
        assert (factors['pixel'] * 0.1).item() == pytest.approx(1, abs=1e-3)

    def test_without_targets_the_learned_weights_of_the_frame_rest(self, frames):
        loss = PoseAwareSRLoss(weights={'type': 'UncertaintyLossWeights'})
        pose = {'loss_kpt': torch.tensor(3.0)}
        losses = loss(
            *frames,
            mask=torch.zeros(2, 1, 32, 24),
            sample_weight=torch.zeros(2),
            pose_losses=pose,
        )
        sum(losses.values()).backward()
        gradients = {name: item.grad for name, item in loss.weights.log_variances.items()}
        assert gradients['pixel'] == gradients['structure'] == 0  # there, for DDP, and zero
        assert gradients['pose'] == -2

    @pytest.mark.parametrize('weights', [
        {'type': 'FixedLossWeights', 'pixel': 0.1},
        {'type': 'ScheduledLossWeights', 'start': {'pixel': 1.0}, 'stop': {'pixel': 0.1}},
        {'type': 'UncertaintyLossWeights'},
    ])  # fmt: skip
    def test_every_weighting_works_inside_the_model(self, weights):
        MessageHub.get_current_instance().update_info('iter', 10)
        model = build(star_pose(sr_loss={'type': 'PoseAwareSRLoss', 'weights': weights}))
        losses = losses_of(model, batch())
        model.parse_losses(losses)[0].backward()
        parameters = dict(model.head.sr_loss.named_parameters())
        assert all(parameter.grad is not None for parameter in parameters.values())
        assert bool(parameters) == ('Uncertainty' in weights['type'])

    def test_terms_that_do_not_match_are_refused(self, frames):
        loss = PoseAwareSRLoss(structure=None, weights={'type': 'UncertaintyLossWeights'})
        with pytest.raises(ValueError, match=r"\['pixel'\].*\['pixel', 'pose', 'structure'\]"):
            loss(*frames)

    @pytest.mark.parametrize(
        ('build_weights', 'words'),
        [
            (lambda: FixedLossWeights(pixel=-1), "'pixel' is -1"),
            (lambda: ScheduledLossWeights({}, {}, curve='step'), "'step'"),
            (lambda: ScheduledLossWeights({}, {}, begin=5, end=5), 'begin=5'),
        ],
    )
    def test_weights_out_of_range_are_refused(self, build_weights, words):
        with pytest.raises(ValueError, match=words):
            build_weights()


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        ({'structure': 'sobel'}, "'sobel'"),
        ({'sigma': 0}, 'sigma=0'),
        ({'evidence_gain': -1}, 'evidence_gain=-1'),
        ({'evidence_stride': 0}, 'evidence_stride=0'),
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
    loss = PoseAwareSRLoss(sigma=1, eps=0.1, evidence_stride=1)
    sr = torch.randn_like(hr).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sum(loss(x, hr, keypoints).values()), sr)
