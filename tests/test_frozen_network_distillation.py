"""Label-free distillation: the terms, the frozen network, and that no label is read."""

import copy
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmpose.structures import PoseDataSample

from pose_batches import (
    PREPROCESSOR,
    batch,
    build,
    estimator,
    heatmap_head,
    losses_of,
    predict,
    regression_head,
    resnet,
    rtmcc_head,
    simcc_head,
    star_pose,
    train_step,
)
from star_pose.models import FrozenNetworkDistillation
from star_pose.models.losses.frozen_network_distillation import relative_error

ONES = torch.ones(2)
# What each head puts out, and the network that it stands on.
NETS = {
    'squared': estimator(),
    'softmax': estimator(head=heatmap_head(type='SoftmaxHeatmapHead', loss=None)),
    'simcc': estimator(head=simcc_head()),
    'simcc of rtmpose': estimator(head=rtmcc_head()),
    'coordinates': estimator(resnet(), regression_head(), neck={'type': 'GlobalAveragePooling'}),
}


def adapted(handoff='image', pose_net=None, output='squared', **changes) -> dict:
    """A small model whose front end is trained in front of a frozen network."""
    loss = {
        'type': 'FrozenNetworkDistillation',
        'levels': ['backbone.layer1'],
        'output': output,
        **changes.pop('loss', {}),
    }
    head = {'freeze_pose_net': True, 'sr_loss': None, **changes}
    return star_pose(handoff, pose_net=pose_net or estimator(), distillation=loss, **head)


def without_labels(data: dict) -> dict:
    """The same batch with nothing in its samples but the crop."""
    samples = []
    for sample in data['data_samples']:
        bare = PoseDataSample(metainfo=sample.metainfo)
        bare.gt_sr = sample.gt_sr
        samples.append(bare)
    return {**data, 'data_samples': samples}


def checkpoint_of(net: dict, path, seed: int = 5) -> torch.nn.Module:
    stock = build(net, seed=seed)
    stock.eval()
    torch.save({'state_dict': stock.state_dict()}, path)
    return stock


class TestTerms:
    def test_relative_error_is_the_squared_distance_over_the_energy(self):
        target = torch.tensor([[3.0, 4.0], [6.0, 8.0]])
        found = torch.tensor([[3.0, 9.0], [6.0, 8.0]])
        torch.testing.assert_close(relative_error(found, target), torch.tensor([1.0, 0.0]))

    def test_relative_error_of_a_target_of_zeros_is_finite(self):
        zeros = torch.zeros(1, 4, 3, 3)
        found = torch.full((1, 4, 3, 3), 0.02).requires_grad_()
        error = relative_error(found, zeros)
        assert error.item() == pytest.approx(4.0)  # 0.02^2 / 0.01^2
        error.sum().backward()
        assert found.grad.isfinite().all()
        assert relative_error(zeros, zeros) == 0

    @pytest.mark.parametrize(('student', 'expected'), [(0.5, 0.192745), (0.8, 0.0)])
    def test_sigmoid_maps_cost_the_divergence_of_a_coin(self, student, expected):
        loss = FrozenNetworkDistillation([], 'sigmoid', 0, output_weight=1.0)
        maps = torch.full((2, 3, 4, 4), student), torch.full((2, 3, 4, 4), 0.8)
        value = loss(({}, maps[0]), ({}, maps[1]), None, ONES)['loss_distill_output']
        # 0.8 log(0.8 / 0.5) + 0.2 log(0.2 / 0.5)
        assert value.item() == pytest.approx(expected, abs=1e-5)

    def test_softmax_maps_cost_the_divergence_that_torch_computes(self):
        torch.manual_seed(0)
        found, wanted = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
        loss = FrozenNetworkDistillation([], 'softmax', 0, output_weight=1.0)
        value = loss(({}, 7 * found), ({}, wanted), None, ONES)['loss_distill_output']
        logs, shares = (x.flatten(2) / x.flatten(2).sum(-1, keepdim=True) for x in (found, wanted))
        each = torch.nn.functional.kl_div(logs.log(), shares, reduction='none')
        torch.testing.assert_close(value, each.sum(-1).mean())

    @pytest.mark.parametrize('beta', [1.0, 10.0])
    def test_simcc_costs_the_divergence_of_its_bins(self, beta):
        torch.manual_seed(0)
        found = torch.randn(2, 3, 8), torch.randn(2, 3, 6)
        wanted = torch.randn(2, 3, 8), torch.randn(2, 3, 6)
        loss = FrozenNetworkDistillation([], 'simcc', 0, output_weight=2.0, beta=beta)
        value = loss(({}, found), ({}, wanted), None, ONES)['loss_distill_output']
        expected = 0
        for one, other in zip(found, wanted, strict=True):
            each = torch.nn.functional.kl_div(
                (beta * one).log_softmax(-1), (beta * other).softmax(-1), reduction='none'
            )
            expected = expected + each.sum(-1).mean()  # halved for the two axes, doubled
        torch.testing.assert_close(value, expected)

    def test_coordinates_cost_their_distance_and_heatmaps_their_relative_error(self):
        found, wanted = torch.full((2, 5, 2), 0.5), torch.full((2, 5, 2), 0.75)
        loss = FrozenNetworkDistillation([], 'coordinates', 0, output_weight=1.0)
        assert loss(({}, found), ({}, wanted), None, ONES)['loss_distill_output'] == 0.25
        loss = FrozenNetworkDistillation([], 'squared', 0, output_weight=1.0)
        value = loss(({}, 2 * wanted), ({}, wanted), None, ONES)['loss_distill_output']
        assert value.item() == pytest.approx(1.0)

    def test_pixels_cost_their_charbonnier_inside_the_image(self):
        hr = torch.zeros(2, 3, 8, 8)
        mask = torch.ones(2, 1, 8, 8)
        mask[..., :4] = 0
        sr = hr + 0.3
        sr[..., :4] = 50
        loss = FrozenNetworkDistillation([], 'squared', 0, 0, pixel_weight=2.0)
        losses = loss(({}, None), ({}, None), (sr, hr, mask), ONES)
        assert set(losses) == {'loss_distill_pixel'}
        assert losses['loss_distill_pixel'].item() == pytest.approx(2 * 0.299, rel=1e-4)

    def test_samples_of_weight_zero_add_nothing(self):
        found, wanted = torch.rand(2, 5, 2), torch.rand(2, 5, 2)
        loss = FrozenNetworkDistillation([], 'coordinates', 0, output_weight=1.0)
        first = loss(({}, found), ({}, wanted), None, torch.tensor([1.0, 0.0]))
        expected = (found[0] - wanted[0]).abs().mean() / 2
        torch.testing.assert_close(first['loss_distill_output'], expected)

    @pytest.mark.parametrize('level', ['backbone.bn1', 'backbone.layer1', 'backbone'])
    def test_a_level_is_kept_as_it_was_when_it_ran(self, level):
        """The ReLU behind HRNet's first norm works in place."""
        net = build(estimator())
        net.eval()
        image = torch.randn(1, 3, 64, 32)
        expected = {}

        def remember(module, args, output):
            outputs = [output] if isinstance(output, torch.Tensor) else output
            expected['now'] = [x.detach().clone() for x in outputs]

        net.get_submodule(level).register_forward_hook(remember)
        loss = FrozenNetworkDistillation([level], 'squared')
        with loss.record(net) as seen:
            net.extract_feat(image)
        for kept, wanted in zip(seen[level], expected['now'], strict=True):
            assert torch.equal(kept, wanted)
        if level == 'backbone.bn1':
            assert (seen[level][0] < 0).any()
        calls = len(net.get_submodule(level)._forward_hooks)
        assert calls == 1  # the record's own is gone

    @pytest.mark.parametrize(
        ('args', 'words'),
        [
            (dict(levels=['a'], output='logits'), r"output is 'logits'.*'sigmoid'"),
            (dict(levels=[], output='simcc'), r'levels=\[\] names none'),
            (dict(levels=['a'], output='simcc', pixel_weight=-1), 'pixel_weight=-1'),
        ],
    )
    def test_bad_arguments_are_named(self, args, words):
        with pytest.raises(ValueError, match=words):
            FrozenNetworkDistillation(**args)


class TestInTheModel:
    @pytest.mark.parametrize('handoff', ['image', 'residual', 'feature'])
    @pytest.mark.parametrize('kind', NETS)
    def test_every_head_and_handoff_adapts_without_labels(self, kind, handoff):
        output = kind.split()[0]
        model = build(adapted(handoff, NETS[kind], output))
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
        logged = train_step(model, without_labels(batch()), optimiser)
        assert {'loss_distill_feature', 'loss_distill_output', 'loss_distill_pixel'} <= set(logged)
        assert all(torch.isfinite(value) for value in logged.values())
        assert 'loss_kpt' not in logged
        # The SR decoder's output and, behind it, the Transformer's map start at zero.
        for _ in range(2):
            train_step(model, without_labels(batch()), optimiser)
        reached = {name: p.grad.any() for name, p in model.backbone.named_parameters()}
        assert all(reached.values()), reached

    def test_labels_that_are_there_change_nothing(self):
        model = build(adapted())
        with_labels, without = losses_of(model, batch()), losses_of(model, without_labels(batch()))
        assert with_labels.keys() == without.keys()
        for name in without:
            assert torch.equal(with_labels[name], without[name])

    def test_labels_may_be_added(self):
        half, whole = (
            losses_of(build(adapted(loss={'label_weight': weight})), batch())
            for weight in (0.5, 1.0)
        )
        torch.testing.assert_close(2 * half['loss_kpt'], whole['loss_kpt'])
        torch.testing.assert_close(half['loss_distill_output'], whole['loss_distill_output'])

    def test_it_is_what_the_same_network_sees_in_the_crop(self):
        model = build(adapted()).train()
        data = model.data_preprocessor(batch(), True)
        hr = torch.stack([sample.gt_sr.img for sample in data['data_samples']])
        net = copy.deepcopy(model.head.pose_net).eval()
        seen = {}
        net.backbone.layer1.register_forward_hook(lambda m, args, output: seen.update(level=output))
        with torch.no_grad():
            wanted = net(hr, None), seen['level'].clone()
            feats = model.extract_feat(data['inputs'])
            found = net(model.head.super_resolve(feats), None), seen['level'].clone()
            losses = model(**data, mode='loss')
        output, level = (relative_error(a, b).mean() for a, b in zip(found, wanted, strict=True))
        torch.testing.assert_close(losses['loss_distill_output'], 100 * output)
        torch.testing.assert_close(losses['loss_distill_feature'], level)

    def test_it_learns(self):
        model = build(adapted())
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
        losses = [train_step(model, batch(), optimiser)['loss'] for _ in range(12)]
        assert losses[-1] < 0.95 * losses[0]

    def test_a_frozen_network_stays_as_it_was(self):
        model = build(adapted()).train()
        before = copy.deepcopy(model.head.pose_net.state_dict())
        assert not any(module.training for module in model.head.pose_net.modules())
        assert not any(p.requires_grad for p in model.head.pose_net.parameters())
        optimiser = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.1)
        average = ExponentialMovingAverage(model)
        for _ in range(2):
            train_step(model, batch(), optimiser)
            average.update_parameters(model)
        after = model.head.pose_net.state_dict()
        assert all(torch.equal(value, before[name]) for name, value in after.items())
        averaged = average.module.head.pose_net.state_dict()
        assert all(torch.equal(value, before[name]) for name, value in averaged.items())

    @pytest.mark.slow
    @pytest.mark.parametrize('handoff', ['image', 'feature'])
    def test_distributed_training_finds_every_parameter(self, handoff, tmp_path):
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
        )
        try:
            model = build(adapted(handoff))
            parallel = torch.nn.parallel.DistributedDataParallel(model)
            for with_hr in ((True, False), (False, False), (True, True)):
                data = model.data_preprocessor(batch(with_hr=with_hr), True)
                loss, _ = model.parse_losses(parallel(**data, mode='loss'))
                loss.backward()
        finally:
            torch.distributed.destroy_process_group()

    def test_a_network_that_learns_is_taught_by_its_untouched_weights(self, tmp_path):
        path = str(tmp_path / 'pose.pth')
        stock = checkpoint_of(estimator(), path)
        net = estimator(init_cfg={'type': 'Pretrained', 'checkpoint': path})
        model = build(adapted(pose_net=net, freeze_pose_net=False))
        teacher = model.head.teacher.net
        assert teacher is not model.head.pose_net
        optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
        model.train()
        for _ in range(2):
            train_step(model, batch(), optimiser)
        expected = stock.state_dict()
        for name, value in teacher.state_dict().items():
            assert torch.equal(value, expected[name]), name
        assert not any(module.training for module in teacher.modules())
        learned = model.head.pose_net.state_dict()
        assert not torch.equal(learned['backbone.conv1.weight'], expected['backbone.conv1.weight'])
        # It belongs to the training alone: in no state dict, shared by an average of weights.
        assert not any('teacher' in name for name in model.state_dict())
        assert ExponentialMovingAverage(model).module.head.teacher.net is teacher
        assert not {id(p) for p in teacher.parameters()} & {id(p) for p in model.parameters()}
        model.double()
        assert teacher.backbone.conv1.weight.dtype == torch.float64

    def test_a_network_that_learns_without_a_checkpoint_is_refused(self):
        with pytest.raises(ValueError, match=r'untouched weights.*init_cfg'):
            build(adapted(freeze_pose_net=False))

    @pytest.mark.parametrize(
        ('changes', 'words'),
        [
            (dict(loss={'levels': ['backbone.layer9']}), r"\['backbone.layer9'\].*HRNet.*layer1"),
            (dict(pose_net=None, head=heatmap_head(16)), 'need a pose_net'),
        ],
    )
    def test_what_does_not_fit_is_refused_at_construction(self, changes, words):
        config = adapted(**{k: v for k, v in changes.items() if k != 'pose_net'})
        if 'pose_net' in changes:
            config['head']['pose_net'] = None
        with pytest.raises(ValueError, match=words):
            build(config)

    def test_a_level_in_front_of_the_entry_is_refused(self):
        model = build(adapted('feature', loss={'levels': ['backbone.conv1']}))
        with pytest.raises(ValueError, match=r"\['backbone.conv1'\] do not run behind"):
            losses_of(model, batch())


class TestNormalisation:
    OWN: ClassVar = dict(
        type='PoseDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
    )

    @pytest.mark.parametrize('handoff', ['image', 'residual'])
    def test_a_pose_network_gets_frames_in_its_own_normalisation(self, handoff):
        net = estimator(data_preprocessor=self.OWN)
        ours = build(star_pose(handoff, pose_net=net)).eval()
        clip = torch.randn(1, 3, 3, 32, 24)
        upsampled = torch.nn.functional.interpolate(
            clip[:, 1], scale_factor=4, mode='bicubic', align_corners=False
        )
        mean, std = (torch.tensor(PREPROCESSOR[name]).view(3, 1, 1) for name in ('mean', 'std'))
        image = (upsampled * std + mean) * 2 / 255 - 1
        with torch.no_grad():
            expected = ours.head.pose_net(image, None)
            found = ours(clip, None)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_its_teacher_does_too(self):
        net = estimator(data_preprocessor=self.OWN)
        model = build(adapted(pose_net=net))
        seen = []
        model.head.pose_net.backbone.register_forward_hook(
            lambda m, args, out: seen.append(args[0])
        )
        data = model.data_preprocessor(batch(), True)
        model(**data, mode='loss')
        original = torch.stack([s.gt_sr.img.flip(0) for s in batch()['data_samples']]).float()
        torch.testing.assert_close(seen[-1], original * 2 / 255 - 1, rtol=1e-4, atol=1e-5)

    def test_the_same_normalisation_is_left_alone(self):
        net = estimator(data_preprocessor=PREPROCESSOR)
        handoff = build(star_pose('image', pose_net=net)).head.handoff
        frame = torch.randn(1, 3, 8, 8)
        assert handoff.to_pose_space(frame) is frame

    def test_another_data_preprocessor_than_the_head_was_told_of_is_refused(self):
        model = build({**star_pose(), 'data_preprocessor': {**PREPROCESSOR, 'std': [58.395] * 3}})
        with pytest.raises(ValueError, match=r'std=\[58\.395, 58\.395, .*make the head'):
            losses_of(model, batch())


def test_a_frozen_network_predicts_as_ever():
    model = build(adapted())
    [first, _] = predict(model, batch())
    assert np.isfinite(first.pred_instances.keypoints).all()
