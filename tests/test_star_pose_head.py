import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.model import ExponentialMovingAverage

from pose_batches import (
    HEATMAP,
    REGRESSION,
    SIMCC,
    batch,
    build,
    cascade,
    estimator,
    heatmap_head,
    hrnet,
    losses_of,
    predict,
    regression_head,
    resnet,
    rtmcc_head,
    simcc_head,
    star_pose,
    train_step,
)
from star_pose.models.layers.pixel_grid import move_grid

HANDOFFS = ('image', 'residual', 'feature')
POSE_NETS = {
    'heatmap': (estimator(), HEATMAP),
    'simcc': (estimator(head=simcc_head()), SIMCC),
    'rtmcc': (estimator(head=rtmcc_head()), SIMCC),
    'regression': (
        estimator(resnet(), regression_head(), neck={'type': 'GlobalAveragePooling'}),
        REGRESSION,
    ),
}


@pytest.mark.parametrize('handoff', HANDOFFS)
@pytest.mark.parametrize('kind', POSE_NETS)
def test_every_head_trains_and_predicts_with_every_handoff(kind, handoff):
    net, codec = POSE_NETS[kind]
    model = build(star_pose(handoff, {'flip_test': True}, pose_net=net))
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)
    logged = train_step(model, batch(codec), optimiser)
    assert {'loss_kpt', 'loss_sr_pixel', 'loss_sr_structure', 'psnr'} <= set(logged)
    assert all(torch.isfinite(value) for value in logged.values())
    samples = predict(model, batch(codec))
    assert samples[0].pred_instances.keypoints.shape == (1, 5, 2)


@pytest.mark.parametrize('handoff', HANDOFFS)
def test_every_parameter_has_a_gradient_after_two_steps(handoff):
    model = build(star_pose(handoff))
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(3):
        train_step(model, batch(), optimiser)
    dead = [
        name
        for name, item in model.named_parameters()
        if item.requires_grad and (item.grad is None or not item.grad.any())
    ]
    assert dead == []


@pytest.mark.parametrize('kind', POSE_NETS)
def test_losses_and_predictions_at_the_start_are_the_bicubic_baselines(kind):
    net, codec = POSE_NETS[kind]
    ours = build(
        star_pose('residual', {'flip_test': True}, pose_net=net, sr_loss=None, sr_decoder=None)
    )
    baseline = build({**cascade(pose_net=net), 'test_cfg': {'flip_test': True}})
    ours.head.pose_net.load_state_dict(baseline.head.pose_net.state_dict())
    ours.eval(), baseline.eval()
    with torch.no_grad():
        losses, expected = losses_of(ours, batch(codec)), losses_of(baseline, batch(codec))
    assert losses.keys() == expected.keys()
    torch.testing.assert_close(losses['loss_kpt'], expected['loss_kpt'], rtol=1e-5, atol=0)
    for ours_one, expected_one in zip(
        predict(ours, batch(codec)), predict(baseline, batch(codec)), strict=True
    ):
        difference = ours_one.pred_instances.keypoints - expected_one.pred_instances.keypoints
        assert abs(difference).max() < 0.02


@pytest.mark.parametrize('kind', POSE_NETS)
def test_the_nested_estimator_predicts_what_it_would_alone(kind):
    net, codec = POSE_NETS[kind]
    model = build({**cascade(pose_net=net), 'test_cfg': {'flip_test': True}})
    alone = build(
        {**net, 'data_preprocessor': model.data_preprocessor, 'test_cfg': {'flip_test': True}}
    )
    alone.load_state_dict(model.head.pose_net.state_dict())
    model.eval(), alone.eval()
    data = model.data_preprocessor(batch(codec))
    frame = data['inputs'][:, 1]
    frame = torch.nn.functional.interpolate(
        frame, scale_factor=4, mode='bicubic', align_corners=False
    )
    with torch.no_grad():
        expected = alone.predict(frame, copy.deepcopy(data['data_samples']))
        samples = model.predict(data['inputs'], data['data_samples'])
    for sample, wanted in zip(samples, expected, strict=True):
        for name in ('keypoints', 'keypoint_scores'):
            # Flipping the LR frame and flipping its upsampling differ by rounding.
            first, second = sample.pred_instances[name], wanted.pred_instances[name]
            assert first == pytest.approx(second, abs=2e-3)


def test_a_head_alone_decodes_the_fused_map():
    head = heatmap_head(16)
    model = build(star_pose(pose_net=None, head=head, test_cfg={'flip_test': True}))
    logged = train_step(model, batch(), torch.optim.SGD(model.parameters(), 1e-3))
    assert {'loss_kpt', 'loss_sr_pixel'} <= set(logged)
    feats = model.extract_feat(torch.randn(1, 3, 3, 32, 24))
    assert torch.equal(model.head(feats), model.head.head((move_grid(feats[-1], 4),)))
    assert predict(model, batch())[0].pred_instances.keypoints.shape == (1, 5, 2)


@pytest.mark.parametrize('handoff', HANDOFFS)
def test_the_frame_is_decoded_only_when_it_is_needed(handoff):
    model = build(star_pose(handoff, {'flip_test': True}))
    calls = []
    model.head.sr_decoder.register_forward_hook(lambda *args: calls.append(1))
    predict(model, batch())
    assert len(calls) == (2 if handoff == 'image' else 0)
    calls.clear()
    model.test_cfg['output_sr'] = True
    samples = predict(model, batch())
    assert len(calls) == (2 if handoff == 'image' else 1)
    assert samples[0].pred_sr.img.shape == (3, 128, 96)


def test_the_predicted_frame_is_rgb_of_the_bicubic_target_at_the_start():
    model = build(star_pose(test_cfg={'output_sr': True}))
    data = batch(num_frames=5)
    target = data['inputs'][0][2].flip(0).float()  # BGR to RGB
    expected = torch.nn.functional.interpolate(
        target[None], scale_factor=4, mode='bicubic', align_corners=False
    )[0].clamp(0, 255)
    image = predict(model, data)[0].pred_sr.img
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-3)


def test_psnr_is_that_of_the_bicubic_frame_inside_the_mask():
    model = build(star_pose())
    data = batch(num_frames=1)
    psnrs = []
    for clip, sample in zip(data['inputs'], data['data_samples'], strict=True):
        frame = torch.nn.functional.interpolate(
            clip.float(), scale_factor=4, mode='bicubic', align_corners=False
        )[0].clamp(0, 255)
        error = (frame - sample.gt_sr.img.float()) ** 2
        inside = sample.gt_sr.mask.expand_as(error).bool()
        psnrs.append(10 * torch.log10(255**2 / error[inside].mean()))
    logged = losses_of(model, data)['psnr']
    torch.testing.assert_close(logged, torch.stack(psnrs).mean(), rtol=0, atol=1e-3)


def test_a_sample_without_a_target_adds_nothing_to_the_frames_loss():
    model = build(star_pose())
    both, one = batch(with_hr=(True, True)), batch(with_hr=(True, False))
    alone = {key: value[:1] for key, value in batch().items()}
    name = 'loss_sr_pixel'
    losses = {key: losses_of(model, data)[name] for key, data in
              (('both', both), ('one', one), ('alone', alone))}  # fmt: skip
    # The mean runs over the batch, so the other's half is missing, not given to the first.
    torch.testing.assert_close(losses['one'], losses['alone'] / 2)
    assert losses['both'] > losses['one']


@pytest.mark.parametrize('handoff', HANDOFFS)
def test_without_any_target_the_decoder_stays_in_the_graph(handoff):
    model = build(star_pose(handoff))
    data = batch(with_hr=(False, False))
    losses = losses_of(model, data)
    assert 'psnr' not in losses
    assert losses['loss_sr_pixel'] == 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.head.sr_decoder.parameters())


@pytest.mark.parametrize('kind', POSE_NETS)
def test_the_pose_head_is_an_fp32_island_under_autocast(kind):
    net, codec = POSE_NETS[kind]
    model = build(star_pose('residual', {'flip_test': True}, pose_net=net))
    seen = []
    for layer in model.head.pose_head.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            layer.register_forward_pre_hook(
                lambda _, args: seen.append((args[0].dtype, torch.is_autocast_enabled('cpu')))
            )
    with torch.autocast('cpu', torch.bfloat16):
        losses = losses_of(model, batch(codec))
        samples = predict(model, batch(codec))
    model.parse_losses(losses)[0].backward()
    assert set(seen) == {(torch.float32, False)}
    assert losses['loss_kpt'].dtype == losses['loss_sr_pixel'].dtype == torch.float32
    assert torch.isfinite(torch.as_tensor(samples[0].pred_instances.keypoints)).all()


def test_the_outer_test_cfg_goes_before_the_pose_nets_own():
    net = estimator(test_cfg={'output_heatmaps': True, 'flip_test': True, 'flip_mode': 'nonsense'})
    model = build(star_pose(pose_net=net))
    samples = predict(model, batch())  # not flipped: only the outer estimator can flip
    assert samples[0].pred_fields.heatmaps.shape == (5, 32, 24)
    model.test_cfg.update(flip_test=True, flip_mode='heatmap', output_heatmaps=False)
    assert 'pred_fields' not in predict(model, batch())[0]


def test_images_are_clips_of_one_frame():
    model = build(star_pose(test_cfg={'output_sr': True}))
    image, clip = batch(num_frames=0), batch(num_frames=1)
    assert torch.equal(image['inputs'][0], clip['inputs'][0][0])
    first, second = predict(model, image)[0], predict(model, clip)[0]
    assert (first.pred_instances.keypoints == second.pred_instances.keypoints).all()


def test_without_super_resolution_the_codec_may_speak_of_larger_pixels():
    net = estimator(resnet(), simcc_head(128, in_featuremap_size=(1, 1)))
    model = build(
        {
            **cascade(pose_net=net, scale=1),
            'backbone': {'type': 'SRCascadeBackbone', 'sr': None, 'scale': 1},
        }
    )
    frames = []
    model.head.pose_net.backbone.register_forward_pre_hook(lambda _, args: frames.append(args[0]))
    losses = losses_of(model, batch(SIMCC))
    assert frames[0].shape == (2, 3, 32, 24)
    assert torch.isfinite(losses['loss_kpt'])


@pytest.mark.parametrize(
    ('changes', 'error', 'words'),
    [
        ({'pose_net': None}, ValueError, 'exactly one'),
        ({'head': heatmap_head()}, ValueError, 'exactly one'),
        ({'pose_net': hrnet()}, TypeError, 'HRNet'),
        ({'target': 'first'}, ValueError, "'first'"),
        ({'sr_decoder': None}, ValueError, 'ResidualHandoff makes none'),
        ({'sr_loss': None}, ValueError, 'nothing would train sr_decoder'),
        ({'sr_decoder': {'type': 'PixelShuffleSRDecoder', 'scale': 2}}, ValueError, 'scale=2'),
        ({'sr_decoder': {'type': 'PixelShuffleSRDecoder', 'in_channels': 8}}, ValueError, '=8'),
        ({'aux_head': {'type': 'JointMapHead', 'in_channels': 8}}, ValueError, 'aux_head has in_'),
    ],
)
def test_contradicting_parts_are_refused_at_construction(changes, error, words):
    with pytest.raises(error, match=words):
        build(star_pose(**changes))


def test_another_target_frame_is_refused():
    model = build(star_pose())
    data = batch(num_frames=5, target_idx=4)
    with pytest.raises(ValueError, match=r"target_idx is \[4\].*frame 2 \(target='centre'\)"):
        losses_of(model, data)
    model.head.target = 'last'
    losses_of(model, data)
    with pytest.raises(ValueError, match=r'target_idx is \[2\]'):
        predict(model, batch(num_frames=5))


def test_sizes_that_disagree_are_refused():
    model = build(star_pose())
    other = {**HEATMAP, 'input_size': (192, 256), 'heatmap_size': (48, 64)}
    with pytest.raises(ValueError, match=r'\(192, 256\).*\(96, 128\)'):
        losses_of(model, batch(other, scale=8))
    with pytest.raises(ValueError, match='scale=4 is'):
        losses_of(model, batch(scale=2))


def test_a_map_of_other_channels_is_refused():
    config = star_pose(in_channels=32)
    with pytest.raises(ValueError, match=r'\(2, 16, 32, 24\).*in_channels=32'):
        losses_of(build(config), batch())


def test_a_target_frame_of_another_size_is_refused():
    model = build(star_pose())
    data = batch()
    sample = data['data_samples'][0]
    sample.gt_sr = type(sample.gt_sr)(img=sample.gt_sr.img[:, :64], mask=sample.gt_sr.mask[:, :64])
    with pytest.raises(ValueError, match=r'\(3, 64, 96\)'):
        losses_of(model, data)


def test_a_frame_that_does_not_exist_cannot_be_output():
    model = build(star_pose(test_cfg={'output_sr': True}, sr_decoder=None, sr_loss=None))
    with pytest.raises(ValueError, match='no SR frame'):
        predict(model, batch())


@pytest.mark.slow
def test_distributed_training_uses_every_parameter(tmp_path):
    """One process suffices: DDP refuses parameters that took no part in the backward pass."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
    )
    try:
        for handoff in HANDOFFS:
            model = build(star_pose(handoff))
            parallel = torch.nn.parallel.DistributedDataParallel(model)
            for with_hr in ((True, False), (False, False), (True, True)):
                data = model.data_preprocessor(batch(with_hr=with_hr), True)
                # A parameter left out of one step makes the next forward raise.
                loss, _ = model.parse_losses(parallel(**data, mode='loss'))
                loss.backward()
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('handoff', HANDOFFS)
@pytest.mark.filterwarnings('ignore')
def test_the_whole_model_exports_to_onnx(handoff):
    model = build(star_pose(handoff)).eval()
    buffer = io.BytesIO()
    example = torch.randn(1, 3, 3, 32, 24)
    torch.onnx.export(
        model,
        (example, None),
        buffer,
        input_names=['clip'],
        output_names=['heatmaps'],
        dynamic_axes={'clip': {0: 'batch'}, 'heatmaps': {0: 'batch'}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=['CPUExecutionProvider'])
    clip = torch.randn(2, 3, 3, 32, 24)
    [found] = session.run(None, {'clip': clip.numpy()})
    with torch.no_grad():
        expected = model(clip, None).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


@pytest.mark.parametrize('handoff', HANDOFFS)
def test_an_averaged_copy_follows_its_own_weights(handoff):
    model = build(star_pose(handoff)).eval()
    averaged = ExponentialMovingAverage(model).eval()
    clip = torch.randn(1, 3, 3, 32, 24)
    with torch.no_grad():
        expected = model(clip, None)
        torch.testing.assert_close(averaged(clip, None), expected, rtol=1e-4, atol=1e-8)
        for parameter in model.parameters():
            parameter.add_(0.1)
        torch.testing.assert_close(averaged(clip, None), expected, rtol=1e-4, atol=1e-8)
        assert not torch.allclose(model(clip, None), expected)


def test_predictions_do_not_depend_on_the_batch():
    model = build(star_pose(test_cfg={'flip_test': True}))
    both = predict(model, batch())
    for index in range(2):
        alone = {key: values[index : index + 1] for key, values in batch().items()}
        [sample] = predict(model, alone)
        keypoints = both[index].pred_instances.keypoints
        assert sample.pred_instances.keypoints == pytest.approx(keypoints, abs=1e-3)
