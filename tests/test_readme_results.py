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
        'seed': 0,
        'command': 'python a.py x',
        'steps': 5,
        'batch': 4,
        'parameters': {'all': 2e6, 'front_end': 1e3},
        'metrics': {
            f'{part}-{kind}': {'pck@0.2': 1.0, 'pck@0.1': 2.0}
            for part in ('lspe', 'synthetic')
            for kind in script['KINDS']
        },
    }
    render = script['accuracy']
    render.__globals__['RESULTS'] = tmp_path

    def table(*runs):
        (tmp_path / 'accuracy.json').write_text(json.dumps({**made, 'runs': runs}))
        return render()

    assert render() == 'Not measured yet.'
    assert '| bicubic | 1 | 5 x 4 | 1 k | 1.0 / 2.0 | 1.0 / 2.0 |' in table(run)
    run['metrics']['lspe-clean']['pck@0.2'] = 3.0
    assert '| bicubic | 1 | 5 x 4 | 1 k | 3.0 / 2.0 | 1.0 / 2.0 |' in table(run)
    again = copy.deepcopy(run)
    again['metrics']['lspe-clean']['pck@0.2'] = 5.0
    assert '| bicubic | 2 | 5 x 4 | 1 k | 4.0 ± 1.4 / 2.0 ± 0.0 | 1.0 ± 0.0 /' in table(run, again)
    assert '- bicubic, seed 0, learning rate -, commit -: `python a.py x`' in table(run)
    run.update(learning_rate=0.002, commits=['abc'])
    assert '- bicubic, seed 0, learning rate 0.002, commit abc: `python a.py x`' in table(run)


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
