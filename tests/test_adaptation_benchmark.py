"""The benchmark of adaptation counts joints rightly and shows every system what it reads."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample

from tiny_runs import load_benchmark

WIDTH = 100.0


@pytest.fixture(scope='module')
def adaptation():
    return load_benchmark('adaptation')


@pytest.fixture(scope='module')
def scores():
    return load_benchmark('torso_pck')


def person(error: float, unseen: tuple[int, ...] = ()) -> PoseDataSample:
    """Somebody whose torso is 100 pixels long and whose joints are all found beside their place."""
    truth = np.zeros((1, 17, 2))
    truth[0, 5] = WIDTH, 0  # left shoulder; the right hip lies at 0
    visible = np.ones((1, 17))
    visible[0, list(unseen)] = 0
    sample = PoseDataSample()
    sample.gt_instances = InstanceData(keypoints=truth, keypoints_visible=visible)
    sample.pred_instances = InstanceData(keypoints=truth + np.array([error, 0]))
    return sample


def test_joints_are_found_within_a_share_of_the_torso(scores):
    people = [person(0), person(15), person(25), person(25)]
    assert scores.pck(people, 0.2)['all'] == 50
    assert scores.pck(people, 0.1)['all'] == 25


def test_only_labelled_joints_of_the_groups_asked_for_count(scores):
    near, far = person(0, unseen=(7, 8)), person(30)
    assert scores.pck([near, far], 0.2, ('elbows', 'wrists')) == {
        'all': round(100 * 2 / 6, 1), 'elbows': 0, 'wrists': 50,
    }  # fmt: skip


@pytest.mark.parametrize('joint', [5, 12])
def test_who_has_no_labelled_torso_does_not_count(scores, joint):
    assert scores.pck([person(0), person(99, unseen=(joint,))], 0.2)['all'] == 100


def test_the_interval_is_one_over_people_not_over_joints(scores):
    assert scores.interval([person(0)] * 4) == (100, 100)
    # Half of 100 people are found: the deviation of the mean is 5 of 100, however many joints.
    low, high = scores.interval([person(0), person(99)] * 50)
    assert low == pytest.approx(50 - 1.96 * 5, abs=1.5)
    assert high == pytest.approx(50 + 1.96 * 5, abs=1.5)


def test_systems_see_the_middle_frames_or_the_crop(adaptation):
    clip = torch.arange(9)[:, None, None, None].expand(9, 3, 64, 48).byte()
    labels = PoseDataSample(metainfo=dict(target_idx=4, frame_paths=tuple(map(str, range(9)))))
    labels.gt_sr = PixelData(img=torch.full((3, 256, 192), 7, dtype=torch.uint8))
    samples = [{'inputs': clip, 'data_samples': labels}]
    systems = adaptation.systems_of('lightning', 'ours')
    numbers = [num_frames for _, num_frames, _ in systems.values()]
    crop, bicubic, bicubic_evidence, adapted, evidence = (
        adaptation.shown(samples, num_frames)[0]['inputs'] for num_frames in numbers
    )
    assert crop.shape == (1, 3, 256, 192)
    assert crop.unique().tolist() == [7]
    assert bicubic[:, 0, 0, 0].tolist() == [4]
    assert adapted[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 6]
    for shown in (bicubic_evidence, evidence):
        assert shown[:, 0, 0, 0].tolist() == list(range(9))
    labels_shown = adaptation.shown(samples, 5)[0]['data_samples']
    assert labels_shown.target_idx == 2
    assert labels_shown.frame_paths == ('2', '3', '4', '5', '6')
    assert labels.target_idx == 4


def test_bicubic_reads_the_untouched_network_and_the_adapted_its_own(adaptation):
    weights = adaptation.WEIGHTS / 'star_pose_movenet-lightning_64x48.pth'
    published = torch.load(adaptation.WEIGHTS / 'movenet-lightning.pth', weights_only=True)
    adapted = torch.load(weights, weights_only=True)['state_dict']
    name = 'head.final_layer.weight'
    for config, num_frames, is_adapted in adaptation.systems_of('lightning', 'ours').values():
        with DefaultScope.overwrite_default_scope('mmpose'):
            model = adaptation.build(config, num_frames, weights if is_adapted else None)
        found = model.state_dict()[f'head.pose_net.{name}']
        wanted = adapted[f'head.pose_net.{name}'] if is_adapted else published['state_dict'][name]
        assert found.equal(wanted.float()), config
        assert model.head.num_evidence == (5 if num_frames == 9 else 1)
