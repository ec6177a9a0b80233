import copy
import json
import runpy
import subprocess
import sys

from tiny_runs import REPO

SCRIPT = REPO / 'benchmarks' / 'readme_results.py'


def test_the_results_page_says_what_the_result_files_say():
    done = subprocess.run([sys.executable, SCRIPT, '--check'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_changed_number_is_noticed(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    made = {
        'command': 'python x.py',
        'machine': {'gpu': None, 'cpu': 'a', 'threads': 2, 'torch': '2'},
    }
    run = {
        'system': 'bicubic',
        'steps': 5,
        'batch': 4,
        'started_from': [],
        'metrics': {name: {'AP': 1.0, 'pckh@0.5': 2.0} for name in script['SETS']},
    }
    render, points = script['accuracy'], script['accuracy_against_latency']
    render.__globals__['RESULTS'] = tmp_path
    assert render() == 'Not measured yet.'
    assert points() == []
    (tmp_path / 'accuracy.json').write_text(json.dumps({**made, 'runs': [run]}))
    assert '| bicubic | 1 | 5 x 4 | - | - | - | 1.0 / 2.0 |' in render()
    run['metrics']['lspe-clean']['AP'] = 3.0
    (tmp_path / 'accuracy.json').write_text(json.dumps({**made, 'runs': [run]}))
    assert '| bicubic | 1 | 5 x 4 | - | - | - | 3.0 / 2.0 | 1.0 / 2.0 |' in render()
    again = copy.deepcopy(run)
    again['metrics']['lspe-clean']['AP'] = 5.0
    (tmp_path / 'accuracy.json').write_text(json.dumps({**made, 'runs': [run, again]}))
    assert '| bicubic | 2 | 5 x 4 | - | - | - | 4.0 ± 1.4 / 2.0 ± 0.0 | 1.0 ± 0.0 /' in render()
    assert '2 of 2 runs were made before' in render()
    run.update(command='python a.py x', learning_rate=0.002, commits=['abc'])
    (tmp_path / 'accuracy.json').write_text(json.dumps({**made, 'runs': [run, again]}))
    assert '| 5 x 4 | 0.002 | abc | - |' in render()
    assert 'Trained by:\n\n- `python a.py x`\n1 of 2 runs' in render()
    times = [
        {'system': 'bicubic', 'dtype': dtype, 'median_ms': value}
        for dtype, value in (('float32', 7.0), ('bfloat16', 4.0))
    ]
    (tmp_path / 'speed_tiny.json').write_text(json.dumps({**made, 'rows': times}))
    assert points() == [('bicubic', 7.0, 1.0)]


def test_times_of_several_pose_networks_stand_side_by_side(tmp_path):
    render = runpy.run_path(str(SCRIPT))['speed']
    render.__globals__['RESULTS'] = tmp_path
    row = {'batch': 1, 'dtype': 'float32', 'ratio_to_bicubic_fp32': 1.25}
    rows = [
        {**row, 'pose_net': 'a', 'system': 'ours', 'median_ms': 31.24},
        {**row, 'pose_net': 'b', 'system': 'ours', 'median_ms': 131.4},
        {**row, 'pose_net': 'b', 'system': 'cascade edsr', 'median_ms': 9.96},
    ]
    made = {
        'command': 'python x.py',
        'machine': {'gpu': None, 'cpu': 'a', 'threads': 1, 'torch': '2'},
        'frames': 5,
        'clock': 'processor',
    }
    (tmp_path / 'speed_shipped.json').write_text(json.dumps({**made, 'rows': rows}))
    text = render('speed_shipped')
    assert '| system | a, batch 1, float32 | b, batch 1, float32 |' in text
    assert '| ours | 31.2 (1.25) | 131 (1.25) |' in text
    assert '| cascade edsr | - | 10.0 (1.25) |' in text
    assert (
        'Milliseconds of the processor a batch; in brackets the ratio to bicubic + the same' in text
    )
