"""The pure super-resolver: colours, frames, MMagic's registry and its training models."""

import pytest
import torch
import torch.nn.functional as F
from mmpose.registry import MODELS

from star_pose.models import STARPoseSRNet

SMALL = dict(
    backbone=dict(type='STARPoseNet', embed_channels=16, depth=1, num_cnn_blocks=1),
    neck=dict(type='AdaptiveFusionNeck', in_channels=16),
    sr_decoder=dict(type='PixelShuffleSRDecoder', in_channels=16, mid_channels=8, scale=4),
)


def make_net(**kwargs):
    torch.manual_seed(0)
    return STARPoseSRNet(**(SMALL | kwargs))


def make_clip(num_frames=3):
    return torch.rand(2, num_frames, 3, 20, 16, generator=torch.Generator().manual_seed(1))


def test_starts_as_bicubic_upsampling_of_every_frame_in_rgb():
    clip = make_clip()
    found = make_net()(clip)
    expected = F.interpolate(clip.flatten(0, 1), scale_factor=4, mode='bicubic')
    torch.testing.assert_close(found.flatten(0, 1), expected, atol=1e-5, rtol=0)


def test_an_image_gives_an_image_as_a_clip_of_one_does():
    net = make_net()
    torch.nn.init.normal_(net.sr_decoder.to_rgb.weight, std=0.1)
    image = make_clip(1)[:, 0]
    torch.testing.assert_close(net(image), net(image[:, None])[:, 0])


def test_other_frames_change_a_frame():
    net = make_net()
    for layer in (net.sr_decoder.to_rgb, net.backbone.untokenise):  # they start at zero
        torch.nn.init.normal_(layer.weight, std=0.1)
    clip = make_clip()
    changed = clip.clone()
    changed[:, 2] = 1 - changed[:, 2]
    assert (net(changed)[:, 0] - net(clip)[:, 0]).abs().max() > 1e-6


def test_weights_are_those_of_the_pose_model_and_maps_too():
    net = make_net()
    pose_backbone = MODELS.build(SMALL['backbone'])
    pose_backbone.load_state_dict(net.backbone.state_dict(), strict=True)
    clip = make_clip()
    normalised = (clip * 255 - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)) / (
        torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    )
    found = net.backbone((clip - net.mean) / net.std)[1].unflatten(0, (2, 3))[:, 1]
    torch.testing.assert_close(found, pose_backbone(normalised)[1], atol=1e-4, rtol=1e-4)
    assert {name.split('.')[0] for name in net.state_dict()} == {'backbone', 'neck', 'sr_decoder'}


def test_another_target_is_refused():
    with pytest.raises(ValueError, match=r"target is 'last'.*target='all'"):
        STARPoseSRNet(backbone=dict(type='STARPoseNet', target='last'))


@pytest.mark.slow
@pytest.mark.parametrize(('model', 'num_frames'), [('BasicVSR', 3), ('BaseEditModel', None)])
def test_trains_two_steps_and_predicts_inside_mmagics_models(model, num_frames):
    pytest.importorskip('mmagic')
    from mmagic.models import BaseEditModel, BasicVSR
    from mmagic.structures import DataSample
    from mmengine.optim import OptimWrapper
    from mmengine.registry import DefaultScope

    build = dict(BasicVSR=BasicVSR, BaseEditModel=BaseEditModel)[model]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmagic'):
        editor = build(
            generator=dict(type='mmpose.STARPoseSRNet', **SMALL),
            pixel_loss=dict(type='CharbonnierLoss', reduction='mean'),
            data_preprocessor=dict(type='DataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
        )
    generator = torch.Generator().manual_seed(2)
    frames = () if num_frames is None else (num_frames,)
    lr = torch.randint(0, 256, (*frames, 3, 16, 16), generator=generator, dtype=torch.uint8)
    hr = torch.randint(0, 256, (*frames, 3, 64, 64), generator=generator, dtype=torch.uint8)
    batch = dict(inputs=[lr, lr], data_samples=[DataSample(gt_img=hr), DataSample(gt_img=hr)])
    optimiser = OptimWrapper(torch.optim.Adam(editor.parameters(), lr=1e-2))
    losses = [editor.train_step(batch, optimiser)['loss'].item() for _ in range(3)]
    assert losses[2] < losses[0]
    predictions = editor.test_step(batch)
    assert predictions[0].output.pred_img.shape == hr.shape
