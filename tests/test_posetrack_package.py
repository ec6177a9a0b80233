"""The evaluation stands alone: what it imports, and how many files one evaluation goes through."""

import ast
import pathlib
import subprocess
import sys

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction
from star_pose.evaluation import PoseTrackMetric
from test_posetrack_metric import compute, sample

PACKAGE = pathlib.Path(__file__).parents[1] / 'projects' / 'star_pose'
HEAVY = {'mmpose', 'mmengine', 'mmcv', 'mmdet', 'mmagic', 'torch', 'torchvision'}


def imported_names(file):
    """Absolute names of all that a module imports, wherever in it the import stands."""
    package = ['star_pose', *file.relative_to(PACKAGE).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            names |= {module, *(f'{module}.{alias.name}' for alias in node.names)}
    return names


def module_files(name):
    """Files that an import of a module of this package runs, its own packages' faces included."""
    parts = name.split('.')[1:]
    for depth in range(1, len(parts) + 1):
        path = PACKAGE.joinpath(*parts[:depth])
        yield from (f for f in (path.with_suffix('.py'), path / '__init__.py') if f.is_file())


def test_nothing_that_it_imports_needs_mmpose_or_torch():
    to_read, seen = sorted((PACKAGE / 'posetrack').glob('*.py')), set()
    while to_read:
        file = to_read.pop()
        if file in seen:
            continue
        seen.add(file)
        names = imported_names(file)
        heavy = {name.split('.')[0] for name in names} & HEAVY
        assert not heavy, f'{file.relative_to(PACKAGE)} imports {heavy}'
        for name in names:
            if name.startswith('star_pose.'):
                to_read += module_files(name)
    assert len(seen) >= 11


def test_it_runs_where_neither_is_loaded():
    script = (
        'import sys, types, importlib, pathlib\n'
        f'face = types.ModuleType("star_pose"); face.__path__ = [{str(PACKAGE)!r}]\n'
        'sys.modules["star_pose"] = face\n'
        f'for file in pathlib.Path({str(PACKAGE)!r}, "posetrack").glob("[a-z]*.py"):\n'
        '    importlib.import_module(f"star_pose.posetrack.{file.stem}")\n'
        f'print(sorted({HEAVY!r} & set(sys.modules)))\n'
    )
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout == '[]\n', run.stderr


def test_an_evaluation_goes_through_six_files(tmp_path):
    gt = build.write(tmp_path / 'gt', {VIDEO: document([label(f, pose()) for f in range(3)], 3)})
    metric = PoseTrackMetric(str(gt), out_file=str(tmp_path / 'out.json'))
    files = set()

    def note(frame, event, _):
        if event == 'call' and str(PACKAGE) in frame.f_code.co_filename:
            files.add(pathlib.Path(frame.f_code.co_filename).name)

    evaluate = metric.compute_metrics

    def traced(results):
        sys.setprofile(note)
        try:
            return evaluate(results)
        finally:
            sys.setprofile(None)

    metric.compute_metrics = traced
    samples = [sample(prediction(f, pose())) for f in range(3)]
    assert compute(metric, samples)['posetrack/AP'] == 100
    assert len(files) <= 6, files
    assert {'posetrack_metric.py', 'evaluate.py', 'score_ap.py'} < files
