import json
import runpy
import subprocess
import sys

from tiny_runs import REPO

SCRIPT = REPO / 'benchmarks' / 'readme_results.py'


def test_readme_says_what_the_result_files_say():
    done = subprocess.run([sys.executable, SCRIPT, '--check'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_changed_number_is_noticed(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    result = {
        'command': 'python x.py',
        'machine': {'gpu': None, 'cpu': 'a', 'threads': 2, 'torch': '2'},
        'curves': {'image': [{'step': 5, 'pckh@0.5': 1.0, 'pckh@0.2': 0.5}]},
    }
    render = script['learning_curves']
    render.__globals__['RESULTS'] = tmp_path
    assert render() == 'Not measured yet.'
    (tmp_path / 'learning_curves.json').write_text(json.dumps(result))
    assert '| image | 5 | 1.0 | 0.5 |' in render()
    result['curves']['image'][-1]['pckh@0.5'] = 2.0
    (tmp_path / 'learning_curves.json').write_text(json.dumps(result))
    assert '| image | 5 | 2.0 | 0.5 |' in render()
