import math

import pytest
import torch
from mmpose.registry import MODELS

KINDS = ('FocalHeatmapLoss', 'BoundedFocalHeatmapLoss')


def losses(output, target, weights):
    for kind in KINDS:
        yield MODELS.build(dict(type=kind, use_target_weight=True))(output, target, weights)


def test_it_is_the_focal_loss_of_cornernet():
    output = torch.tensor([[[[0.6, 0.2]], [[0.9, 0.3]]]])  # 1 2 1 2
    target = torch.tensor([[[[1.0, 0.5]], [[1.0, 0.0]]]])
    near = 0.5**4 * 0.2**2 * math.log(0.8)  # beta 4, alpha 2
    first = -(0.4**2 * math.log(0.6) + near)
    second = -(0.1**2 * math.log(0.9) + 0.3**2 * math.log(0.7))
    for weights, wanted in (([[1.0, 1.0]], (first + second) / 2), ([[1.0, 0.0]], first)):
        for found in losses(output, target, torch.tensor(weights)):
            assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_a_sigmoid_that_reached_0_or_1_leaves_it_finite():
    logits = torch.tensor([[[[120.0, -120.0], [120.0, 0.0]]]], requires_grad=True)
    target = torch.tensor([[[[1.0, 0.2], [0.5, 0.0]]]])
    theirs, ours = losses(logits.sigmoid(), target, torch.ones(1, 1))
    assert not theirs.isfinite()
    assert ours.isfinite()
    ours.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 0, 1, 1] > 0
