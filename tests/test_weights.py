"""The shipped weights are those that the metafile names, and fit the configs they are for."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from star_pose import VideoPose
from star_pose.apis.synthetic_demo import CLIP
from star_pose.checkpoint import load_weights
from tiny_runs import ADAPTED_WEIGHTS, REPO

ENTRIES = {
    model['Name']: model
    for model in yaml.safe_load((REPO / 'configs' / 'metafile.yml').read_text())['Models']
    if 'Weights' in model
}
WEIGHTS = ADAPTED_WEIGHTS.parent
JOINTS = '.neck_and_head_top.'  # PoseTrack's, which COCO has not
# Of each adapted network: what its file may weigh in MB.
ADAPTED = {'lightning': 8, 'thunder': 20}


def adapted(network: str) -> tuple[dict, pathlib.Path]:
    """The entry of an adapted model and its file."""
    entry = ENTRIES[f'movenet-{network}_64x48_evidence']
    return entry, REPO / entry['Weights']


def build(config: str) -> torch.nn.Module:
    with DefaultScope.overwrite_default_scope('mmpose'):
        return MODELS.build(Config.fromfile(REPO / config).model)


@pytest.mark.parametrize('name', ENTRIES)
def test_a_file_is_the_one_that_was_measured(name):
    entry = ENTRIES[name]
    data = (REPO / entry['Weights']).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry['SHA256']
    notice = (WEIGHTS / 'NOTICE').read_text()
    assert f'{pathlib.Path(entry["Weights"]).name} (' in notice
    assert entry['SHA256'] in notice


@pytest.mark.parametrize('network', ADAPTED)
def test_the_adapted_file_is_small_and_read_by_torch_alone(network):
    _, path = adapted(network)
    assert path.stat().st_size < ADAPTED[network] * 1e6
    code = (
        'import sys, torch\n'
        f'content = torch.load({str(path)!r}, weights_only=True)\n'
        'assert not any(name.startswith(("star_pose", "mmengine")) for name in sys.modules)\n'
        'print({value.dtype for value in content["state_dict"].values()})'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '{torch.float16}'


@pytest.mark.parametrize('network', ADAPTED)
def test_it_holds_all_of_its_models_weights_and_a_whole_movenet(network):
    entry, path = adapted(network)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta']['config'] == (REPO / entry['Config']).name
    weights = checkpoint['state_dict']
    build(entry['Config']).load_state_dict(weights, strict=True)
    assert all(value.isfinite().all() for value in weights.values())
    published = torch.load(WEIGHTS / f'movenet-{network}.pth', weights_only=True)['state_dict']
    inside = {
        name.removeprefix('head.pose_net.'): value
        for name, value in weights.items()
        if name.startswith('head.pose_net.') and JOINTS not in name
    }
    assert inside.keys() == published.keys()
    # Trained further, but a little: it is still the published network.
    moved = torch.cat([(inside[name] - published[name]).float().flatten() for name in inside])
    whole = torch.cat([value.float().flatten() for value in published.values()])
    assert 0 < moved.norm() < 0.05 * whole.norm()


@pytest.mark.parametrize('network', ADAPTED)
def test_it_knows_posetracks_joints_beside_cocos(network):
    _, path = adapted(network)
    weights = torch.load(path, weights_only=True)['state_dict']
    model = build(f'configs/adapt/movenet-{network}_64x48_posetrack.py')
    load_weights(model, path)
    model.load_state_dict(weights, strict=True)
    for name in (name for name in weights if JOINTS in name):
        assert weights[name].any(), name


def test_the_model_of_single_frames_takes_it_too():
    model = build('configs/adapt/movenet-lightning_64x48_coco.py')
    load_weights(model, ADAPTED_WEIGHTS)
    weights = torch.load(ADAPTED_WEIGHTS, weights_only=True)['state_dict']
    name = 'head.sr_decoder.to_rgb.weight'
    assert model.state_dict()[name].equal(weights[name].float())
    assert weights[name].abs().max() > 0  # of an untrained decoder it is 0


def test_evidence_fusion_takes_an_adapted_model_that_has_none(tmp_path):
    weights = torch.load(ADAPTED_WEIGHTS, weights_only=True)['state_dict']
    fusion = [name for name in weights if name.startswith('head.evidence_fusion.')]
    assert len(fusion) == 2
    kept = {name: value for name, value in weights.items() if name not in fusion}
    torch.save({'state_dict': kept}, tmp_path / 'adapted.pth')
    model = build(adapted('lightning')[0]['Config'])
    load_weights(model, tmp_path / 'adapted.pth')
    assert all((model.state_dict()[name] == 0).all() for name in fusion)  # the plain average


@pytest.mark.parametrize('network', ADAPTED)
def test_the_video_tool_knows_it_by_its_name(network):
    poser = VideoPose(f'star_pose_movenet-{network}', backend='torch')
    assert poser.model.num_frames == 5
    assert poser.model.gives_heatmaps
    assert poser.dataset_meta['keypoint_id2name'][16] == 'right_ankle'


@pytest.mark.parametrize('network', ADAPTED)
def test_its_card_says_what_it_is_for_and_how_it_is_made(network):
    entry, path = adapted(network)
    card = (WEIGHTS / 'README.md').read_text()
    for said in (path.name, 'LSP-Extended', 'research only', '**Limits.**', entry['Config']):
        assert said in card


def test_the_examples_show_it_on_videos_that_it_was_not_trained_on():
    made = r'make_synthetic_posetrack\.py .*--seed (\d+)'
    trained = set(re.findall(made, (WEIGHTS / 'README.md').read_text()))
    shown = re.findall(made, (REPO / 'README.md').read_text())
    shown += re.findall(made, (REPO / 'docs' / 'data.md').read_text())
    shown.append(str(CLIP.seed))
    assert len(shown) == 3
    assert trained
    assert not trained & set(shown)
    # Nothing is made with the default seed unseen.
    assert 'make_synthetic_posetrack' not in re.sub(made, '', (REPO / 'README.md').read_text())


@pytest.mark.parametrize('network', ADAPTED)
def test_measured_was_the_file_that_is_shipped(network):
    entry, _ = adapted(network)
    results = REPO / 'benchmarks' / 'results'
    for name in ('adaptation', 'handball'):
        result = json.loads((results / f'{name}_{network}.json').read_text())
        assert result['sha256'] == entry['SHA256'], name
