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
FIGURE = ROOT / 'docs' / 'images' / 'accuracy_latency.png'


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
    """LR clip in, keypoints out: the median of each system in each form, and the ratios."""
    result = read('speed')
    if result is None:
        return MISSING
    forms = list(dict.fromkeys((row['batch'], row['dtype']) for row in result['rows']))
    cells = {(row['system'], row['batch'], row['dtype']): row for row in result['rows']}
    rows = []
    for system in dict.fromkeys(row['system'] for row in result['rows']):
        found = [cells.get((system, *form)) for form in forms]
        rows.append([system, *(_speed_cell(row) for row in found)])
    head = ['system', *(f'batch {batch}, {dtype}' for batch, dtype in forms)]
    parts = [
        markdown(head, rows),
        'Milliseconds a batch; in brackets the ratio to bicubic + HRNet-W32 in fp32 at the same '
        f'batch. T={result["frames"]}. {made_by(result)}',
        'Where the time goes (fp32, batch 1), in milliseconds:',
        speed_parts(result),
    ]
    return '\n\n'.join(parts)


def _speed_cell(row: dict | None) -> str:
    return '-' if row is None else f'{row["median_ms"]:.0f} ({row["ratio_to_bicubic_fp32"]:.2f})'


def speed_parts(result: dict) -> str:
    """The parts of our systems, beside what their multiply-accumulates would take at the peak."""
    parts = result['parts_ms_fp32_batch1']
    names = list(dict.fromkeys(name for shares in parts.values() for name in shares))
    rows = [
        [system, *(shares.get(name, '-') for name in names), result['limits'][system]['float32_ms']]
        for system, shares in parts.items()
    ]
    peak = result['matmul_gmacs']['float32']
    return markdown(['system', *names, f'limit at {peak:.0f} GMAC/s'], rows)


def cost() -> str:
    """What the parts cost beside the pose network."""
    result = read('cost')
    if result is None:
        return MISSING
    rows = [[name, part['median_ms'], part['ratio']] for name, part in result['parts'].items()]
    table = markdown(['part', 'median ms', 'times HRNet-W32'], rows)
    setting = f'{result["dtype"]}, batch {result["batch"]}, T={result["num_frames"]}'
    return f'{table}\n\n{setting}. {made_by(result)}'


SETS = ('lspe-clean', 'lspe-degraded', 'synthetic-clean', 'synthetic-degraded')


def accuracy() -> str:
    """Every finished run of the accuracy benchmark: AP and PCKh@0.5 on each set."""
    result = read('accuracy')
    if result is None:
        return MISSING
    rows = []
    for run in result['runs']:
        scores = [run['metrics'][name] for name in SETS]
        cells = [f'{score["AP"]:.1f} / {score["pckh@0.5"]:.1f}' for score in scores]
        budget = f'{run["steps"]} x {run["batch"]}'
        rows.append([run['system'], budget, ', '.join(run['started_from']) or '-', *cells])
    head = ['system', 'steps x clips', 'started from', *(f'{name}: AP / PCKh@0.5' for name in SETS)]
    return markdown(head, rows) + '\n\n' + made_by(result)


def temporal_use() -> str:
    """What a trained model loses when its other frames are changed."""
    result = read('temporal_use')
    if result is None:
        return MISSING
    changes = list(next(iter(result['sets'].values())))
    rows = [
        [change, *(f'{found[change]["AP"]:.1f} / {found[change]["pckh@0.5"]:.1f}'
                   for found in result['sets'].values())]
        for change in changes
    ]  # fmt: skip
    head = ['clip', *(f'{name}: AP / PCKh@0.5' for name in result['sets'])]
    return markdown(head, rows) + '\n\n' + made_by(result)


def accuracy_against_latency() -> list[tuple[str, float, float]]:
    """System, milliseconds a clip and AP (degraded sets, mean) of all that have both numbers."""
    scores, times = read('accuracy'), read('speed_tiny')
    if scores is None or times is None:
        return []
    median = {row['system']: row['median_ms'] for row in times['rows'] if row['dtype'] == 'float32'}
    return [
        (
            run['system'],
            median[run['system']],
            sum(run['metrics'][name]['AP'] for name in SETS if 'degraded' in name) / 2,
        )
        for run in scores['runs']
        if run['system'] in median
    ]


def draw(points: list[tuple[str, float, float]], path: pathlib.Path) -> None:
    """Draw accuracy against latency."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4), layout='constrained')
    for name, milliseconds, score in points:
        ours = name.startswith(('handoff', 'kernel', 'frames', 'loss'))
        axis.plot(milliseconds, score, marker='o' if ours else 's', color='C0' if ours else 'C1')
        label = name.removesuffix('_64x48_posetrack')
        axis.annotate(label, (milliseconds, score), (4, 4), textcoords='offset points', fontsize=8)
    axis.set(xlabel='ms a clip (fp32, batch 1)', ylabel='AP, mean of the degraded sets')
    axis.margins(x=0.25, y=0.15)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def render() -> str:
    """Make the whole section."""
    parts = {
        'Speed, end to end, beside cascades': speed(),
        'Cost of the parts': cost(),
        'Accuracy at 64x48, tiny models': accuracy(),
        'What the other frames are worth to the trained model': temporal_use(),
        'PoseTrack18 val': (
            f'{MISSING} PoseTrack cannot be redistributed; with your own copy: '
            '`python tools/train.py configs/star_pose_64x48_posetrack.py`.'
        ),
    }
    if accuracy_against_latency():
        parts['Accuracy against latency'] = (
            '![AP against milliseconds](docs/images/accuracy_latency.png)'
        )
    return '\n\n'.join(f'**{title}.**\n\n{content}' for title, content in parts.items())


def main() -> None:
    """Rewrite or check the section."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args()
    readme = ROOT / 'README.md'
    text = readme.read_text()
    points = accuracy_against_latency()
    if points and not args.check:
        draw(points, FIGURE)
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
