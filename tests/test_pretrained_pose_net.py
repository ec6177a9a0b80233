"""A pose network starts from a whole checkpoint, joint by joint, or says why it cannot."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from pose_batches import estimator, heatmap_head, hrnet, regression_head, resnet
from star_pose.checkpoint import CheckpointError

COCO, POSETRACK = (f'configs/_base_/datasets/{name}.py' for name in ('coco', 'posetrack18'))
HEAD_BOTTOM, HEAD_TOP = 1, 2  # in PoseTrack18's order, where COCO has the eyes


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


def build(seed: int = 0, joints: int = 17, width: int = 8, **changes) -> torch.nn.Module:
    torch.manual_seed(seed)
    head = heatmap_head(width, out_channels=joints)
    model = MODELS.build(estimator(head=head, **{'backbone': hrnet(width), **changes}))
    model.init_weights()
    return model


def publish(model: torch.nn.Module, path) -> str:
    """Save as MMPose publishes: with what it knows about the data, NumPy arrays among it."""
    meta = {'dataset_meta': {'dataset_name': 'coco', 'sigmas': torch.arange(17.0).numpy()}}
    torch.save({'meta': meta, 'state_dict': model.state_dict()}, path)
    return str(path)


def pretrained(checkpoint: str | None, **names) -> dict:
    return {'type': 'PretrainedPoseNet', 'checkpoint': checkpoint, **names}


def test_without_names_of_joints_everything_is_loaded(tmp_path):
    published = build(1)
    model = build(2, init_cfg=pretrained(publish(published, tmp_path / 'coco.pth')))
    for name, value in published.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_joints_go_by_name_and_those_that_coco_lacks_start_anew(tmp_path):
    published = build(1)
    with torch.no_grad():
        published.head.final_layer.bias.copy_(torch.arange(1.0, 18.0))
    path = publish(published, tmp_path / 'coco.pth')
    model = build(2, init_cfg=pretrained(path, from_joints=COCO, to_joints=POSETRACK))
    fresh = build(2).head.final_layer
    same = [joint for joint in range(17) if joint not in (HEAD_BOTTOM, HEAD_TOP)]
    expected = published.head.final_layer.bias.clone()
    expected[[HEAD_BOTTOM, HEAD_TOP]] = 0
    assert torch.equal(model.head.final_layer.bias, expected)
    found, old = (net.head.final_layer.weight for net in (model, published))
    assert torch.equal(found[same], old[same])
    for joint in (HEAD_BOTTOM, HEAD_TOP):
        assert torch.equal(found[joint], fresh.weight[joint])
        assert not torch.equal(found[joint], old[joint])
    for name, value in published.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name


def test_joints_in_another_order_and_number_are_found_by_name(tmp_path):
    """COCO-WholeBody has COCO's 17 joints first, then 116 of feet, face and hands."""
    published = build(1, joints=133)
    path = publish(published, tmp_path / 'wholebody.pth')
    names = {'from_joints': 'configs/_base_/datasets/coco_wholebody.py', 'to_joints': COCO}
    model = build(2, init_cfg=pretrained(path, **names))
    for name in ('weight', 'bias'):
        found, old = (getattr(net.head.final_layer, name) for net in (model, published))
        assert torch.equal(found, old[:17])


def test_without_a_checkpoint_the_parts_start_by_their_own_rules():
    model, plain = build(3, init_cfg=pretrained(None)), build(3)
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize('names', [{}, {'from_joints': COCO, 'to_joints': POSETRACK}])
def test_weights_of_another_backbone_are_refused(names, tmp_path):
    other = publish(build(width=16), tmp_path / 'w16.pth')
    with pytest.raises(CheckpointError, match=r'w16\.pth does not fit TopdownPoseEstimator'):
        build(init_cfg=pretrained(other, **names))
    other = publish(build(backbone=resnet()), tmp_path / 'resnet.pth')
    with pytest.raises(CheckpointError, match=r'resnet\.pth does not fit TopdownPoseEstimator'):
        build(init_cfg=pretrained(other, **names))


def test_another_number_of_joints_is_named(tmp_path):
    path = publish(build(joints=14), tmp_path / 'lsp.pth')
    with pytest.raises(CheckpointError, match=r'14 channels there and 17 here.*change from_joints'):
        build(init_cfg=pretrained(path, from_joints=COCO, to_joints=POSETRACK))


def test_a_head_whose_channels_are_no_joints_is_refused(tmp_path):
    model = estimator(
        backbone=resnet(), neck={'type': 'GlobalAveragePooling'}, head=regression_head()
    )
    path = tmp_path / 'regression.pth'
    publish(MODELS.build(model), path)
    model['init_cfg'] = pretrained(str(path), from_joints=COCO, to_joints=POSETRACK)
    with pytest.raises(CheckpointError, match=r'no head\.final_layer'):
        MODELS.build(model).init_weights()


def test_one_set_of_joints_alone_is_refused():
    with pytest.raises(ValueError, match=r"from_joints='configs.*both or neither"):
        build(init_cfg=pretrained('x.pth', from_joints=COCO))


def test_a_missing_file_and_an_address_out_of_reach_say_what_to_do():
    with pytest.raises(CheckpointError, match=r'not found: nowhere\.pth'):
        build(init_cfg=pretrained('nowhere.pth'))
    address = 'http://localhost:9/weights.pth'
    with pytest.raises(CheckpointError, match=r'localhost:9.*download the file.*give its path'):
        build(init_cfg=pretrained(address))
