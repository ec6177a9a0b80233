"""Person clips on disk: one LMDB file that survives being killed and notices damage."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, TypeVar

import lmdb

from ..errors import DataNotFoundError
from ..frames.clip_reader import ClipReadError
from .person_clip import PersonClip

__all__ = ['ClipCache', 'ClipCacheWriter']

_META = b'__meta__'
_FORMAT = 2
_FIRST_MAP_SIZE = 2**30
_T = TypeVar('_T')


class ClipCache:
    """Read person clips from a cache.

    The file is opened at the first read, once in every process: an open LMDB must not cross a
    fork.

    Args:
        path: The cache's file.

    Raises:
        DataNotFoundError: There is no such file.
    """

    _shared: ClassVar[dict[tuple[int, str], 'ClipCache']] = {}

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise DataNotFoundError(
                f'person-clip cache not found: {path}; make it with tools/cache_clips.py, or leave '
                'out the argument `cache` of LoadClip'
            )
        self.path = path
        try:
            # No locks: nothing writes while a training reads, and read-only disks have none.
            # No read-ahead: samples are drawn at random.
            self._env = lmdb.open(path, subdir=False, readonly=True, lock=False, readahead=False)
        except lmdb.Error as error:
            raise ClipReadError(f'cannot open person-clip cache {path}: {error}') from error
        self.meta = self._read_meta()

    @classmethod
    def shared(cls, path: str) -> 'ClipCache':
        """The cache that everything in this process shares; a forked worker opens its own."""
        key = (os.getpid(), path)
        if key not in cls._shared:
            cls._shared[key] = cls(path)
        return cls._shared[key]

    def _read_meta(self) -> dict:
        content = self._with_record(_META, bytes)
        if content is None:
            raise ClipReadError(f'{self.path} is no person-clip cache')
        meta = json.loads(content)
        if meta.get('format') != _FORMAT:
            raise ClipReadError(
                f'person-clip cache {self.path} has format {meta.get("format")}, not {_FORMAT}: '
                'make it again with tools/cache_clips.py'
            )
        return meta

    def _with_record(self, key: bytes, use: Callable[[memoryview], _T]) -> _T | None:
        """Use a record where it lies in the file's memory map, without a copy of it."""
        try:
            with self._env.begin(buffers=True) as transaction:
                record = transaction.get(key)
                return None if record is None else use(record)
        except lmdb.Error as error:
            raise ClipReadError(f'person-clip cache {self.path} is damaged: {error}') from error

    def __len__(self) -> int:
        return self._env.stat()['entries'] - 1

    def __contains__(self, key: bytes) -> bool:
        return self._with_record(key, len) is not None

    def read(self, key: bytes) -> PersonClip | None:
        """Read one clip.

        Args:
            key: Of :func:`clip_key`.

        Returns:
            The clip; None when the cache does not have it.

        Raises:
            ClipReadError: The clip, or the cache, is damaged.
        """
        try:
            return self._with_record(key, PersonClip.from_bytes)
        except ClipReadError as error:
            raise ClipReadError(
                f'clip {key.hex()} of cache {self.path}: {error}; run tools/cache_clips.py with '
                '--verify'
            ) from error

    def close(self) -> None:
        """Close the file; LMDB allows one opening a process."""
        self._env.close()

    def verify(self) -> Iterator[tuple[bytes, str]]:
        """Read every clip; yield the key and the fault, or an empty string, of each."""
        with self._env.begin(buffers=True) as transaction, transaction.cursor() as cursor:
            for key, record in cursor:
                if bytes(key) == _META:
                    continue
                try:
                    PersonClip.from_bytes(record)
                    yield bytes(key), ''
                except ClipReadError as error:
                    yield bytes(key), str(error)


class ClipCacheWriter:
    """Write person clips; what is written stays, whenever the process is killed.

    LMDB commits whole transactions: after a crash the file holds those that were committed and
    nothing of the others. Opening it again goes on.

    Args:
        path: The cache's file; it is made when it is not there.
        meta: What the cache was made with; a cache that was made otherwise is refused.

    Raises:
        ValueError: The file was made with other settings.
        ClipReadError: The file is damaged or no cache.
    """

    def __init__(self, path: str, meta: dict) -> None:
        self.path = path
        meta = json.loads(json.dumps(dict(meta, format=_FORMAT)))
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        size = os.path.getsize(path) if os.path.exists(path) else 0
        try:
            self._env = lmdb.open(path, subdir=False, map_size=max(2 * size, _FIRST_MAP_SIZE))
            with self._env.begin() as transaction:
                found, entries = transaction.get(_META), transaction.stat()['entries']
        except lmdb.Error as error:
            raise ClipReadError(f'cannot open person-clip cache {path}: {error}') from error
        if found is None and entries:
            raise ClipReadError(f'{path} is an LMDB file, but no person-clip cache')
        if found is not None and json.loads(found) != meta:
            raise ValueError(
                f'cache {path} was made with {json.loads(found)}, now asked for {meta}; use the '
                'same settings, or another file'
            )
        self.write([(_META, json.dumps(meta).encode())])

    def __contains__(self, key: bytes) -> bool:
        with self._env.begin() as transaction:
            return transaction.get(key) is not None

    def write(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write several records in one transaction: all of them or none."""
        records = list(records)
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for key, value in records:
                        transaction.put(key, value)
                return
            except lmdb.MapFullError:
                # The map is a range of addresses, not of disk space: it may grow freely
                self._env.set_mapsize(2 * self._env.info()['map_size'])

    def remove(self, keys: Iterable[bytes]) -> None:
        """Remove damaged records, so that they are made again."""
        with self._env.begin(write=True) as transaction:
            for key in keys:
                transaction.delete(key)

    def __enter__(self) -> 'ClipCacheWriter':
        return self

    def __exit__(self, *exception) -> None:
        self._env.close()
