"""Files that tools write: tried before the work, never an input, whole or not there."""

import contextlib
import os
import os.path as osp
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from ..datasets.errors import DataError

__all__ = ['OutputError', 'check_output', 'check_output_folder', 'whole_file']


class OutputError(DataError, OSError):
    """An output cannot be written, or must not be; the text is meant for the user."""


def check_output(path: str | os.PathLike, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Refuse, before any work, a file that could not be written or would destroy an input.

    Args:
        path: The file; its folder is made.
        inputs: Files that are read.

    Raises:
        OutputError: It is an input or a folder, or cannot be created.
    """
    if osp.realpath(path) in {osp.realpath(one) for one in inputs}:
        raise OutputError(f'output {path} is an input; give another name')
    if osp.isdir(path):
        raise OutputError(f'output {path} is a folder; give the name of a file')
    check_output_folder(osp.dirname(osp.abspath(path)), path)
    if osp.exists(path) and not os.access(path, os.W_OK):
        raise OutputError(f'output {path} cannot be written: it must not be changed')


def check_output_folder(folder: str, path: str | os.PathLike | None = None) -> None:
    """Make a folder and try to write into it.

    Args:
        folder: The folder.
        path: What the message names instead.

    Raises:
        OutputError: It cannot be made, or nothing can be written there.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f'output {path or folder} cannot be written: {error.strerror}; give another place'
        ) from error


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a file that appears under its name only when it is complete."""
    part = f'{path}.part'
    try:
        text = {} if 'b' in mode else {'encoding': 'utf-8', 'newline': ''}
        with open(part, mode, **text) as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise
