"""The command line: its json file, its tables and pictures, and how it refuses."""

import json
import pathlib
import re
import runpy
import sys
import warnings
from inspect import signature

import cv2
import numpy as np
import pytest

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction, run
from star_pose.evaluation import PoseTrackMetric
from star_pose.evaluation.clip_metric import ClipMetric
from star_pose.posetrack.evaluate import (
    describe,
    evaluate,
    joint_table,
    latex_row,
    summary_table,
    video_table,
)
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.report_pictures import find_worst, plot_curves, save_worst

TOOL = pathlib.Path(__file__).parents[1] / 'tools' / 'eval_posetrack.py'


@pytest.fixture
def main(monkeypatch):
    """The tool's main function, called in this process."""
    monkeypatch.syspath_prepend(TOOL.parent)
    with warnings.catch_warnings():
        module = runpy.run_path(str(TOOL))

    def call_main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['eval_posetrack.py', *map(str, arguments)])
        return module['main']()

    return call_main


def test_the_file_has_the_keys_and_numbers_of_poseval(main, tmp_path, capsys):
    gt, pred, expected = build.write_case(tmp_path, 'case6')
    status = main(
        *(gt, pred, '--tracking', '--per-video', '--order', 'name'),
        *('--out', tmp_path / 'out.json', '--pr-curves', tmp_path / 'curves'),
        *('--show-worst', 3, '--worst-dir', tmp_path / 'worst', '--box-source', 'detected'),
    )
    printed = capsys.readouterr()
    assert status == 0, printed.err
    ours = json.loads((tmp_path / 'out.json').read_text())
    assert set(expected) <= set(ours)
    np.testing.assert_allclose(ours['ap_per_joint'], expected['ap_per_joint'], atol=1e-6)
    assert ours['groups'] == pytest.approx(expected['groups'], abs=1e-6)
    np.testing.assert_allclose(ours['tracking']['motp'], expected['tracking']['motp'], atol=1e-6)
    assert ours['provenance']['box_source'] == 'detected'
    assert '| AP ' in printed.out
    assert '| MOTA ' in printed.out
    assert '001060_mpii_test' in printed.out
    assert len(list((tmp_path / 'curves').glob('*.png'))) == 7
    assert len(list((tmp_path / 'worst').glob('*.png'))) == 3


def test_bad_files_end_with_status_1_and_the_place(main, tmp_path, capsys):
    gt = build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose())])})
    broken = document([prediction(0, [float('nan')] * 51)])
    pred = build.write(tmp_path / 'pred', {VIDEO: broken})
    place = f'video {VIDEO}, frame images/val/{VIDEO}/000000.jpg, person (id 0, track_id 0): '
    assert main(gt, pred) == 1
    assert capsys.readouterr().err.startswith(f'PoseTrackError: {place}')
    assert main(gt, pred, '--validate') == 1
    assert capsys.readouterr().out.startswith(place)
    assert main(gt, tmp_path / 'nowhere') == 1
    assert 'nowhere does not exist' in capsys.readouterr().err


def test_predictions_of_shifted_ids_are_refused(main, tmp_path, capsys):
    names = [f'walk/frame_{frame:04d}.jpg' for frame in (1, 2, 3)]
    for side, offset in (('gt', 0), ('pred', -1)):
        images = [{'id': i + offset, 'file_name': name} for i, name in enumerate(names, start=1)]
        people = [prediction(i + offset, pose(25 * i), i) for i in (1, 2, 3)]
        people = [{**one, 'bbox_head': [0, 0, 30, 40]} for one in people]
        content = {'images': images, 'annotations': people, 'categories': build.CATEGORIES}
        build.write(tmp_path / side, {'walk': content})
    assert main(tmp_path / 'gt', tmp_path / 'pred') == 1
    assert 'contradicts the name' in capsys.readouterr().err


@pytest.mark.parametrize('out', ['gt/{}.json', 'pred/{}.json', 'gt', 'gt/{}.json/x.json'])
def test_an_output_is_no_input_and_tried_before_the_work(main, tmp_path, capsys, out):
    gt, pred, _ = build.write_case(tmp_path, 'case6')
    name = next(gt.iterdir()).stem
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.json')}
    assert main(gt, pred, '--out', tmp_path / out.format(name)) == 1
    said = capsys.readouterr()
    assert said.err.startswith('OutputError: output ')
    assert said.out == ''
    assert {path: path.read_bytes() for path in tmp_path.rglob('*.json')} == before


def test_a_good_submission_is_called_valid(main, tmp_path, capsys):
    gt = build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose())])})
    pred = build.write(tmp_path / 'pred', {VIDEO: document([prediction(0, pose())])})
    assert main(gt, pred, '--validate', '--tracking') == 0
    assert capsys.readouterr().out == 'valid submission\n'


@pytest.fixture
def result():
    people = [label(0, pose()), label(0, pose(500, 300), 1), label(1, pose())]
    half = np.array(pose(500, 300)).reshape(17, 3)
    half[8:, 0] += 60
    guesses = [prediction(0, pose(shift=(1, 0)), 0.9), prediction(0, half.ravel().tolist(), 0.5, 1)]
    truth = document(people, 2)
    return run(truth, document(guesses, 2), tracking=True, per_video=True)


def test_tables_show_the_columns_of_the_field(result):
    header, rule, *rows = summary_table(result).splitlines()
    assert [cell.strip() for cell in header.split('|')[2:-1]] == [
        *('Head', 'Shou', 'Elb', 'Wri', 'Hip', 'Knee', 'Ankl', 'Total')
    ]
    assert [row.split('|')[1].strip() for row in rows] == ['AP', 'MOTA', 'MOTP']
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    total = f'{result.total.ap.total:.1f}'
    assert rows[0].split('|')[-2].strip() == total
    assert latex_row(result, 'Ours').startswith('Ours & 66.7 & ')
    assert latex_row(result, 'Ours').endswith(f'& {total} \\\\')
    assert len(joint_table(result).splitlines()) == 2 + 15
    assert VIDEO in video_table(result)


def test_a_column_without_labels_is_a_dash():
    nose = run(document([label(0, pose(absent=[0]))]), document([prediction(0, pose())]))
    assert summary_table(nose).splitlines()[2].split('|')[2].strip() == '-'


def test_what_is_not_known_is_said():
    truth = document([label(0, pose()), label(1, pose(), head=None)], 2)
    facts = {'box_source': 'detected', 'num_frames': 5}
    result = run(truth, document([prediction(0, pose())], 2), provenance=facts)
    text = describe(result.counts, result.provenance)
    assert 'box source: detected; score rule: not said; T: 5; LR size (w, h): not said' in text
    assert 'dropped: 1 persons without a head box, 1 frames' in text
    assert 'shared by' not in text


def test_the_worst_persons_come_first(result):
    cases = find_worst(result, 5)
    assert [(case.found, case.labelled) for case in cases] == [(0, 15), (6, 15)]
    assert cases[0].predicted == -1
    assert np.isnan(cases[0].error)
    # 9 of 15 joints are 60 px off, and a head size is 30 px
    assert cases[1].error == pytest.approx(9 / 15 * 60 / 30)


def test_worst_cases_are_drawn_on_the_frame(result, tmp_path):
    for name in result.frames.names:
        path = tmp_path / 'data' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((720, 1280, 3), 255, np.uint8))
    lines = save_worst(result, 1, tmp_path / 'worst', tmp_path / 'data')
    assert lines == [
        f'001_{VIDEO}_000001.png: video {VIDEO}, frame 000001, person (id 100, track_id 0): '
        '0 of 15 joints, missed'
    ]
    picture = cv2.imread(str(tmp_path / 'worst' / f'001_{VIDEO}_000001.png'))
    assert picture.shape[0] >= 256
    assert (picture == 255).all(axis=2).mean() > 0.5  # the frame
    assert (picture == (80, 200, 80)).all(axis=2).any()  # the label


def test_curves_are_written_for_every_column(result, tmp_path):
    files = plot_curves(result, tmp_path)
    assert [file.stem for file in files] == ['head', 'shou', 'elb', 'wri', 'hip', 'knee', 'ankl']
    assert all(cv2.imread(str(file)).std() > 0 for file in files)


def test_the_json_file_reads_back(result, tmp_path):
    result.write(tmp_path / 'new' / 'result.json')
    written = json.loads((tmp_path / 'new' / 'result.json').read_text())
    assert written['ap_per_joint'] == result.total.ap.ap.tolist()
    assert written['counts']['persons'] == 3
    assert written['videos'][VIDEO]['groups'] == result.total.ap.groups()


def test_evaluation_does_not_change_its_inputs(tmp_path):
    truth, predicted = build.random_documents(np.random.default_rng(2), num_videos=1)
    build.write(tmp_path / 'gt', truth)
    build.write(tmp_path / 'pred', predicted)
    frames, persons = read_ground_truth(tmp_path / 'gt')
    table = read_predictions(tmp_path / 'pred', frames)
    first = evaluate(frames, persons, table, tracked=table).total.as_dict()
    assert evaluate(frames, persons, table, tracked=table).total.as_dict() == first


def test_the_guide_names_only_options_that_exist():
    guide = (TOOL.parents[1] / 'docs' / 'evaluation.md').read_text()
    flags = {
        flag
        for line in guide.splitlines()
        if 'tools/eval_posetrack.py' in line
        for flag in re.findall(r'--[a-z-]+', line)
    }
    flags |= set(re.findall(r'`(--[a-z-]+)', guide))
    known = set(re.findall(r"'(--[a-z-]+)'", TOOL.read_text()))
    assert {'--tracking', '--per-video', '--out', '--show-worst', '--pr-curves'} <= flags <= known
    table = guide.split('| option of `PoseTrackMetric` |')[1].split('\n\n')[0]
    cells = [row.split('|')[1] for row in table.splitlines()[2:]]
    options = {name for cell in cells for name in re.findall(r'`(\w+)`', cell)}
    assert len(options) > 8
    known = {*signature(PoseTrackMetric).parameters, *signature(ClipMetric).parameters}
    assert options <= known
