"""Parameters and multiply-accumulates of each part, against closed forms."""

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from pose_batches import heatmap_head, hrnet
from star_pose.apis.model_info import count_parts, input_shape
from tiny_runs import REPO, run_tool

C, H, W, T = 16, 32, 24, 3


def make_model(handoff):
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='STARPoseNet', embed_channels=C, token_channels=C, depth=2, num_cnn_blocks=2
            ),
            neck=dict(type='AdaptiveFusionNeck', in_channels=C),
            head=dict(
                type='STARPoseHead',
                in_channels=C,
                handoff=handoff,
                pose_net=dict(
                    type='TopdownPoseEstimator', backbone=hrnet(), head=heatmap_head(in_channels=8)
                ),
                sr_decoder=dict(type='PixelShuffleSRDecoder', in_channels=C, mid_channels=8),
                sr_loss=dict(type='PoseAwareSRLoss'),
            ),
        )
    )


def transformer_macs():
    """Two joint blocks, of which the last computes the target's queries only."""
    tokens = H // 4 * W // 4
    d = C // 4
    keys_and_values = 2 * C * C + C * d  # projections, phi(K)^T V
    queries = C * C + C * d + C + C * C  # projection, read, normaliser, output projection
    feed_forward = 2 * 2 * C * C + 9 * 2 * C
    every_frame = T * tokens * (keys_and_values + queries + feed_forward)
    last = T * tokens * keys_and_values + tokens * (queries + feed_forward)
    return every_frame + last


def test_parts_cost_what_their_layers_cost():
    rows = {row.name: row for row in count_parts(make_model('residual'), (1, T, 3, H, W))}
    assert rows['backbone.stem'].macs == 27 * 32 * H * W  # of the target frame alone
    assert rows['backbone.cnn'].macs == 2 * 2 * 9 * C * C * H * W
    assert rows['backbone.transformer'].macs == transformer_macs()
    assert rows['head.sr_decoder'].macs is None
    decoder = 9 * H * W * (C * 8 + 8 * 3 * 16)
    assert rows['head.sr_decoder in training'].macs == decoder


def test_the_whole_is_the_sum_of_its_parts_whatever_the_handoff():
    for handoff in ('residual', 'image', 'feature'):
        model = make_model(handoff)
        rows = {row.name: row for row in count_parts(model, (1, T, 3, H, W))}
        parts = [rows[name].macs for name in ('backbone', 'neck', 'head')]
        assert rows['TopdownPoseEstimator'].macs == sum(parts)
        inside = ('head.handoff', 'head.pose_net', 'head.sr_decoder')
        inside = [rows[name].macs or 0 for name in inside if name in rows]
        assert rows['head'].macs == sum(inside)
        parameters = sum(p.numel() for p in model.parameters())
        assert rows['TopdownPoseEstimator'].parameters == parameters
        assert (rows['head.sr_decoder'].macs is None) == (handoff != 'image')


def test_counting_leaves_no_hook_behind():
    model = make_model('residual')
    count_parts(model, (1, T, 3, H, W))
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.parametrize(
    ('cfg', 'shape'),
    [
        (dict(codec=dict(input_size=(192, 256)), scale=4, num_frames=5), (1, 5, 3, 64, 48)),
        (dict(codec=dict(input_size=(192, 256))), (1, 3, 256, 192)),
    ],
)
def test_input_shape_follows_the_config(cfg, shape):
    assert input_shape(Config(cfg)) == shape


def test_a_config_without_codec_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r'no `codec`.*--size'):
        input_shape(Config(dict(model=dict())))


def test_the_tool_prints_a_row_a_part(capsys):
    run_tool('model_info', REPO / 'configs' / 'star_pose_tiny_64x48_posetrack.py', '--frames', '2')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'input 1 x 2 x 3 x 64 x 48'
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert rows['TopdownPoseEstimator'][3] == '100.0%'
    shares = [float(rows[name][3][:-1]) for name in ('backbone', 'neck', 'head')]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert torch.is_grad_enabled()
