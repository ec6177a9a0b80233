"""Fixtures shared by the tests."""

import os
import pathlib

import pytest

import star_pose  # noqa: F401  (applies the cures and registers the components)


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
