import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpose.registry import DATASETS, MODELS
from torch import nn

from pose_batches import (
    SIMCC,
    batch,
    build,
    cascade,
    estimator,
    heatmap_head,
    predict,
    resnet,
    simcc_head,
    star_pose,
)
from star_pose.apis.deploy import DeployedNetwork, deploy
from star_pose.checkpoint import load_weights
from tiny_runs import ADAPTED_WEIGHTS, REPO

SHAPE = (2, 3, 3, 32, 24)


def trained(config: dict) -> nn.Module:
    """A model whose batch norms and zero-initialised layers have something to lose."""
    model = build(config)
    torch.manual_seed(1)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
        elif isinstance(module, nn.Conv2d) and name.startswith('head'):
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


def keypoints(model: nn.Module, data: dict) -> np.ndarray:
    samples = predict(model, copy.deepcopy(data))
    return np.concatenate([sample.pred_instances.keypoints for sample in samples])


def as_tuple(output: torch.Tensor | tuple) -> tuple[torch.Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)


SYSTEMS = {
    'residual': star_pose('residual'),
    'image': star_pose('image'),
    'feature': star_pose('feature'),
    'flip test': star_pose('residual', test_cfg={'flip_test': True, 'flip_mode': 'heatmap'}),
    'simcc': star_pose('residual', pose_net=estimator(head=simcc_head())),
    'resnet': star_pose(
        'feature',
        pose_net=estimator(
            resnet(), heatmap_head(128, deconv_out_channels=(8,) * 3, deconv_kernel_sizes=(4,) * 3)
        ),
    ),
    'bicubic': cascade(),
}


@pytest.mark.parametrize('name', SYSTEMS)
def test_folding_leaves_the_keypoints(name):
    model = trained(SYSTEMS[name])
    data = batch(SIMCC) if name == 'simcc' else batch()
    deployed = deploy(model, SHAPE, compiled=False)
    folded = deployed.backbone.network.pose_net.backbone
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    clip = model.data_preprocessor(copy.deepcopy(data), training=False)['inputs']
    with torch.no_grad():
        outputs, wanted = (as_tuple(net(clip, None)) for net in (deployed, model))
    for output, expected in zip(outputs, wanted, strict=True):
        assert (output - expected).abs().max() < 1e-4 * expected.abs().max()
    # At single joints of a random network's flat heatmaps, DARK magnifies the rounding.
    error = np.abs(keypoints(deployed, data) - keypoints(model, data))
    assert np.median(error) < 0.01


def test_folding_leaves_the_keypoints_of_the_shipped_weights(synthetic_root):
    shown = Config.fromfile(REPO / 'configs' / 'star_pose_tiny_64x48_posetrack.py')
    shown.val_dataloader.dataset.data_root = f'{synthetic_root}/'
    config = Config.fromfile(REPO / 'configs' / 'adapt' / 'movenet-lightning_64x48_coco.py')
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(config.model).eval()
        dataset = DATASETS.build(shown.val_dataloader.dataset)
    load_weights(model, ADAPTED_WEIGHTS)
    data = pseudo_collate([dataset[index] for index in range(2)])
    deployed = deploy(model, (2, 5, 3, 64, 48), compiled=False)
    np.testing.assert_allclose(keypoints(deployed, data), keypoints(model, data), atol=0.1)


def test_the_model_itself_stays_as_it_was():
    model = trained(SYSTEMS['residual'])
    before = copy.deepcopy(model.state_dict())
    deploy(model, SHAPE, compiled=False)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())


def test_bfloat16_is_what_autocast_gives():
    model = trained(SYSTEMS['simcc'])
    data = model.data_preprocessor(batch(SIMCC), training=False)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        expected = model(data['inputs'], None)
    deployed = deploy(model, SHAPE, torch.bfloat16, compiled=False)
    assert deployed.backbone.dtype == torch.bfloat16
    for vector, wanted in zip(deployed(data['inputs'], None), expected, strict=True):
        assert vector.dtype == torch.float32
        assert (vector - wanted).abs().max() < 0.05 * wanted.abs().max()


class PreActivation(nn.Module):
    """Defined as convolution and norm, run the other way round."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(64, 64, 1), nn.BatchNorm2d(64)
        nn.init.constant_(self.norm.running_mean, 0.5)

    def forward(self, x):
        return self.conv(self.norm(x))


def test_another_order_of_layers_is_refused():
    model = trained(SYSTEMS['residual'])
    model.head.pose_net.backbone.layer1.append(PreActivation().eval())
    with pytest.raises(ValueError, match='defines its layers in another order'):
        deploy(model, SHAPE, compiled=False)


def test_what_cannot_be_deployed_is_named():
    with pytest.raises(TypeError, match='TopdownPoseEstimator has no STARPoseHead'):
        deploy(build(estimator()), SHAPE)
    with pytest.raises(ValueError, match=r'dtype is torch\.float16'):
        deploy(build(star_pose()), SHAPE, torch.float16)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_the_compiled_form_agrees_and_other_shapes_run_uncompiled(dtype):
    model = trained(SYSTEMS['residual'])
    deployed = deploy(model, SHAPE, dtype)
    network = deployed.backbone
    assert isinstance(network, DeployedNetwork)
    for shape in (SHAPE, (1, *SHAPE[1:])):
        clip = torch.randn(shape)
        plain = DeployedNetwork(network.network, dtype)(clip)
        for level, wanted in zip(network(clip), plain, strict=True):
            error = (level - wanted).abs().max() / wanted.abs().max()
            assert error < (1e-4 if dtype == torch.float32 else 0.05)
