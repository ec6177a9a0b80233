"""Changes of a config: each reaches every place it should, or is refused with its name."""

import pytest

from star_pose.engine.config_options import ConfigError, accepted_arguments, read_config
from tiny_runs import REPO

TINY = str(REPO / 'configs/star_pose_tiny_64x48_posetrack.py')
FLAGSHIP = str(REPO / 'configs/star_pose_64x48_posetrack.py')


def _places(node, key):
    """The values of an entry anywhere in a config."""
    if isinstance(node, dict):
        here = [node[key]] if key in node else []
        return here + [v for child in node.values() for v in _places(child, key)]
    if isinstance(node, (list, tuple)):
        return [v for child in node for v in _places(child, key)]
    return []


@pytest.mark.parametrize('path', [FLAGSHIP, TINY])
def test_frames_and_scale_reach_every_place(path):
    cfg = read_config(path, {'num_frames': 3, 'scale': 2})
    assert set(_places(cfg._cfg_dict, 'num_frames')) == {3}
    assert set(_places(cfg._cfg_dict, 'scale')) == {2}
    assert len(_places(cfg.train_dataloader, 'num_frames')) == 1
    assert cfg.filename == path


def test_what_is_not_named_stays():
    before, after = read_config(TINY), read_config(TINY, {'num_frames': 3})
    places = _places(before._cfg_dict, 'num_frames')
    assert set(places) == {5}
    assert len(places) == len(_places(after._cfg_dict, 'num_frames'))
    text = after.pretty_text.replace('num_frames=3', 'num_frames=5')
    assert text.replace('num_frames = 3', 'num_frames = 5') == before.pretty_text


@pytest.mark.parametrize('root', ['elsewhere', 'elsewhere/'])
def test_the_data_root_reaches_data_sets_and_evaluators(root):
    cfg = read_config(TINY, {'data_root': root})
    assert set(_places(cfg._cfg_dict, 'data_root')) == {'elsewhere/'}
    assert cfg.test_evaluator.ann_file == 'elsewhere/annotations/posetrack18_val.json'


def test_an_entry_of_a_variable_is_changed_where_it_is_read():
    cfg = read_config(TINY, {'codec.sigma': 3, 'train_pipeline.3.prob': 0.25})
    assert cfg.model.head.pose_net.head.decoder.sigma == 3
    assert cfg.train_dataloader.dataset.pipeline[3] == dict(
        type='RandomFlip', direction='horizontal', prob=0.25
    )
    assert cfg.train_dataloader.dataset.pipeline[6].encoder.sigma == 3


def test_one_of_two_loaders_that_the_text_calls_equal_is_changed_alone():
    cfg = read_config(TINY, {'val_dataloader.batch_size': 7})
    assert cfg.val_dataloader.batch_size == 7
    assert cfg.test_dataloader.batch_size == 32


def test_a_config_of_values_alone_moves_its_roots_and_refuses_the_other_variables(tmp_path):
    path = str(tmp_path / 'dumped.py')
    read_config(TINY).dump(path)
    cfg = read_config(path, {'data_root': '/disk'})
    assert set(_places(cfg._cfg_dict, 'data_root')) == {'/disk'}
    assert cfg.test_evaluator.ann_file == '/disk/annotations/posetrack18_val.json'
    with pytest.raises(ConfigError, match=r'num_frames: changing it has no effect: .*dumped\.py'):
        read_config(path, {'num_frames': 3})


@pytest.mark.parametrize(
    ('option', 'match'),
    [
        ({'modle.head.handoff': 'image'}, "takes no 'modle'; did you mean model"),
        ({'model.head.handof': 'image'}, "STARPoseHead .* takes no 'handof'; did you mean handoff"),
        ({'model.backbone.embed_chanels': 32}, 'did you mean embed_channels'),
        ({'model.test_cfg.flip_tset': True}, 'did you mean flip_test'),
        ({'train_dataloader.batchsize': 2}, 'did you mean batch_size'),
        ({'train_dataloader.dataset.missing_frame': 'nearest'}, 'did you mean missing_frames'),
        ({'randomness.sed': 2}, 'did you mean seed'),
        ({'train_cfg.max_epoch': 2}, 'did you mean max_epochs'),
        ({'optim_wrapper.optimizer.learning_rate': 1}, "AdamW .* takes no 'learning_rate'"),
        ({'default_hooks.logger.intervall': 1}, 'did you mean interval'),
        ({'param_scheduler.7.end': 2}, 'list of 2 entries'),
        ({'load_from.x': 2}, 'has no entries'),
        ({'model.head.sr_loss.weights.pixle': 2}, 'did you mean pixel'),
        ({'optim_wrapper.optimizer.type': 'Adamm'}, "no type 'Adamm'; did you mean .*Adam"),
        ({'val_evaluator.type': 'PoseTrackMetrik'}, 'did you mean PoseTrackMetric'),
    ],
)
def test_an_entry_that_nobody_reads_is_refused_with_what_comes_close(option, match):
    with pytest.raises(ConfigError, match=match) as caught:
        read_config(FLAGSHIP, {'load_from': None, **option})
    assert next(iter(option)) in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'option',
    [
        {'load_from': 'a.pth'},
        {'randomness.seed': 3},
        {'train_dataloader.dataset.indices': 4},
        {'train_dataloader.prefetch_factor': 4},
        {'test_evaluator.missing_videos': 'skip'},
        {'model.test_cfg.output_sr': True},
        {'model.head.pose_net.backbone.extra.stage5': 1},
        {'default_hooks.visualization.interval': 4},
        {'optim_wrapper.accumulative_counts': 2},
        {'optim_wrapper.optimizer.betas': (0.9, 0.98)},
    ],
)
def test_a_new_entry_that_its_reader_knows_is_accepted(option):
    ((key, value),) = option.items()
    node = read_config(FLAGSHIP, option)
    for part in key.split('.'):
        node = node[part]
    assert node == value


def test_another_type_drops_the_arguments_that_it_does_not_take():
    options = {'test_evaluator.out_file': 'a.json', 'test_evaluator.type': 'SRQualityMetric'}
    cfg = read_config(FLAGSHIP, options)
    assert cfg.test_evaluator == dict(type='SRQualityMetric', out_file='a.json')


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('model = dict(', r'broken\.py cannot be read: .*never closed'),
        ('model = undefined', r"broken\.py cannot be read: NameError: name 'undefined'"),
        ("_base_ = './gone.py'", r'broken\.py cannot be read: .*gone\.py'),
    ],
)
def test_a_config_that_cannot_be_read_is_named_with_the_reason(text, match, tmp_path):
    (tmp_path / 'broken.py').write_text(text)
    with pytest.raises(ConfigError, match=match):
        read_config(str(tmp_path / 'broken.py'))


def test_a_missing_config_is_named():
    with pytest.raises(ConfigError, match=r'config not found: configs/some\.py'):
        read_config('configs/some.py')


def test_arguments_that_are_passed_on_to_a_base_class_count():
    assert {'dtype', 'clip_grad', 'optimizer'} <= accepted_arguments('AutocastOptimWrapper')
    assert accepted_arguments('EMAHook') is None  # hands whatever comes to the average
    assert accepted_arguments('NoSuchClass') is None
