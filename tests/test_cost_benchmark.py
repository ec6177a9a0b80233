"""How the front end's memory grows with the clip, and the counters that the benchmark uses."""

import pytest
import torch
from torch import nn

from star_pose.models import AdaptiveFusionNeck, STARPoseNet
from tiny_runs import load_benchmark


@pytest.fixture(scope='module')
def cost():
    """The benchmark as a module."""
    return load_benchmark('cost')


def test_peak_counts_the_tensors_that_live_at_once(cost):
    x = torch.zeros(1000)

    def run():
        for _ in range(3):
            y = x + 1  # 4000 bytes
            z = y.double()  # 8000 bytes
            del y, z
        return x.view(10, 100) + 1  # 4000 bytes, the rest is gone

    assert cost.peak_of_live_tensors(run) == 12000


def test_kept_for_backward_counts_what_autograd_saves(cost):
    layer = nn.Linear(10, 20)
    x = torch.zeros(5, 10)

    def run():
        hidden = layer(x)  # saves x, a leaf
        return hidden.exp().square()  # saves the results of layer's exp: 5 x 20, once

    assert cost.kept_for_backward(run) == 5 * 20 * 4


def test_doubling_the_clip_at_most_doubles_the_memory(cost):
    front = nn.Sequential(
        STARPoseNet(embed_channels=16, depth=2, num_cnn_blocks=1), AdaptiveFusionNeck(16)
    )
    clips = [torch.zeros(1, num_frames, 3, 32, 24) for num_frames in (8, 16)]
    kept = [cost.kept_for_backward(lambda clip=clip: front(clip)) for clip in clips]
    with torch.no_grad():
        peaks = [cost.peak_of_live_tensors(lambda clip=clip: front(clip)) for clip in clips]
    for short, long in (kept, peaks):
        assert 1.5 < long / short <= 2.05
