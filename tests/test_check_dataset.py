import json
import pathlib
import runpy
import shutil
import sys

import pytest
from mmengine.registry import DefaultScope

from posetrack_folder import POSETRACK18, make_posetrack, write_image, write_json
from star_pose.datasets.checks.check_config import check_config, config_datasets

TOOL = pathlib.Path(__file__).parents[1] / 'tools/check_dataset.py'


@pytest.fixture(autouse=True)
def mmpose_scope():
    DefaultScope.get_instance('check_dataset', scope_name='mmpose')


def dataset(root, ann_file='annotations/val.json', **kwargs):
    return dict(
        type='PoseTrackClipDataset', data_root=str(root), ann_file=ann_file, metainfo=POSETRACK18,
        **kwargs,
    )  # fmt: skip


def edit(path, change):
    labels = json.loads(path.read_text())
    change(labels)
    write_json(path, labels)


@pytest.fixture
def folders(tmp_path):
    """Training and validation data without a common video."""
    make_posetrack(tmp_path, videos=('000001_train', '000002_train'), part='train')
    make_posetrack(tmp_path, videos=('000003_val',), part='val', seed=10**6)
    return tmp_path


def check(root, read='all', **options):
    config = dict(
        train_dataloader=dict(dataset=dataset(root, 'annotations/train.json')),
        val_dataloader=dict(dataset=dataset(root)),
    )
    return check_config(config, read=read, **options)


def test_sound_data_has_no_findings(folders):
    train, val = check(folders)
    assert (train.findings, val.findings) == ({}, {})
    assert train.counts['sequences'] == 2
    assert train.counts['persons'] == 8
    assert train.counts['frames read'] == 12
    assert val.counts['labelled frames'] == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:500])


def write_copy(root):
    """The labelled validation frame 2 shows what a training frame shows."""
    source = root / 'images/train/000001_train/000002.jpg'
    shutil.copyfile(source, root / 'images/val/000003_val/000002.jpg')


def change_labels(change):
    return lambda root: edit(root / 'annotations/val.json', change)


VIDEO = 'images/val/000003_val'
FAULTS = {
    'truncated frame': ('unreadable files', lambda r: cut(r / VIDEO / '000005.jpg')),
    'missing labelled frame': ('missing files', lambda r: (r / VIDEO / '000002.jpg').unlink()),
    'missing neighbour': (
        'missing neighbour frames',
        lambda r: (r / VIDEO / '000004.jpg').unlink(),
    ),
    'other size': (
        'size differs from labels',
        lambda r: write_image(r / VIDEO / '000003.jpg', seed=5, size=(80, 60)),
    ),
    'half a json': ('label files', lambda r: cut(r / 'annotations/val.json')),
    'box outside': (
        'boxes outside images',
        change_labels(lambda d: d['annotations'][0].update(bbox=[70, 0, 5, 5])),
    ),
    'box half outside': (
        'boxes mostly outside',
        change_labels(lambda d: d['annotations'][0].update(bbox=[55, 10, 20, 20])),
    ),
    'no joints': (
        'persons without joints',
        change_labels(lambda d: d['annotations'][0].update(keypoints=[0] * 51)),
    ),
    'joint outside': (
        'joints outside images',
        change_labels(lambda d: d['annotations'][0]['keypoints'].__setitem__(0, 200)),
    ),
    'position without label': (
        'positions without label',
        change_labels(lambda d: d['annotations'][0]['keypoints'].__setitem__(9, 5)),
    ),
    'one id twice': (
        'duplicate ids',
        change_labels(lambda d: d['annotations'][1].update(id=d['annotations'][0]['id'])),
    ),
    'one track twice': (
        'duplicate ids',
        change_labels(lambda d: d['annotations'][1].update(track_id=0)),
    ),
    'frame beyond nframes': (
        'frames out of range',
        change_labels(lambda d: d['images'][5].update(nframes=5)),
    ),
    'outside the root': (
        'paths outside the root',
        change_labels(lambda d: d['images'][0].update(file_name='../x/000000.jpg')),
    ),
    'no keypoint list': (
        'bad annotations',
        change_labels(lambda d: d['annotations'][0].update(keypoints=[1, 1, 1])),
    ),
    'same picture': ('leakage', write_copy),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_every_fault_is_found_in_its_split_and_nowhere_else(folders, fault):
    kind, damage = FAULTS[fault]
    damage(folders)
    train, val = check(folders)
    assert train.findings == {}
    assert {name: len(found) for name, found in val.findings.items()} == {kind: 1}


def test_one_video_in_two_splits_is_leakage(folders):
    config = dict(
        train_dataloader=dict(dataset=dataset(folders, 'annotations/train.json')),
        test_dataloader=dict(dataset=dataset(folders, 'annotations/train')),
    )
    found = check_config(config, read='none')[1].findings['leakage']
    assert [text.split()[1].rstrip('/').endswith(('1_train', '2_train')) for text in found] == [
        True,
        True,
    ]


def test_training_on_the_validation_set_is_leakage(folders):
    loader = dict(dataset=dataset(folders))
    config = dict(train_dataloader=loader, val_dataloader=loader, test_dataloader=loader)
    reports = check_config(config, read='none')
    assert [report.split for report in reports] == ['train', 'val']
    assert list(reports[1].findings) == ['leakage']


def test_nearest_turns_missing_neighbours_into_notes(folders):
    (folders / VIDEO / '000004.jpg').unlink()
    as_written = check(folders, read='none')[1]
    with_nearest = check(folders, read='none', fix_missing='nearest')[1]
    assert as_written.num_errors == 1
    assert with_nearest.num_errors == 0
    assert list(with_nearest.findings) == ['repeated neighbour frames']


def test_detected_boxes_are_checked_too(folders):
    image_id = 10**10 + 3 * 10**4 + 2
    detections = [
        dict(image_id=image_id, category_id=1, bbox=[1, 1, 9, 9], score=0.5),
        dict(image_id=image_id, category_id=1, bbox=[1, 1, 0, 9], score=0.5),
    ]
    boxes = write_json(folders / 'boxes.json', detections)
    loader = dict(dataset=dataset(folders, bbox_file=str(boxes), test_mode=True))
    report = check_config(dict(val_dataloader=loader), read='none')[0]
    assert list(report.findings) == ['bad detections']
    assert report.counts['detected persons'] == 1


def test_data_sets_inside_wrappers_are_found(folders):
    inner = dataset(folders)
    wrapped = dict(type='RepeatDataset', dataset=dict(type='CombinedDataset', datasets=[inner]))
    found = config_datasets(dict(train_dataloader=dict(dataset=wrapped)))
    assert found == [('train', inner)]


def test_mmpose_own_data_set_is_checked_as_stills(folders):
    own = dict(dataset(folders), type='PoseTrack18Dataset')
    (folders / VIDEO / '000002.jpg').unlink()
    report = check_config(dict(val_dataloader=dict(dataset=own)), read='labelled')[0]
    assert list(report.findings) == ['missing files']


def test_config_without_data_is_refused():
    with pytest.raises(ValueError, match='names no data set'):
        check_config({})


def run_tool(monkeypatch, *args):
    """Run the tool in this process; its exit code."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name='__main__')
    return ended.value.code


def test_tool_prints_a_table_and_exits_with_one_on_errors(folders, monkeypatch, capsys):
    config = folders / 'config.py'
    config.write_text(
        "default_scope = 'mmpose'\ncustom_imports = dict(imports=['star_pose'])\n"
        "val_dataloader = dict(dataset=dict(type='PoseTrackClipDataset', "
        f"data_root={str(folders)!r}, ann_file='annotations/val.json'))\n"
    )
    assert run_tool(monkeypatch, config) == 0
    assert '0 errors' in capsys.readouterr().out
    (folders / VIDEO / '000004.jpg').unlink()
    assert run_tool(monkeypatch, config) == 1
    printed = capsys.readouterr().out
    assert '1 errors' in printed
    assert '000003_val/000004.jpg' in printed
    assert "missing_frames='nearest'" in printed
    assert run_tool(monkeypatch, config, '--fix-missing', 'nearest') == 0
