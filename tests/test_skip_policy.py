import functools
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate, worker_init_fn
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from posetrack_folder import POSETRACK18, make_posetrack
from star_pose.datasets import LabelError, PoseTrackClipDataset, TooManySkipsError
from star_pose.datasets.skipping_dataset import SkippingDataset, SkipPolicy


def test_raise_passes_the_error_on():
    with pytest.raises(LabelError, match='entry 3'):
        SkipPolicy('name').reject_label(LabelError('entry 3'), 'bad annotations')


def test_sample_counts_once_over_all_epochs():
    skips = SkipPolicy('name', 'skip', max_skips=0.2)
    skips.start(10)
    for _ in range(50):
        skips.reject_sample(4, OSError('gone'))
        skips.reject_sample(7, OSError('gone'))
    assert skips.skipped_samples == [4, 7]


def test_ceiling_is_a_share_of_the_samples():
    skips = SkipPolicy('name', 'skip', max_skips=0.2)
    skips.start(10)
    skips.reject_sample(0, OSError('a'))
    skips.reject_sample(1, OSError('b'))
    with pytest.raises(TooManySkipsError, match=r'3 of 10 samples.*allows 2; the last: c'):
        skips.reject_sample(2, OSError('c'))


def test_one_skip_is_always_allowed_but_none_with_zero():
    skips = SkipPolicy('name', 'skip', max_skips=0.01)
    skips.start(10)
    skips.reject_sample(0, OSError('a'))
    strict = SkipPolicy('name', 'skip', max_skips=0)
    strict.start(10)
    with pytest.raises(TooManySkipsError):
        strict.reject_sample(0, OSError('a'))


def test_error_keeps_its_cause():
    skips = SkipPolicy('name', 'skip', max_skips=0)
    skips.start(1)
    cause = OSError('disk on fire')
    with pytest.raises(TooManySkipsError) as caught:
        skips.reject_sample(0, cause)
    assert caught.value.__cause__ is cause


def test_summary_is_empty_without_skips_and_lists_them_otherwise():
    skips = SkipPolicy('name', 'skip')
    skips.start(1000)
    assert skips.summary() == ''
    skips.reject_label(LabelError('first fault'), 'bad annotations')
    skips.reject_sample(12, OSError('gone'))
    assert skips.summary() == (
        'name skipped 1 label entries (first: first fault) and 1 of 1000 samples while reading (12)'
    )


def damaged_dataset(root, num_bad, max_skips):
    """Eight samples in two videos, the first ``num_bad`` frames of the second damaged."""
    DefaultScope.get_instance('skip_policy', scope_name='mmpose')
    make_posetrack(root)
    for frame in range(num_bad):
        (root / f'images/val/000002_test/{frame:06d}.jpg').write_bytes(b'\xff\xd8 cut')
    return PoseTrackClipDataset(
        'annotations/val.json',
        data_root=str(root),
        metainfo=POSETRACK18,
        pipeline=[dict(type='SampleClipFrames', num_frames=1), dict(type='LoadClip')],
        on_error='skip',
        max_skips=max_skips,
    )


def fetch_all(dataset):
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pseudo_collate)
    return [sample_id for batch in loader for sample_id in batch['img_id']]


def test_main_process_sees_what_its_workers_skipped(tmp_path):
    dataset = damaged_dataset(tmp_path, num_bad=3, max_skips=0.5)  # frame 2, not frame 3
    image_ids = fetch_all(dataset)
    assert len(image_ids) == 8
    assert 10**10 + 2 * 10**4 + 2 not in image_ids
    assert dataset.skips.skipped_samples == [4, 5]


def test_workers_share_one_ceiling(tmp_path):
    dataset = damaged_dataset(tmp_path, num_bad=6, max_skips=0.25)
    with pytest.raises(TooManySkipsError, match='of 8 samples could not be read'):
        fetch_all(dataset)


def test_label_ceiling():
    skips = SkipPolicy('name', 'skip', max_skips=0.1)
    for _ in range(3):
        skips.reject_label(LabelError('fault'), 'bad annotations')
    skips.check_labels(30)
    with pytest.raises(TooManySkipsError, match=r'3 of 29 label entries.*allows 2'):
        skips.check_labels(29)


class Draws(SkippingDataset):
    """Gives a random number of NumPy, torch and Python for each sample."""

    METAINFO = POSETRACK18

    def load_data_list(self):
        return [dict(id=i) for i in range(4)]

    def get_data_info(self, idx):
        return dict(id=idx)


def draw(results):
    return [np.random.rand(), torch.rand(1).item(), random.random()]  # noqa: NPY002


@pytest.mark.parametrize('persistent', [False, True])
def test_random_numbers_differ_between_epochs_and_workers_and_repeat_by_seed(persistent):
    dataset = Draws(pipeline=[draw], serialize_data=False)

    def epochs(seed):
        torch.manual_seed(seed)
        loader = DataLoader(
            dataset,
            num_workers=2,
            persistent_workers=persistent,
            collate_fn=lambda batch: batch[0],
            worker_init_fn=functools.partial(
                worker_init_fn, num_workers=2, rank=0, seed=seed, disable_subprocess_warning=True
            ),
        )
        return np.array([list(loader) for _ in range(3)])  # epoch, sample, generator

    made = epochs(seed=5)
    for generator in range(3):
        assert len(np.unique(made[..., generator])) == 12
    np.testing.assert_array_equal(made, epochs(seed=5))
    assert not np.isin(made, epochs(seed=6)).any()
