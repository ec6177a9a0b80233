"""The recipe that trains with every degradation and augmentation of clips."""

import collections

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import DATASETS

from clip_samples import seed_pipeline
from posetrack_folder import make_posetrack
from tiny_runs import QUICK, REPO, last_log, run_tool

CONFIG = REPO / 'configs/star_pose_tiny_64x48_posetrack-degraded.py'


@pytest.fixture
def root(tmp_path):
    """Two videos for training and two for validation, in PoseTrack18's form."""
    for part in ('train', 'val'):
        make_posetrack(tmp_path, part=part, seed=0 if part == 'train' else 10**6)
        (tmp_path / f'annotations/{part}.json').rename(
            tmp_path / f'annotations/posetrack18_{part}.json'
        )
    return tmp_path


def datasets_of(root):
    DefaultScope.get_instance('degraded_recipe', scope_name='mmpose')
    cfg = Config.fromfile(CONFIG)
    splits = (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset)
    return [DATASETS.build(dict(dataset, data_root=str(root))) for dataset in splits]


def test_all_degradations_occur_as_often_as_asked_and_the_truth_stays_clean(root):
    train, val = datasets_of(root)
    kinds = [type(step).__name__ for step in train.pipeline.transforms]
    assert {'ClipPhotometricDistortion', 'RandomFrameBorder'} <= set(kinds)
    seed_pipeline(0)
    drawn, number = collections.Counter(), 60
    for index in range(number):
        sample = train[index % len(train)]['data_samples']
        assert sample.gt_sr.img.shape == (3, 256, 192)
        drawn.update(name for name, _ in sample.degradation['steps'])
    expected = dict(ClipMotionBlur=0.2, ClipBlur=0.5, ClipLowLight=0.2, ClipNoise=0.5)
    expected |= dict(ClipJPEG=0.2, ClipH264=0.4)
    assert drawn.keys() == expected.keys()
    for name, share in expected.items():  # within three standard deviations
        assert abs(drawn[name] / number - share) < 3 * np.sqrt(share * (1 - share) / number)
    first, again = val[0], val[0]
    np.testing.assert_array_equal(first['inputs'], again['inputs'])


@pytest.mark.slow
def test_recipe_trains(root, tmp_path):
    options = [f'data_root={root}', *QUICK, 'train_dataloader.dataset.indices=2']
    run_tool(
        'train', CONFIG, '--no-validate', '--work-dir', tmp_path / 'run', '--cfg-options', *options
    )
    losses = [line['loss'] for line in last_log(tmp_path / 'run') if 'loss' in line]
    assert len(losses) == 1  # two persons, two a batch
    assert np.isfinite(losses).all()
