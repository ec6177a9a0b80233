"""Write the tables of the results page, README, video guide and card from ``benchmarks/results``.

    python benchmarks/readme_results.py           # rewrite the section
    python benchmarks/readme_results.py --check   # exit with 1 if it is not what the files say

No number of the section is typed by hand: what has no result file reads "not measured yet".
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import statistics
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
SECTION = re.compile(r'(<!-- results: begin[^>]*-->\n).*?(\n<!-- results: end -->)', re.DOTALL)
ON_OPERATORS = ('edvr', 'tdan', 'basicvsr-pp')
MISSING = 'Not measured yet.'
README = ROOT / 'README.md'
CARD = ROOT / 'projects' / 'star_pose' / 'weights' / 'README.md'
ADAPTATION_IS = (
    'Milliseconds are of one core, torch in float32, without finding the people. Data and limits '
    'are in the [card](projects/star_pose/weights/README.md). What adaptation is worth:'
)


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


def speed(name: str = 'speed') -> str:
    """LR clip in, keypoints out: the median of each system in each form, and the ratios."""
    result = read(name)
    if result is None:
        return MISSING
    # Compiled models are no form that can be had any more; networks are exported instead.
    named = [(_form(row), row) for row in result['rows'] if 'compiled' not in row['dtype']]
    forms = list(dict.fromkeys(form for form, _ in named))
    cells = {(row['system'], form): row for form, row in named}
    rows = []
    for system in dict.fromkeys(row['system'] for row in result['rows']):
        rows.append([system, *(_speed_cell(cells.get((system, form))) for form in forms)])
    operators = any(name in row['system'] for row in result['rows'] for name in ON_OPERATORS)
    note = (
        'EDVR, TDAN and BasicVSR++ super-resolve in float32 in every column: '
        "mmcv's operators know nothing else on a CPU. "
    )
    gone = (
        '`--deploy`, which compiled some, is gone since. '
        if '--deploy' in result['command']
        else ''
    )
    network = 'the same network' if 'pose_net' in result['rows'][0] else 'HRNet-W32'
    clock = 'of the processor ' if result.get('clock') == 'processor' else ''
    return (
        f'{markdown(["system", *forms], rows)}\n\nMilliseconds {clock}a batch; in brackets the '
        f'ratio to bicubic + {network} in fp32 at the same batch. T={result["frames"]}. '
        f'{note if operators else ""}{gone}{made_by(result)}'
    )


def _form(row: dict) -> str:
    """The pose network, where a table has several, batch and type of a row."""
    network = f'{row["pose_net"]}, ' if 'pose_net' in row else ''
    return f'{network}batch {row["batch"]}, {row["dtype"]}'


def _speed_cell(row: dict | None) -> str:
    if row is None:
        return '-'
    digits = 0 if row['median_ms'] >= 100 else 1
    return f'{row["median_ms"]:.{digits}f} ({row["ratio_to_bicubic_fp32"]:.2f})'


def speed_parts() -> str:
    """The parts of our systems, beside what their multiply-accumulates would take at the peak."""
    result = read('speed')
    if result is None:
        return MISSING
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


def backends() -> str:
    """The pose networks in every runtime and type."""
    result = read('backends')
    if result is None:
        return MISSING
    sets = list(result['people'])
    head = ['system', 'runtime', *(f'batch {n}' for n in result['batches'])]
    head += [f'PCK {name}' for name in sets] + ['maxima as eager']
    rows = []
    for row in result['rows']:
        times = [row[f'batch {n}'] for n in result['batches']]
        rows.append([
            row['system'],
            row['backend'],
            *(f'{found["median_ms"]:.0f} ({found["ratio"]:.2f})' for found in times),
            *(row.get('pck', {}).get(name, '-') for name in sets),
            f'{100 * min(row["equal"].values()):.1f} %',
        ])  # fmt: skip
    people = ', '.join(f'{count} of {name}' for name, count in result['people'].items())
    return (
        f'{markdown(head, rows)}\n\nMilliseconds {clock_of(result)} of the network alone; in '
        'brackets the ratio to eager PyTorch in fp32 at the same batch. PCK@0.2 of the torso, limb '
        f'joints, one clip a person: {people}. Commit {result["commit"]}. {made_by(result)}'
    )


def clock_of(result: dict) -> str:
    """Which clock counted."""
    return "of the processor's time" if result.get('clock') == 'processor' else 'by the wall clock'


def video_speed() -> str:
    """The video tool, end to end."""
    result = read('video_speed')
    if result is None:
        return MISSING
    head = ['model', 'runtime', 'way', 'people a frame', 'ms a frame', 'frames a second of a core']
    keys = (
        'model', 'backend', 'mode', 'people_a_frame', 'processor_ms_a_frame',
        'frames_a_core_second',
    )  # fmt: skip
    rows = [[row[key] for key in keys] for row in result['rows']]
    return (
        f"{markdown(head, rows)}\n\nMilliseconds of the processor's time, of all threads, decoding "
        f'and smoothing included; {result["frames"]} frames of {result["video"]}. Commit '
        f'{result["commit"]}. {made_by(result)}'
    )


def person_size() -> str:
    """The two models that the video tool chooses between, by a person's height."""
    result = read('person_size')
    if result is None:
        return MISSING
    models = result['models']
    sets = [(name, kind) for name in result['labels'] for kind in KINDS]
    head = ['height', *(f'{name} {kind}' for name, kind in sets)]
    rows = [
        [
            f'{height} pixels',
            *(
                ' / '.join(
                    str(result['labels'][name]['pck'][kind][str(height)][model]) for model in models
                )
                for name, kind in sets
            ),
        ]
        for height in result['heights']
    ]
    people = ', '.join(f'{found["people"]} of {name}' for name, found in result['labels'].items())
    return (
        f'{markdown(head, rows)}\n\n`{models[0]}` / `{models[1]}`. Degraded: noise and H.264 after '
        f'the person was made so small. People: {people}. Commit {result["commit"]}. '
        f'{made_by(result)}'
    )


def _mean(values: list[float]) -> str:
    """A mean, and with several seeds their standard deviation."""
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


def _by_system(result: dict) -> dict[str, list[dict]]:
    """The runs of each system, one a seed."""
    systems = {}
    for run in result['runs']:
        systems.setdefault(run['system'], []).append(run)
    return systems


SETS = {'lspe': 'LSP-Extended', 'synthetic': 'synthetic', 'handball': 'handball'}
KINDS = ('clean', 'degraded')


def accuracy(name: str = 'accuracy') -> str:
    """Every system of the accuracy benchmark: PCK of the torso on each set."""
    result = read(name)
    if result is None:
        return MISSING
    columns = {
        f'{part}-{kind}': f'{SETS[part]} {kind}' for part in ('lspe', 'synthetic') for kind in KINDS
    }
    rows = []
    for system, runs in _by_system(result).items():
        cells = [_pck_cell([run['metrics'].get(name) for run in runs]) for name in columns]
        own = runs[0]['parameters']['front_end']
        budget = f'{runs[0]["steps"]} x {runs[0]["batch"]}' if runs[0]['steps'] else '-'
        rows.append([system, len(runs), budget, f'{own / 1e3:.0f} k', *cells])
    head = ['system', 'seeds', 'steps x clips', 'parameters before the network', *columns.values()]
    note = (
        'PCK@0.2 / PCK@0.1 of the torso, limbs, no flip test, by the heatmaps of one frame. The '
        'names are those of configs: `coco` stands before the frozen network, in `joint` the '
        'network learned too, ours from the adapted front end on, and in `labels` it went on from '
        'there with labels beside the teacher. What is shipped is halfway between the last two. '
        'EDSR and SRResNet learned by pixels from 1875 x 16 of the same clips (`train_sr.py`). '
        "`movenet-thunder_64x48_coco` went on from Lightning's front end and 375 x 16 more. "
        '`synthetic` is `labels` from MoveNet as published on, by the rendered half of the clips '
        'alone. '
    )
    return '\n\n'.join((markdown(head, rows), note + laid_out_by(result), trained_by(result)))


def _pck_cell(found: list[dict | None]) -> str:
    """PCK at both thresholds, the mean over the seeds."""
    if None in found:
        return '-'
    return ' / '.join(_mean([one[f'pck@{threshold}'] for one in found]) for threshold in (0.2, 0.1))


def setting_of(runs: list[dict]) -> tuple[str, str]:
    """The learning rates and the commits of a system's runs; ``-`` where they were not recorded."""
    rates = sorted({f'{run["learning_rate"]:g}' for run in runs if 'learning_rate' in run})
    commits = sorted({commit for run in runs for commit in run.get('commits', ()) if commit})
    return ', '.join(rates) or '-', ', '.join(commits) or '-'


def laid_out_by(result: dict) -> str:
    """Say where the runs were made, and which command made the table of their results."""
    return made_by(result).replace('made by', 'the table is laid out by')


def trained_by(result: dict) -> str:
    """The command, learning rate and commit of every run, as recorded with the run's numbers."""
    lines = []
    for run in result['runs']:
        rate, commit = setting_of([run])
        lines.append(
            f'- {run["system"]}, seed {run["seed"]}, learning rate {rate}, commit {commit}: '
            f'`{run["command"]}`'
        )
    return '\n'.join(['Trained by:', '', *lines])


def adaptation(names: tuple[str, ...] = ('lightning', 'thunder'), one_frame: bool = True) -> str:
    """PCK of the torso of what is shipped, beside bicubic and the high-resolution crop.

    Args:
        names: How the names of the result files end; those of other models where they are given.
        one_frame: With the rows of one frame's heatmaps.
    """
    results = [read(f'adaptation_{name}') for name in names]
    results = [result for result in results if result is not None]
    if not results:
        return MISSING
    columns = [f'{name} {kind}' for name in SETS for kind in KINDS]
    rows = [
        [system, *(_pck_cell([found.get(column)]) for column in columns)]
        for result in results
        for system, found in result['pck_torso'].items()
        if one_frame or not system.endswith(', one frame')
    ]
    head = ['64x48', *(f'{title} {kind}' for title in SETS.values() for kind in KINDS)]
    people = ', '.join(
        f'{results[0]["people"][f"{name} clean"]} of {title}' for name, title in SETS.items()
    )
    made = ' '.join(f'Commit {result["commit"]}. {made_by(result)}' for result in results)
    return (
        f'{markdown(head, rows)}\n\nPCK@0.2 / PCK@0.1 of the torso, by the heatmaps of five '
        'frames; of one on the crop, and where a row says so. No flip test. People: '
        f'{people}. {made}'
    )


def posetrack_ap() -> str:
    """AP by PoseTrack's rules, by groups of joints, of every labelled person of a data set."""
    result = read('posetrack_ap')
    if result is None:
        return MISSING
    rows = [
        [row['title'], kind, *(f'{value:.1f}' for value in row[kind].values())]
        for row in result['rows']
        for kind in KINDS
    ]
    groups = [name.removesuffix(' AP') for name in result['rows'][0]['clean']]
    head = ['model', 'clip', *('all' if name == 'AP' else name for name in groups)]
    made = '\n'.join(
        f'- {row["title"]}, commit {row["commit"]}: `{row["command"]}`.' for row in result['rows']
    )
    return (
        f'{markdown(head, rows)}\n\nBoxes of the labels, no flip test; every person of the videos, '
        'which are other ones than those of the training, by the same generator. Measured by:\n\n'
        f'{made}'
    )


def zoo() -> str:
    """Every shipped pose model: what it is worth at 64x48, and how long it takes for a person."""
    rows = []
    for model in yaml.safe_load((ROOT / 'configs' / 'metafile.yml').read_text())['Models']:
        if 'Weights' in model:
            size = (ROOT / model['Weights']).stat().st_size / 1e6
            cells = (f'`{model["Alias"]}`', f'{size:.1f} MB', model['License'].split(',')[0])
            rows.append([*cells, _worth(model), _time(model)])
    head = ['name', 'size', 'licence', 'PCK@0.2 at 64x48, handball clean / degraded', 'ms a person']
    return markdown(head, rows)


def _worth(model: dict) -> str:
    """PCK of a shipped model, from the file that measured its weights or its bare network."""
    network = 'thunder' if 'thunder' in model['Alias'] else 'lightning'
    result = read(f'adaptation_{network}')
    bare = f'bicubic, MoveNet {network.title()}'
    found = (result or {'pck_torso': {}})['pck_torso'].get(
        model['Alias'] if model['Alias'].startswith('star_pose') else bare
    )
    if found is None:
        return '-'
    return ' / '.join(f'{found[f"handball {kind}"]["pck@0.2"]:.1f}' for kind in KINDS)


def _time(model: dict) -> str:
    """Milliseconds of one core for a person at 64x48, front end or bicubic upsampling included."""
    network = model['Alias'].removeprefix('star_pose_')
    system = 'STAR-Pose' if network != model['Alias'] else 'bicubic'
    for row in (read('speed_shipped') or {'rows': []})['rows']:
        if (row['system'], row['pose_net'], row['batch']) == (system, network, 1):
            return f'{row["median_ms"]:.0f}'
    return '-'


def front_page() -> str:
    """Make the README's two tables: the models, and what adaptation is worth."""
    return '\n\n'.join((zoo(), ADAPTATION_IS, adaptation(one_frame=False)))


def handball() -> str:
    """The shipped weights on a real sequence, by groups of joints."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob('handball_*.json'))]
    if not results:
        return MISSING
    groups = list(results[0]['pck_torso_0.2']['clean'])
    rows = [
        [f'`{result["weights"]}`', kind, *found.values()]
        for result in results
        for kind, found in result['pck_torso_0.2'].items()
    ]
    table = markdown(['weights', 'clip', *groups], rows)
    made = '\n'.join(f'- Commit {result["commit"]}. {made_by(result)}' for result in results)
    return f'{table}\n\n{results[0]["frames"]} frames, with the flip test.\n\n{made}'


def card() -> str:
    """Make the numbers of the shipped weights' card."""
    parts = (
        adaptation(),
        'Handball by groups of joints, PCK@0.2: a real player, a sequence never trained on.',
        handball(),
    )
    return '\n\n'.join(parts)


def render() -> str:
    """Make the whole section."""
    parts = {
        'The shipped adapted weights, PCK of the torso': adaptation(),
        "The same before frozen networks (Lightning's front end after 1,875 steps of 16 clips, "
        "Thunder's after 1,875 more)": adaptation(('lightning_frozen', 'thunder_frozen')),
        'The same where Lightning learned too, 600 steps of 16 clips, no labels': adaptation(
            ('lightning_joint_bicubic', 'lightning_joint_edsr', 'lightning_joint')
        ),
        "AP by PoseTrack's rules, rendered videos": posetrack_ap(),
        'The shipped weights on a real sequence by groups of joints, PCK@0.2': handball(),
        'Speed of the shipped models and the flagship, end to end, beside cascades': speed(
            'speed_shipped'
        ),
        'The flagship in bfloat16 too': speed(),
        'The same, eight clips at a time': speed('speed_batch8'),
        'Where the time goes (fp32, batch 1), in milliseconds': speed_parts(),
        'Runtimes': backends(),
        'Videos, end to end': video_speed(),
        "Which model for which size of people, PCK@0.2 of one frame's heatmaps": person_size(),
        'Cost of the parts': cost(),
        'Adapted side by side, on one pool of samples': accuracy(),
        'What the parts of the front end are worth before the frozen Lightning': accuracy(
            'ablations'
        ),
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
    pages = {
        ROOT / 'docs' / 'results.md': render(),
        ROOT / 'docs' / 'video.md': person_size(),
        CARD: card(),
        README: front_page(),
    }
    for path, content in pages.items():
        update(path, content, args.check)


def update(path: pathlib.Path, content: str, check: bool) -> None:
    """Put the content between a file's marks, or exit if it is not there already."""
    text = path.read_text()
    if len(SECTION.findall(text)) != 1:
        sys.exit(f'{path} must have one results section between its two marks')
    updated = SECTION.sub(lambda match: f'{match[1]}\n{content}\n{match[2]}', text)
    if updated == text:
        return
    if check:
        sys.exit(f'{path.name} differs from benchmarks/results: run benchmarks/readme_results.py')
    path.write_text(updated)


if __name__ == '__main__':
    main()
