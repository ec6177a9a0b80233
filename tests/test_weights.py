"""The shipped weights are those that the metafile names, and fit the config they are for."""

import hashlib
import re

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from tiny_runs import REPO

(ENTRY,) = (
    model
    for model in yaml.safe_load((REPO / 'configs' / 'metafile.yml').read_text())['Models']
    if model['Name'] == 'star_pose_tiny_64x48_posetrack'
)
WEIGHTS = REPO / ENTRY['Weights']


def test_the_file_is_the_one_that_was_measured_and_small():
    data = WEIGHTS.read_bytes()
    assert hashlib.sha256(data).hexdigest() == ENTRY['SHA256']
    assert len(data) < 12e6


def test_it_holds_weights_only_and_all_of_the_models():
    checkpoint = torch.load(WEIGHTS, weights_only=True)
    assert checkpoint['meta']['config'] == (REPO / ENTRY['Config']).name
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(Config.fromfile(REPO / ENTRY['Config']).model)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_its_card_and_its_commands_are_beside_it():
    card = WEIGHTS.with_name('README.md').read_text()
    for said in (WEIGHTS.name, 'LSP-Extended', 'research only', '**Limits.**'):
        assert said in card
    commands = WEIGHTS.with_name('train.sh').read_text()
    assert '--config $tiny' in commands
    assert ENTRY['Config'] in commands


def test_the_examples_show_it_on_videos_that_it_was_not_trained_on():
    made = r'make_synthetic_posetrack\.py .*--seed (\d+)'
    trained = set(re.findall(made, WEIGHTS.with_name('train.sh').read_text()))
    shown = re.findall(made, (REPO / 'README.md').read_text())
    shown += re.findall(made, (REPO / 'docs' / 'data.md').read_text())
    demo = (REPO / 'tools' / 'demo.py').read_text()
    shown += re.findall(r"'--seed', type=int, default=(\d+)", demo)
    assert len(shown) == 3
    assert trained
    assert not trained & set(shown)
    # Nothing is made with the default seed unseen.
    assert 'make_synthetic_posetrack' not in re.sub(made, '', (REPO / 'README.md').read_text())
