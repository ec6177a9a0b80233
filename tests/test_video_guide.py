"""The shipped models in the three lines of docs/video.md, and in MMPose's own inferencer."""

import re

import numpy as np
import pytest
from mmpose.apis import MMPoseInferencer

from star_pose import VideoPose
from star_pose.apis.shipped_models import shipped_models
from star_pose.apis.video_writer import VideoWriter
from star_pose.datasets.frames.clip_reader import ClipReader
from tiny_runs import REPO


@pytest.fixture(scope='module')
def frames(synthetic_root):
    """Frames with people in them."""
    paths = sorted(synthetic_root.glob('images/val/*/*'))
    return [ClipReader().read(str(path)) for path in paths[:2]]


def test_the_three_lines_run(frames, tmp_path, monkeypatch, capsys):
    guide = (REPO / 'docs' / 'video.md').read_text()
    (lines,) = re.findall(r'```python\n(from star_pose import VideoPose.*?)```', guide, re.DOTALL)
    assert len(lines.strip().splitlines()) == 3
    with VideoWriter(str(tmp_path / 'match.mp4'), rate=10) as writer:
        for frame in frames:
            writer.write(frame)
    monkeypatch.chdir(tmp_path)
    exec(lines, {})
    printed = capsys.readouterr().out.strip().splitlines()
    times, shapes, ids = zip(*(re.split(r' (?=[(\[])', line) for line in printed), strict=True)
    assert [float(time) for time in times] == pytest.approx([0, 0.1])
    for shape, numbers in zip(shapes, ids, strict=True):
        assert shape == f'({len(re.findall(r"[0-9]+", numbers))}, 17, 2)'


@pytest.mark.parametrize('name', [n for n in shipped_models() if 'lightning' in n])
@pytest.mark.filterwarnings('ignore')
def test_mmposes_inferencer_knows_the_models_by_their_names(frames, name):
    """Its poses are those of the video tool."""
    image = frames[0]
    inferencer = MMPoseInferencer(pose2d=name, det_model='whole_image', device='cpu')
    found = next(inferencer(image, return_vis=True, kpt_thr=0.05))
    (person,) = found['predictions'][0]
    poser = VideoPose(name, backend='torch', flip_test=True)
    (frame,) = poser(image, 'frame')
    np.testing.assert_allclose(person['keypoints'], frame.keypoints[0], atol=0.01)
    assert found['visualization'][0].shape == image.shape
    assert np.abs(found['visualization'][0].astype(int) - image[..., ::-1]).max() > 50
