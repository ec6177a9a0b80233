"""The demo goes the whole way, and its training ends by the clock."""

import dataclasses
import types

import cv2
import pytest
import torch

from star_pose.apis.synthetic_demo import CLIP, SyntheticDemo
from star_pose.engine import ProgressBarHook
from star_pose.visualization import ClipVisualizer
from tiny_runs import REPO, run_tool


@pytest.mark.slow
def test_the_demo_generates_trains_evaluates_and_draws(tmp_path):
    demo = SyntheticDemo(REPO / 'configs/star_pose_tiny_64x48_posetrack.py', tmp_path, seed=1)
    counts = demo.make_data(videos=2, frames=2, workers=1)
    assert counts['train']['videos'] == counts['val']['videos'] == 1

    runner = demo.build(steps=2, batch_size=2, workers=0)
    before = runner.model.head.sr_decoder.to_rgb.weight.clone()
    demo.train(runner)
    metrics = runner.test()
    path = demo.draw(runner, count=2)
    ClipVisualizer._instance_dict.clear()

    assert runner.iter == 2
    assert not runner.model.head.sr_decoder.to_rgb.weight.equal(before)
    assert 0 <= metrics['posetrack/AP'] <= 100
    kept = torch.load(tmp_path / 'work' / 'last.pth')['state_dict']
    assert kept['head.sr_decoder.to_rgb.weight'].equal(runner.model.head.sr_decoder.to_rgb.weight)
    picture = cv2.imread(str(path))
    # Two panels below each other, of four tiles of 192x256 (w x h), at least, side by side.
    assert picture.shape[0] >= 2 * 256
    assert picture.shape[1] >= 4 * 192


@pytest.mark.slow
def test_the_demo_shows_the_poses_that_the_video_tool_finds(tmp_path):
    demo = SyntheticDemo('unused.py', tmp_path)
    short = dataclasses.replace(CLIP, scene=dataclasses.replace(CLIP.scene, frames=3))
    frames = demo.show('star_pose_movenet-lightning', short)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert min(len(frame.keypoints) for frame in frames) >= 2
    assert demo.video.stat().st_size > 0
    # Four tiles of 192x256 (w x h) below the frame
    height, width = cv2.imread(str(demo.closeups)).shape[:2]
    assert width >= 4 * 192
    assert height >= 256 + 4 * 192 * 270 / 480


@pytest.mark.parametrize(
    'line',
    [('--videos', 1), ('--frames', 0), ('--steps', 0), ('--batch-size', -1), ('--out', __file__)],
)
def test_what_the_demo_cannot_do_is_refused_before_it_works(line, capsys):
    with pytest.raises(SystemExit) as ended:
        run_tool('demo', *line)
    assert ended.value.code == 2
    assert f'{line[0]} ' in capsys.readouterr().err.splitlines()[-1]


class _Loop:
    stop_training = False


def _train(hook: ProgressBarHook, seconds: list[float], monkeypatch) -> int:
    """Run a training whose steps end at the given times; the number of steps that were done."""
    times = iter([0.0, *seconds])
    monkeypatch.setattr('star_pose.engine.hooks.time.monotonic', lambda: next(times))
    runner = types.SimpleNamespace(max_iters=len(seconds), iter=0, train_loop=_Loop())
    hook.before_train(runner)
    for step in range(len(seconds)):
        hook.after_train_iter(runner, step, outputs={})
        if runner.train_loop.stop_training:
            break
    hook.after_train(runner)
    return step + 1


def test_a_training_ends_when_its_time_is_over(monkeypatch):
    assert _train(ProgressBarHook(max_seconds=5), [2, 4, 6, 8], monkeypatch) == 3


def test_a_training_without_a_limit_does_all_its_steps(monkeypatch):
    assert _train(ProgressBarHook(), [1e6, 2e6, 3e6], monkeypatch) == 3
