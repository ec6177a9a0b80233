import argparse
import pathlib
import pickle

import pytest
import torch
from mmengine.registry import LOOPS, PARAM_SCHEDULERS

from pose_batches import HEATMAP, SIMCC, batch
from star_pose.engine.config_options import read_config
from tiny_runs import REPO, load_benchmark

CONFIG = REPO / 'configs' / 'adapt' / 'movenet-lightning_64x48_coco.py'


@pytest.fixture(scope='module')
def accuracy():
    return load_benchmark('accuracy')


@pytest.mark.parametrize('steps', [2, 1500])
def test_every_budget_gives_a_loop_and_schedules_that_can_be_built(accuracy, tmp_path, steps):
    args = argparse.Namespace(
        steps=steps, batch=4, val_every=1, cfg_options=None, pool=pathlib.Path('pool')
    )
    cfg = accuracy.prepare(CONFIG, 3, tmp_path, args)
    assert cfg.train_dataloader.dataset == dict(
        type='PooledClips',
        path='pool/train.pth',
        num_frames=5,
        scale=4,
        encoder=None,
        coco=True,
    )
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    loader = torch.utils.data.DataLoader([0])
    loop = LOOPS.build(cfg.train_cfg, default_args=dict(runner=None, dataloader=loader))
    assert loop.max_iters == steps
    assert (cfg.train_dataloader.batch_size, cfg.randomness.seed) == (4, 3)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedules = [
        PARAM_SCHEDULERS.build(one, default_args=dict(optimizer=optimiser))
        for one in cfg.param_scheduler
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]['lr'])
        optimiser.step()
        for schedule in schedules:
            schedule.step()
    assert rates[0] == pytest.approx(0.01)
    if steps == 1500:
        assert max(rates) == pytest.approx(1, abs=1e-3)
        assert rates.index(max(rates)) == pytest.approx(100, abs=2)
        assert rates[-1] < 1e-4


def test_of_a_step_validated_twice_the_last_counts(accuracy, tmp_path):
    path = tmp_path / 'curve.jsonl'
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 2, "a": 3}\n')
    assert accuracy.read_curve(path) == [{'step': 1, 'a': 1}, {'step': 2, 'a': 3}]


def test_the_table_holds_the_setting_and_the_mean_over_seeds(accuracy):
    runs = [
        {'system': 'x', 'steps': 5, 'batch': 4, 'metrics': {'real': {'AP': value}}}
        for value in (1.0, 3.0)
    ]
    table = accuracy.table(runs, ['real/AP', 'real/PCK'])
    assert table.splitlines()[-1] == '| x | 2 | 5 x 4 | - | - | 2.0 +- 1.4 | - |'
    for run, commit in zip(runs, ('abc', 'abd'), strict=True):
        run.update(learning_rate=1.5e-3, commits=[commit])
    table = accuracy.table(runs, ['real/AP'])
    assert table.splitlines()[-1] == '| x | 2 | 5 x 4 | 0.0015 | abc, abd | 2.0 +- 1.4 |'


def test_a_run_records_the_command_that_trains_it_alone(accuracy):
    args = argparse.Namespace(
        pool=pathlib.Path('a pool'), steps=9, batch=4, val_every=3, curve_share=2,
        load_from=[pathlib.Path('w.pth')], cfg_options={'optim_wrapper.optimizer.lr': 0.0015},
        label='as fast',
    )  # fmt: skip
    command = accuracy.own_command(pathlib.Path('configs/x.py'), 2, args)
    assert command == (
        "python benchmarks/accuracy.py configs/x.py --seeds 2 --pool 'a pool' --steps 9 --batch 4 "
        "--val-every 3 --curve-share 2 --load-from w.pth --label 'as fast' "
        '--cfg-options optim_wrapper.optimizer.lr=0.0015'
    )


def make_pool(folder, num=4, num_frames=5):
    """A pool of hand-made samples."""
    samples = []
    for index in range(num):
        made = batch(SIMCC, num=1, num_frames=num_frames, seed=index)
        samples.append({'inputs': made['inputs'][0], 'data_samples': made['data_samples'][0]})
    torch.save(samples, folder / 'train.pth')
    return samples


@pytest.mark.parametrize('num_frames', [1, 3, 5])
def test_a_pooled_clip_is_cut_about_its_target(accuracy, tmp_path, num_frames):
    whole = make_pool(tmp_path)
    clips = accuracy.PooledClips(tmp_path / 'train.pth', num_frames)
    sample, first = clips[2], (5 - num_frames) // 2
    assert torch.equal(sample['inputs'], whole[2]['inputs'][first : first + num_frames])
    assert sample['data_samples'].target_idx == num_frames // 2
    assert sample['data_samples'].frame_paths[num_frames // 2] == '000002.jpg'
    assert clips.samples[2]['data_samples'].target_idx == 2


@pytest.mark.parametrize('codec', [HEATMAP, SIMCC])
def test_a_pooled_clip_gets_the_labels_of_the_systems_codec(accuracy, tmp_path, codec):
    made_by = SIMCC if codec is HEATMAP else HEATMAP
    samples = []
    for encoder in (made_by, codec):
        made = batch(encoder, num=1, seed=3)
        samples.append({'inputs': made['inputs'][0], 'data_samples': made['data_samples'][0]})
    torch.save(samples[:1], tmp_path / 'train.pth')
    clips = accuracy.PooledClips(tmp_path / 'train.pth', 3, encoder=codec)
    labels, expected = clips[0]['data_samples'], samples[1]['data_samples']
    found, wanted = labels.gt_instance_labels, expected.gt_instance_labels
    assert sorted(found.keys()) == sorted(wanted.keys())
    for name in wanted.keys():  # noqa: SIM118  (not a dict)
        assert torch.equal(found[name], wanted[name])
    if codec is HEATMAP:
        assert torch.equal(labels.gt_fields.heatmaps, expected.gt_fields.heatmaps)
    file = clips.samples[0]['data_samples'].gt_instance_labels
    assert ('keypoint_x_labels' in file) == (made_by is SIMCC)


def test_what_coco_does_not_label_is_no_label_of_a_system_with_its_joints(accuracy, tmp_path):
    make_pool(tmp_path)
    weights = []
    for coco in (False, True):
        clips = accuracy.PooledClips(tmp_path / 'train.pth', 5, encoder=HEATMAP, coco=coco)
        weights.append(clips[0]['data_samples'].gt_instance_labels.keypoint_weights[0])
    assert weights[0][1:3].all()
    assert not weights[1][1:3].any()
    others = torch.arange(len(weights[0])) > 2
    assert torch.equal(weights[1][others], weights[0][others])
    labels = read_config(str(CONFIG.with_name('movenet-lightning_64x48_labels.py')))
    form = accuracy.clip_form(labels)
    assert (form['coco'], form['encoder']['sigma']) == (True, 1)


def test_a_pool_file_that_would_run_code_is_refused(accuracy, tmp_path):
    torch.save([pathlib.Path('anything')], tmp_path / 'train.pth')
    with pytest.raises(pickle.UnpicklingError, match='pathlib'):
        accuracy.PooledClips(tmp_path / 'train.pth')


def test_at_scale_1_a_pooled_clip_is_the_high_resolution_frame(accuracy, tmp_path):
    whole = make_pool(tmp_path)
    sample = accuracy.PooledClips(tmp_path / 'train.pth', 1, scale=1)[1]
    assert torch.equal(sample['inputs'], whole[1]['data_samples'].gt_sr.img[None])


def test_parts_are_loaded_by_name_and_shape(accuracy, tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    state = {'0.weight': torch.ones(3, 2), '1.weight': torch.ones(9, 9), 'other': torch.ones(1)}
    torch.save({'state_dict': state}, tmp_path / 'part.pth')
    kept = net[1].weight.clone()
    assert accuracy.load_parts(net, tmp_path / 'part.pth') == 1
    assert torch.equal(net[0].weight, torch.ones(3, 2))
    assert torch.equal(net[1].weight, kept)
    torch.save({'state_dict': {'other': torch.ones(1)}}, tmp_path / 'none.pth')
    with pytest.raises(ValueError, match=r'none\.pth: none of its 1 tensors fits Sequential'):
        accuracy.load_parts(net, tmp_path / 'none.pth')
