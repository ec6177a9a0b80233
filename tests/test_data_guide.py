"""What the guides to data, checks and training show is accepted by the code."""

import pathlib
import re

import pytest
from mmengine.registry import DefaultScope
from mmpose.registry import DATASETS

from star_pose.datasets import DataNotFoundError
from star_pose.datasets.checks.report import CHECKS

ROOT = pathlib.Path(__file__).parents[1]
GUIDE = '\n'.join(
    (ROOT / 'docs' / name).read_text(encoding='utf-8')
    for name in ('data.md', 'check.md', 'train.md')
)
CONFIGS = re.findall(r'```python\n(.*?)```', GUIDE, re.DOTALL)
COMMANDS = re.findall(r'^python (tools/\w+\.py)(.*)$', GUIDE, re.MULTILINE)


@pytest.mark.parametrize('source', CONFIGS)
def test_config_is_accepted_up_to_the_missing_data(source, tmp_path, monkeypatch):
    DefaultScope.get_instance('data_guide', scope_name='mmpose')
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(source, names)
    with pytest.raises(DataNotFoundError, match='annotation file not found'):
        DATASETS.build(names['dataset'])


@pytest.mark.parametrize(('tool', 'arguments'), COMMANDS)
def test_command_names_a_tool_its_flags_and_configs_that_exist(tool, arguments):
    source = (ROOT / tool).read_text(encoding='utf-8')
    for flag in re.findall(r'--[\w-]+', arguments):
        assert f"'{flag}'" in source or 'command_line.add_' in source
    for config in re.findall(r'configs/\S+\.py', arguments):
        assert (ROOT / config).is_file()


def test_guide_covers_every_class_and_tool():
    assert len(CONFIGS) >= 6
    assert len(COMMANDS) >= 6
    for name in ('PoseTrack', 'Jhmdb', 'Video'):
        assert f'{name}ClipDataset' in GUIDE
    for check in ('missing neighbour frames', 'duplicate ids', 'frames out of'):
        assert check in GUIDE
        assert any(name.startswith(check) for name in CHECKS)
