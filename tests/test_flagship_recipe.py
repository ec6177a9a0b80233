"""The flagship starts from MMPose's published HRNet-W32, trains, and refuses another checkpoint.

The checkpoint is made here, of random weights, by MMPose's own config for the published file.
"""

import pathlib

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from star_pose.engine.config_options import read_config
from tiny_runs import QUICK, REPO, last_log, run_tool

FLAGSHIP = REPO / 'configs/star_pose_64x48_posetrack.py'
LIKE_IT = [
    *sorted((REPO / 'configs/cascades').glob('*_hrnet-w32_64x48_posetrack.py')),
    REPO / 'configs/baselines/bicubic_hrnet-w32_64x48_posetrack.py',
]
ZOO = pathlib.Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap/coco'
SAME_JOINTS = [joint for joint in range(17) if joint not in (1, 2)]


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """The published network with other weights, and its file."""
    model = Config.fromfile(ZOO / 'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py').model
    # The rule under which deviations neither vanish nor explode, so that maps can be compared.
    model.backbone.init_cfg = [
        {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in'},
        {'type': 'Constant', 'layer': 'BatchNorm2d', 'val': 1},
    ]
    with DefaultScope.overwrite_default_scope('mmpose'):
        torch.manual_seed(0)
        net = MODELS.build(model)
        net.init_weights()
    torch.nn.init.normal_(net.head.final_layer.weight, std=0.05)
    path = tmp_path_factory.mktemp('zoo') / 'hrnet_w32.pth'
    torch.save({'meta': {}, 'state_dict': net.state_dict()}, path)
    return net.eval(), path


def test_the_address_is_the_one_of_mmposes_model_zoo():
    (entry,) = (
        model
        for model in Config.fromfile(ZOO / 'hrnet_udp_coco.yml').Models
        if model.Name == 'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192'
    )
    assert Config.fromfile(FLAGSHIP).pretrained == entry.Weights


@pytest.mark.parametrize('path', LIKE_IT, ids=lambda path: path.stem)
def test_baseline_and_cascades_start_and_learn_as_the_flagship_does(path):
    flagship, config = (read_config(str(one), {'pretrained': 'x.pth'}) for one in (FLAGSHIP, path))
    assert flagship.model.head.pose_net.init_cfg.checkpoint == 'x.pth'
    assert config.model.head.pose_net == flagship.model.head.pose_net
    for name in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_cfg'):
        assert config[name] == flagship[name]
    assert config.auto_scale_lr.enable
    assert config.train_dataloader.batch_size == flagship.train_dataloader.batch_size


@pytest.mark.slow
def test_before_its_first_step_it_sees_what_the_published_network_sees_in_the_bicubic_frame(
    published,
):
    net, path = published
    config = read_config(str(FLAGSHIP), {'pretrained': str(path)})
    model = MODELS.build(config.model)
    model.init_weights()
    clip = torch.randn(1, 5, 3, 64, 48)
    frame = torch.nn.functional.interpolate(
        clip[:, 2], scale_factor=4, mode='bicubic', align_corners=False
    )
    with torch.no_grad():
        found, expected = model.eval()(clip, None), net(frame, None)
    torch.testing.assert_close(
        found[:, SAME_JOINTS], expected[:, SAME_JOINTS], rtol=1e-3, atol=1e-3 * expected.std()
    )
    # PoseTrack18's bottom and top of the head are no eyes; they start near zero.
    assert found[:, 1:3].std() < 0.1 * expected[:, 1:3].std()


@pytest.mark.slow
def test_it_trains_from_the_published_network_at_a_rate_for_its_batch(
    published, synthetic_root, tmp_path
):
    net, path = published
    options = [f'data_root={synthetic_root}', f'pretrained={path}', *QUICK]
    options += ['train_dataloader.dataset.indices=4', 'val_dataloader.dataset.indices=2']
    run_tool('train', FLAGSHIP, '--work-dir', tmp_path, '--cfg-options', *options)
    lines = last_log(tmp_path)
    steps = [line for line in lines if 'loss' in line]
    assert [line['iter'] for line in steps] == [1, 2]
    # 2.5e-4 for 8 processes of 32 clips, here one of 2; the warm-up ends with the second step.
    assert steps[-1]['lr'] == pytest.approx(2.5e-4 * 2 / 256)
    (measured,) = (line for line in lines if 'posetrack/AP' in line)
    assert 0 <= measured['posetrack/AP'] <= 100
    trained = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    start = net.state_dict()['backbone.stage4.2.fuse_layers.0.1.0.weight']
    end = trained['head.pose_net.backbone.stage4.2.fuse_layers.0.1.0.weight']
    assert not torch.equal(end, start)
    torch.testing.assert_close(end, start, rtol=0, atol=1e-5)  # two small steps away


@pytest.mark.slow
def test_a_checkpoint_of_another_network_ends_the_run_with_one_line(
    synthetic_root, tmp_path, capsys
):
    weights = REPO / 'projects/star_pose/weights/movenet-lightning.pth'
    options = [f'data_root={synthetic_root}', f'pretrained={weights}', *QUICK]
    with pytest.raises(SystemExit) as ended:
        run_tool('train', FLAGSHIP, '--work-dir', tmp_path, '--cfg-options', *options)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert 'movenet-lightning.pth does not fit TopdownPoseEstimator' in said
    assert 'Traceback' not in said


@pytest.mark.slow
def test_without_a_checkpoint_it_starts_by_a_rule_that_lets_signals_through():
    config = read_config(str(FLAGSHIP), {'pretrained': None})
    backbone = config.model.head.pose_net.backbone
    stock = {key: value for key, value in backbone.items() if key != 'init_cfg'}
    deviations = {}
    for name, definition in (('ours', backbone), ('stock', stock)):
        torch.manual_seed(0)
        net = MODELS.build(definition)
        net.init_weights()
        net.eval()
        with torch.no_grad():
            deviations[name] = net(torch.randn(1, 3, 256, 192))[0].std()
    assert deviations['ours'] > 0.1
    assert deviations['stock'] < 1e-3
