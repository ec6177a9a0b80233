import importlib
import importlib.util
import sys
from unittest import mock

import pytest
import torch
from mmengine.utils.dl_utils import mmcv_full_available
from mmpose.registry import MODELS
from torch import nn

from pose_batches import batch, build, cascade, predict, train_step
from star_pose.checkpoint import CheckpointError
from star_pose.models import SRCascadeBackbone
from star_pose.models.backbones.sr_cascade_backbone import TRAITS, SRNetworkTraits

needs_mmagic = pytest.mark.skipif(
    importlib.util.find_spec('mmagic') is None, reason='mmagic is not installed'
)
needs_ops = pytest.mark.skipif(
    not mmcv_full_available(), reason="mmcv's compiled operators are not installed"
)
MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
# The smallest forms of the networks.
FRAME_NETS = {
    'EDSRNet': {'in_channels': 3, 'out_channels': 3, 'mid_channels': 8, 'num_blocks': 1,
                'upscale_factor': 4},
    'MSRResNet': {'in_channels': 3, 'out_channels': 3, 'mid_channels': 8, 'num_blocks': 1,
                  'upscale_factor': 4},
    'RRDBNet': {'in_channels': 3, 'out_channels': 3, 'mid_channels': 8, 'num_blocks': 1,
                'growth_channels': 4, 'upscale_factor': 4},
    'SwinIRNet': {'upscale': 4, 'img_size': 16, 'window_size': 8, 'embed_dim': 12, 'depths': [1],
                  'num_heads': [2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect'},
}  # fmt: skip
CLIP_NETS = {
    'BasicVSRNet': {'mid_channels': 8, 'num_blocks': 1},
    'RealBasicVSRNet': {'mid_channels': 8, 'num_propagation_blocks': 1, 'num_cleaning_blocks': 1},
}
OP_NETS = {
    'BasicVSRPlusPlusNet': {'mid_channels': 8, 'num_blocks': 1},
    'EDVRNet': {'in_channels': 3, 'out_channels': 3, 'mid_channels': 8, 'num_frames': 5,
                'deform_groups': 1, 'num_blocks_extraction': 1, 'num_blocks_reconstruction': 1,
                'with_tsa': False},
    'TDANNet': {'in_channels': 3, 'mid_channels': 8, 'out_channels': 3,
                'num_blocks_before_align': 1, 'num_blocks_after_align': 1},
}  # fmt: skip
ALL_NETS = {**FRAME_NETS, **CLIP_NETS, **OP_NETS}
ops_too = [pytest.param(name, marks=needs_ops if name in OP_NETS else ()) for name in ALL_NETS]


@MODELS.register_module()
class RepeatPixels(nn.Module):
    """Nearest-neighbour upsampling that records its input, as a network of frames or of clips."""

    def __init__(self, scale: int = 4, returns: str = 'all') -> None:
        super().__init__()
        self.scale, self.returns = scale, returns
        self.gain = nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, frames):
        self.seen.append(frames)
        up = frames.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        up = up * self.gain
        return up if self.returns == 'all' else up[:, frames.shape[1] // 2]


def wrap(traits: dict | None = None, **args) -> SRCascadeBackbone:
    sr = {'type': 'RepeatPixels', **args.pop('sr', {})}
    with mock.patch.dict(TRAITS, RepeatPixels=SRNetworkTraits(**(traits or {}))):
        return build({'type': 'SRCascadeBackbone', 'sr': sr, **args})


def normalised_clip(num_frames=5, size=(16, 12)):
    torch.manual_seed(0)
    images = torch.rand(2, num_frames, 3, *size)
    mean, std = MEAN.view(3, 1, 1), STD.view(3, 1, 1)
    return images, (images * 255 - mean) / std


def test_without_a_network_it_is_torchs_bicubic_upsampling():
    _, clip = normalised_clip()
    target, frame = SRCascadeBackbone()(clip)
    expected = nn.functional.interpolate(
        clip[:, 2], scale_factor=4, mode='bicubic', align_corners=False
    )
    assert torch.equal(target, clip[:, 2])
    assert torch.equal(frame, expected)
    assert torch.equal(SRCascadeBackbone(target='last')(clip)[0], clip[:, 4])
    assert torch.equal(SRCascadeBackbone(scale=1)(clip)[1], clip[:, 2])


@pytest.mark.parametrize('takes', ['frame', 'clip'])
@pytest.mark.parametrize(('target', 'index'), [('centre', 2), ('last', 4)])
def test_the_network_sees_rgb_in_0_1_and_its_frame_is_normalised_again(takes, target, index):
    images, clip = normalised_clip()
    backbone = wrap({'takes': takes}, target=target)
    _, frame = backbone(clip)
    seen = backbone.sr.seen[0]
    torch.testing.assert_close(seen, images if takes == 'clip' else images[:, index])
    expected = clip[:, index].repeat_interleave(4, -1).repeat_interleave(4, -2)
    torch.testing.assert_close(frame, expected, rtol=1e-4, atol=1e-5)


def test_values_outside_the_range_are_clamped_before_the_network():
    backbone = wrap()
    backbone(torch.full((1, 1, 3, 8, 8), 50.0))
    assert (backbone.sr.seen[0] == 1).all()


def test_frames_says_how_much_a_single_frame_network_is_given():
    _, clip = normalised_clip()
    every, single = wrap(frames='all'), wrap(frames='target')
    torch.testing.assert_close(every(clip)[1], single(clip)[1])
    assert len(every.sr.seen[0]) == 10
    assert len(single.sr.seen[0]) == 2


def test_a_network_of_the_centre_frame_serves_that_target_only():
    _, clip = normalised_clip()
    centre = wrap({'takes': 'clip'}, sr={'returns': 'centre'})
    torch.testing.assert_close(centre(clip)[1], wrap()(clip)[1])
    with pytest.raises(ValueError, match=r"target='last' is frame 4 of 5"):
        wrap({'takes': 'clip'}, target='last', sr={'returns': 'centre'})(clip)


def test_small_frames_are_padded_for_the_network_and_cropped_back():
    _, clip = normalised_clip()
    backbone = wrap({'min_side': 20, 'multiple': 8})
    _, frame = backbone(clip)
    assert backbone.sr.seen[0].shape[-2:] == (24, 24)
    torch.testing.assert_close(frame, wrap()(clip)[1])


@pytest.mark.parametrize(
    ('size', 'limits', 'padded'),
    [((64, 48), (64, 1), (64, 64)), ((10, 7), (1, 4), (12, 8)), ((64, 64), (64, 4), (64, 64))],
)
def test_padding_reaches_the_smallest_allowed_size_and_no_more(size, limits, padded):
    images, clip = normalised_clip(1, size)
    backbone = wrap({'min_side': limits[0], 'multiple': limits[1]})
    backbone(clip)
    seen = backbone.sr.seen[0]
    assert seen.shape[-2:] == padded
    torch.testing.assert_close(seen[..., : size[0], : size[1]], images[:, 0])
    # What is added repeats the edge.
    torch.testing.assert_close(seen[:, :, -1, -1], images[:, 0, :, -1, -1])


def test_a_frozen_network_stays_in_eval_and_untrained():
    backbone = wrap(frozen=True).train()
    assert backbone.training
    assert not backbone.sr.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert wrap().train().sr.training


@pytest.mark.parametrize('prefix', ['generator.', 'module.generator.', 'backbone.sr.', ''])
def test_a_checkpoint_loads_from_mmagics_wrapper_and_from_a_whole_model(prefix, tmp_path):
    path = tmp_path / 'sr.pth'
    weights = {f'{prefix}gain': torch.tensor([3.0])}
    beside = {'discriminator.weight': torch.ones(1)} if prefix else {}
    torch.save({'state_dict': {**beside, **weights}}, path)
    assert wrap(checkpoint=str(path)).sr.gain == 3


@pytest.mark.parametrize(
    ('weights', 'said'),
    [
        ({'discriminator.weight': torch.ones(1)}, 'missing gain; unexpected discriminator.weight'),
        ({'gain': torch.ones(1), 'bias': torch.ones(1)}, 'unexpected bias'),
        ({'generator.gain': torch.ones(2)}, r'gain is \(2,\) instead of \(1,\)'),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(weights, said, tmp_path):
    path = tmp_path / 'sr.pth'
    torch.save({'state_dict': weights}, path)
    with pytest.raises(CheckpointError, match=f'sr.pth does not fit RepeatPixels.*{said}'):
        wrap(checkpoint=str(path))
    with pytest.raises(CheckpointError, match='not found'):
        wrap(checkpoint=str(tmp_path / 'none.pth'))


def test_the_frame_is_normalised_in_fp32_under_autocast():
    _, clip = normalised_clip()
    backbone = wrap()
    backbone.sr.register_forward_hook(lambda module, args, output: output.bfloat16())
    _, frame = backbone(clip)
    assert frame.dtype == torch.float32
    step = 255 / 256 / 2 / STD.min()  # half a unit of bf16's last place below 1, normalised
    assert (frame - wrap()(clip)[1]).abs().max() <= step


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        ({'frames': 'some'}, "'some'"),
        ({'target': 'first'}, "'first'"),
        ({'scale': 0}, 'scale=0'),
        ({'checkpoint': 'x.pth'}, 'sr=None'),
    ],
)
def test_bad_arguments_are_named(args, words):
    with pytest.raises(ValueError, match=words):
        SRCascadeBackbone(**args)


def test_bad_inputs_are_named():
    for shape in ((2, 0, 3, 8, 8), (2, 1, 8, 8), (3, 8, 8)):
        with pytest.raises(ValueError, match=str(shape).replace('(', r'\(').replace(')', r'\)')):
            SRCascadeBackbone()(torch.zeros(shape))
    with pytest.raises(ValueError, match='scale=2 asks for'):
        wrap(scale=2)(torch.zeros(1, 1, 3, 8, 8))


def test_mmagic_is_imported_only_for_its_networks_and_its_absence_is_explained(monkeypatch):
    real = importlib.import_module

    def without_mmagic(name, *args):
        if name.startswith('mmagic'):
            raise ImportError("No module named 'mmagic'")
        return real(name, *args)

    monkeypatch.setattr(importlib, 'import_module', without_mmagic)
    SRCascadeBackbone()
    wrap()
    with pytest.raises(ImportError, match=r'pip install -r requirements/mmagic\.txt'):
        SRCascadeBackbone(sr={'type': 'mmagic.EDSRNet'})


@needs_mmagic
@pytest.mark.skipif(mmcv_full_available(), reason="mmcv's compiled operators are installed")
@pytest.mark.parametrize('name', OP_NETS)
def test_missing_operators_are_explained_at_construction(name):
    with pytest.raises(ImportError, match="mmcv's compiled operators"):
        SRCascadeBackbone(sr={'type': f'mmagic.{name}', **OP_NETS[name]})


@needs_mmagic
@pytest.mark.slow
@pytest.mark.parametrize('name', ops_too)
def test_every_network_of_mmagic_trains_and_predicts_as_a_cascade(name):
    assert 'mmagic' in sys.modules or importlib.util.find_spec('mmagic')
    config = cascade()
    config['backbone'] = {
        'type': 'SRCascadeBackbone',
        'sr': {'type': f'mmagic.{name}', **ALL_NETS[name]},
    }
    model = build({**config, 'test_cfg': {'flip_test': True, 'output_sr': True}})
    train_step(model, batch(num_frames=5), torch.optim.SGD(model.parameters(), 1e-4))
    gradients = [p.grad for p in model.backbone.sr.parameters() if p.requires_grad]
    assert any(gradient is not None and gradient.any() for gradient in gradients)
    sample = predict(model, batch(num_frames=5))[0]
    assert sample.pred_instances.keypoints.shape == (1, 5, 2)
    assert sample.pred_sr.img.shape == (3, 128, 96)


@MODELS.register_module()
class RecordedConv(nn.Conv2d):
    """A convolution that records the type and the layout of what it puts out."""

    def forward(self, frames):
        output = super().forward(frames)
        self.seen = output.dtype, output.is_contiguous()
        return output


@pytest.mark.parametrize('needs_ops', [False, True])
def test_networks_on_compiled_operators_run_in_plain_layout_and_full_precision(
    needs_ops, monkeypatch
):
    monkeypatch.setitem(TRAITS, 'RecordedConv', SRNetworkTraits(needs_ops=needs_ops))
    sr = dict(type='RecordedConv', in_channels=3, out_channels=3, kernel_size=3, padding=1)
    model = nn.Sequential(SRCascadeBackbone(sr, scale=1)).to(memory_format=torch.channels_last)
    _, clip = normalised_clip()
    with torch.autocast('cpu', torch.bfloat16):
        model(clip)
    half, plain = (torch.float32, True) if needs_ops else (torch.bfloat16, False)
    assert model[0].sr.seen == (half, plain)


@needs_mmagic
@needs_ops
@pytest.mark.parametrize('name', OP_NETS)
def test_compiled_operators_bear_channels_last_weights_and_autocast(name):
    backbone = build(
        {'type': 'SRCascadeBackbone', 'sr': {'type': f'mmagic.{name}', **OP_NETS[name]}}
    )
    _, clip = normalised_clip(5, (64, 64))
    with torch.no_grad():
        expected = backbone.eval()(clip)[1]
        with torch.autocast('cpu', torch.bfloat16):
            found = backbone.to(memory_format=torch.channels_last)(clip)[1]
    torch.testing.assert_close(found, expected)


@needs_mmagic
@pytest.mark.parametrize('name', FRAME_NETS)
def test_a_wrapped_network_of_mmagic_is_the_network_between_two_normalisations(name):
    backbone = build(
        {'type': 'SRCascadeBackbone', 'sr': {'type': f'mmagic.{name}', **FRAME_NETS[name]}}
    ).eval()
    images, clip = normalised_clip(3, (16, 16))
    with torch.no_grad():
        frame = backbone(clip)[1]
        expected = backbone.sr(images[:, 1])
    shown = (frame * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)) / 255
    torch.testing.assert_close(shown, expected, rtol=1e-4, atol=1e-5)
