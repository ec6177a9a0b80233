"""Write the README's results section from ``benchmarks/results``, or check that the two agree.

    python benchmarks/readme_results.py           # rewrite the section
    python benchmarks/readme_results.py --check   # exit with 1 if it is not what the files say

No number of the section is typed by hand: what has no result file reads "not measured yet".
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
SECTION = re.compile(r'(<!-- results: begin[^>]*-->\n).*?(\n<!-- results: end -->)', re.DOTALL)
MISSING = 'Not measured yet.'


def read(name: str) -> dict | None:
    """Read a result file, or return None if there is none."""
    path = RESULTS / f'{name}.json'
    return json.loads(path.read_text()) if path.exists() else None


def made_by(result: dict) -> str:
    """Say where and by which command a table was made."""
    machine = result['machine']
    device = machine['gpu'] or f'{machine["cpu"]}, {machine["threads"]} threads'
    return f'{device}, torch {machine["torch"]}; made by `{result["command"]}`.'


def markdown(head: list[str], rows: list[list]) -> str:
    """Lay out a table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)


def speed() -> str:
    """LR clip in, keypoints out: the median of each system, and its ratio to the baseline's."""
    result = read('speed')
    if result is None:
        return MISSING
    rows = [
        [row['system'], row['dtype'], row['batch'], row['median_ms'], row['ratio_to_bicubic_fp32']]
        for row in result['rows']
    ]
    head = ['system', 'dtype', 'batch', 'median ms', 'times bicubic + HRNet-W32 in fp32']
    return markdown(head, rows) + f'\n\nT={result["frames"]}. {made_by(result)}'


def cost() -> str:
    """What the parts cost beside the pose network."""
    result = read('cost')
    if result is None:
        return MISSING
    rows = [[name, part['median_ms'], part['ratio']] for name, part in result['parts'].items()]
    table = markdown(['part', 'median ms', 'times HRNet-W32'], rows)
    setting = f'{result["dtype"]}, batch {result["batch"]}, T={result["num_frames"]}'
    return f'{table}\n\n{setting}. {made_by(result)}'


def learning_curves() -> str:
    """The last point of every learning curve."""
    result = read('learning_curves')
    if result is None:
        return MISSING
    rows = [
        [name, curve[-1]['step'], curve[-1]['pckh@0.5'], curve[-1]['pckh@0.2']]
        for name, curve in result['curves'].items()
    ]
    return markdown(['hand-off', 'steps', 'PCKh@0.5', 'PCKh@0.2'], rows) + '\n\n' + made_by(result)


def accuracy() -> str:
    """Every finished run of the accuracy benchmark."""
    result = read('accuracy')
    if result is None:
        return MISSING
    metrics = list(result['runs'][0]['metrics'])
    rows = [
        [run['system'], run['seed'], run['steps'], *(run['metrics'].get(m, '-') for m in metrics)]
        for run in result['runs']
    ]
    return markdown(['system', 'seed', 'steps', *metrics], rows) + '\n\n' + made_by(result)


def render() -> str:
    """Make the whole section."""
    parts = {
        'Speed, end to end, beside cascades': speed(),
        'Cost of the parts': cost(),
        'Learning curves of the hand-offs, tiny model at quarter scale': learning_curves(),
        'Accuracy at 64x48': accuracy(),
        'PoseTrack18 val': (
            f'{MISSING} PoseTrack cannot be redistributed; with your own copy: '
            '`python tools/train.py configs/star_pose_64x48_posetrack.py`.'
        ),
    }
    return '\n\n'.join(f'**{title}.**\n\n{content}' for title, content in parts.items())


def main() -> None:
    """Rewrite or check the section."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args()
    readme = ROOT / 'README.md'
    text = readme.read_text()
    if len(SECTION.findall(text)) != 1:
        sys.exit(f'{readme} must have one results section between its two marks')
    updated = SECTION.sub(lambda match: f'{match[1]}\n{render()}\n{match[2]}', text)
    if updated == text:
        return
    if args.check:
        sys.exit('README.md differs from benchmarks/results: run benchmarks/readme_results.py')
    readme.write_text(updated)


if __name__ == '__main__':
    main()
