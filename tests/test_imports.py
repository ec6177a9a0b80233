"""Imports run one way: as the table in CONTRIBUTING says, which is read here."""

import ast
import functools
import graphlib
import pathlib
import re
import sys

import pytest

REPO = pathlib.Path(__file__).resolve().parents[1]

PACKAGE = REPO / 'projects' / 'star_pose'
FILES = sorted(PACKAGE.rglob('*.py'))


def _table() -> dict[str, set[str]]:
    """From a part of the package to the parts that it may import, in the table's order."""
    text = (REPO / 'CONTRIBUTING.md').read_text()
    rows = re.findall(r'^\| `projects/star_pose/(\w+)(?:\.py|/)` \|.*\|([^|]*)\|$', text, re.M)
    table = {}
    for part, imported in rows:
        above = set(table) if 'any of the above' in imported else set()
        table[part] = above | set(re.findall(r'`(\w+)`', imported))
    return table


def _part(path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def _module(path) -> str:
    return '.'.join(('star_pose', *path.relative_to(PACKAGE).with_suffix('').parts))


@functools.cache
def _imports(path, everywhere=True) -> list[str]:
    """Full names of what a file imports, also inside functions unless told otherwise."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else tree.body
    package = ('star_pose', *path.relative_to(PACKAGE).parts[:-1])
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from .. import x`: as many packages up as there are dots beyond the first
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = '.'.join((*above, *([node.module] if node.module else ())))
            names += [f'{base}.{alias.name}' for alias in node.names]
    return names


def _found() -> dict[str, set[str]]:
    found = {}
    for path in FILES:
        own = [name.split('.')[1:] for name in _imports(path) if name.startswith('star_pose.')]
        parts = {name[0] for name in own if name} - {_part(path)}
        found.setdefault(_part(path), set()).update(parts)
    return found


@pytest.mark.parametrize('part', sorted({_part(path) for path in FILES} - {'__init__', 'version'}))
def test_a_part_imports_what_the_table_says_and_nothing_else(part):
    found, allowed = _found()[part], _table()[part]
    assert found <= allowed
    assert found == allowed or part == 'apis'  # which may import anything of the package


def test_a_part_imports_only_parts_that_stand_above_it():
    table = _table()
    order = list(table)
    for part, imported in table.items():
        assert all(order.index(one) < order.index(part) for one in imported), part


def test_no_two_files_import_each_other():
    files = {_module(path): path for path in FILES}
    graph = {}
    for name, path in files.items():
        names = _imports(path, everywhere=False)
        # `from .a import b`: b is a file, or a name in the file a
        graph[name] = {one for n in names for one in (n, n.rpartition('.')[0]) if one in files} - {
            name
        }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_package_imports_no_tool_and_no_benchmark():
    scripts = {
        path.stem for folder in ('tools', 'benchmarks') for path in REPO.glob(f'{folder}/*.py')
    }
    scripts = (scripts | {'tools', 'benchmarks', 'tests'}) - set(sys.stdlib_module_names)
    for path in FILES:
        assert not scripts & {name.split('.')[0] for name in _imports(path)}, path


def test_posetrack_needs_no_part_of_mmpose_and_mmagic_waits_for_a_config():
    heavy = {'mmagic', 'mmpose', 'mmengine', 'mmcv', 'mmdet', 'torch'}
    for path in FILES:
        names = {name.split('.')[0] for name in _imports(path, everywhere=False)}
        assert 'mmagic' not in names, path
        assert _part(path) != 'posetrack' or not heavy & names, path
