import pytest
import torch
import torch.nn.functional as F

from star_pose.models import PixelShuffleSRDecoder
from star_pose.models.heads.sr_decoder import bicubic_upsample


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return torch.randn(2, 16, 8, 6), torch.randn(2, 3, 8, 6)


@pytest.mark.parametrize('scale', [1, 2, 3, 4, 6, 8])
def test_it_starts_as_the_bicubic_upsampling_before_and_after_init(maps, scale):
    decoder = PixelShuffleSRDecoder(16, mid_channels=8, scale=scale)
    expected = (
        F.interpolate(maps[1], scale_factor=scale, mode='bicubic', align_corners=False)
        if scale > 1
        else maps[1]
    )
    assert torch.equal(decoder(*maps), expected)
    decoder.init_weights()
    assert torch.equal(decoder(*maps), expected)
    assert decoder.body[0].weight.any()


def test_a_parents_init_cfg_does_not_undo_the_zero():
    from mmengine.model import BaseModule

    class Parent(BaseModule):
        def __init__(self):
            super().__init__(init_cfg={'type': 'Normal', 'layer': 'Conv2d', 'std': 0.001})
            self.decoder = PixelShuffleSRDecoder(4, mid_channels=4, scale=2)

    parent = Parent()
    parent.init_weights()
    assert not parent.decoder.to_rgb.weight.any()
    # Kaiming's deviation is 0.23 here, the parent's 0.001.
    assert parent.decoder.body[0].weight.std() > 0.1


def test_a_second_init_and_loaded_weights_are_not_zeroed(tmp_path):
    decoder = PixelShuffleSRDecoder(4, mid_channels=4, scale=2)
    decoder.init_weights()
    torch.nn.init.ones_(decoder.to_rgb.weight)
    decoder.init_weights()
    assert (decoder.to_rgb.weight == 1).all()
    path = tmp_path / 'decoder.pth'
    torch.save(decoder.state_dict(), path)
    loaded = PixelShuffleSRDecoder(
        4, mid_channels=4, scale=2, init_cfg={'type': 'Pretrained', 'checkpoint': str(path)}
    )
    loaded.init_weights()
    assert torch.equal(loaded.to_rgb.weight, decoder.to_rgb.weight)


def test_pixel_shuffle_and_bicubic_share_one_grid():
    # A map that repeats the frame's pixel in all sub-pixels must have its bicubic blob's centre.
    frame = torch.zeros(1, 3, 9, 9)
    frame[..., 3, 5] = 1  # far enough from the border for the kernel
    up = bicubic_upsample(frame, 4)
    weights = up[0, 0] / up[0, 0].sum()
    ys, xs = torch.meshgrid(torch.arange(36.0), torch.arange(36.0), indexing='ij')
    centre = ((weights * xs).sum(), (weights * ys).sum())
    block = F.pixel_shuffle(frame[:, :1].expand(1, 16, 9, 9), 4)[0, 0]
    block = block / block.sum()
    assert centre[0] == pytest.approx(float((block * xs).sum()), abs=1e-4)
    assert centre[1] == pytest.approx(float((block * ys).sum()), abs=1e-4)


def test_every_weight_learns_from_the_second_step(maps):
    decoder = PixelShuffleSRDecoder(16, mid_channels=8)
    decoder.init_weights()
    optimiser = torch.optim.SGD(decoder.parameters(), 0.1)
    target = torch.randn(2, 3, 32, 24)
    for step in range(2):
        optimiser.zero_grad()
        (decoder(*maps) - target).abs().mean().backward()
        if step == 0:
            assert not decoder.body[0].weight.grad.any()
        optimiser.step()
    assert all(parameter.grad.any() for parameter in decoder.parameters())


def test_the_frame_is_fp32_under_autocast(maps):
    decoder = PixelShuffleSRDecoder(16, mid_channels=8)
    with torch.autocast('cpu', torch.bfloat16):
        frame = decoder(*maps)
    assert frame.dtype == torch.float32
    assert torch.equal(frame, decoder(*maps))


def test_with_a_body_it_costs_a_thirty_eighth_of_hrnet_w32():
    # 3x3 convolutions 64->64 and 64->3*16, both at 48x64: a multiply-accumulate a weight and pixel.
    decoder = PixelShuffleSRDecoder(64, mid_channels=64)
    macs = 48 * 64 * sum(p.numel() for p in decoder.parameters() if p.ndim == 4)
    assert macs == 9 * 3072 * (64 * 64 + 64 * 48)
    assert macs <= 7.64e9 / 38


@pytest.mark.parametrize('scale', [0, -1, 2.5])
def test_a_scale_that_is_no_positive_integer_is_refused(scale):
    with pytest.raises(ValueError, match=f'scale={scale}'):
        PixelShuffleSRDecoder(scale=scale)


def test_without_a_body_it_is_one_convolution_of_the_rectified_map():
    decoder = PixelShuffleSRDecoder(8)
    torch.nn.init.normal_(decoder.to_rgb.weight, std=0.1)
    fused, frame = torch.randn(2, 8, 6, 5), torch.randn(2, 3, 6, 5)
    kept = fused.clone()
    detail = torch.nn.functional.conv2d(
        torch.nn.functional.leaky_relu(fused, 0.1), decoder.to_rgb.weight, padding=1
    )
    expected = bicubic_upsample(frame, 4) + torch.nn.functional.pixel_shuffle(detail, 4)
    torch.testing.assert_close(decoder(fused, frame), expected)
    assert torch.equal(fused, kept)  # the hand-off reads the map too
