"""Fixtures shared by the tests."""

import gc
import json
import os
import pathlib
import shutil
import sys
import zipfile

import cv2
import pytest

import star_pose  # noqa: F401  (applies the cures and registers the components)
from star_pose.synthetic import DatasetOptions, SceneOptions, make_dataset
from tiny_runs import REPO, run_command

# A worker forked from this process (loaders, the synthetic data) would wait for ever for the
# threads of OpenCV's pool, which a fork does not take along.
cv2.setNumThreads(0)

# MMEngine collects garbage for every data set that it builds. What is imported is none, and looking
# through all of OpenMMLab took a fifth of a second each time.
gc.freeze()

# What a build of the package reads.
SOURCES = ('projects', 'configs', 'tools', 'requirements', 'docs', 'benchmarks')
FILES = (
    'setup.cfg', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md',
    'CONTRIBUTING.md', 'Makefile', 'model-index.yml',
)  # fmt: skip


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
    """The folder of real data that STAR_POSE_TEST_DATA names; skips where it is unset."""
    root = os.environ.get('STAR_POSE_TEST_DATA')
    if not root:
        pytest.skip('STAR_POSE_TEST_DATA is not set')
    path = pathlib.Path(root)
    if not path.is_dir():
        raise FileNotFoundError(
            f'STAR_POSE_TEST_DATA={root} is not a folder; point it at the test data or unset it'
        )
    return path


@pytest.fixture(scope='session')
def lspe_root(shared_data, tmp_path_factory) -> pathlib.Path:
    """Four training and four validation photographs of LSP-Extended, as a data set of its own."""
    root = tmp_path_factory.mktemp('lspe')
    with zipfile.ZipFile(shared_data / 'lspe' / 'images.zip') as images:
        members = {pathlib.PurePath(name).name: name for name in images.namelist()}
        for split in ('train', 'val'):
            name = f'lspe_{split}.json'
            labels = json.loads((shared_data / 'lspe' / name).read_text())
            headed = {a['image_id'] for a in labels['annotations'] if a.get('bbox_head')}
            labels['images'] = [one for one in labels['images'] if one['id'] in headed][:4]
            chosen = {one['id'] for one in labels['images']}
            labels['annotations'] = [a for a in labels['annotations'] if a['image_id'] in chosen]
            (root / name).write_text(json.dumps(labels))
            for one in labels['images']:
                target = root / one['file_name']
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(images.read(members[target.name]))
    return root


@pytest.fixture(scope='session')
def synthetic_root(tmp_path_factory) -> pathlib.Path:
    """A synthetic data set of one training and one validation video, four frames each."""
    root = tmp_path_factory.mktemp('synthetic') / 'posetrack18'
    scene = SceneOptions(frames=4, size=(256, 144), people=1)
    make_dataset(root, DatasetOptions(videos=2, seed=0, scene=scene, val_videos=1, dense=True))
    return root


@pytest.fixture(scope='session')
def sources(tmp_path_factory) -> pathlib.Path:
    """A copy of the checkout: a build leaves files where it runs."""
    root = tmp_path_factory.mktemp('sources')
    ignore = shutil.ignore_patterns('__pycache__', '*.egg-info')
    for name in SOURCES:
        shutil.copytree(REPO / name, root / name, symlinks=True, ignore=ignore)
    for name in FILES:
        shutil.copy(REPO / name, root)
    return root


@pytest.fixture(scope='session')
def installed(sources, tmp_path_factory) -> pathlib.Path:
    """A folder that the package is installed in as pip installs it from a checkout."""
    prefix = tmp_path_factory.mktemp('installed')
    run_command(
        sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index',
        '--no-build-isolation', '--target', prefix, '.', cwd=sources,
    )  # fmt: skip
    return prefix
