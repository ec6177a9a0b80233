"""Decode every frame that a data set can hand out, in threads."""

import concurrent.futures
import hashlib
from collections.abc import Iterable, Iterator

from ..frames.clip_reader import ClipReader, ClipReadError, split_ref

__all__ = ['read_frames']

_CHUNK = 32


def read_frames(refs: Iterable[str], workers: int = 2) -> Iterator[tuple[str, object, str]]:
    """Decode frames and say how it went.

    Args:
        refs: Frame references, see :func:`split_ref`; the frames of one video file in order.
        workers: Number of threads; decoders release the interpreter lock.

    Yields:
        Reference, size (w, h) in px or the ``ClipReadError``, and a digest of the pixels (empty
        for an unreadable frame), in the order of the references.
    """
    chunks = list(_chunks(refs))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for results in pool.map(_read_chunk, chunks):
            yield from results


def _chunks(refs: Iterable[str]) -> Iterator[list[str]]:
    """Cut image files into small chunks; the frames of a video file stay together."""
    chunk: list[str] = []
    video = None
    for ref in refs:
        path, position = split_ref(ref)
        current = path if position is not None else None
        if chunk and (current != video or (current is None and len(chunk) >= _CHUNK)):
            yield chunk
            chunk = []
        video = current
        chunk.append(ref)
    if chunk:
        yield chunk


def _read_chunk(refs: list[str]) -> list[tuple[str, object, str]]:
    reader = ClipReader(cache_mb=0)  # an open video must not be shared between threads
    results = []
    for ref in refs:
        try:
            frame = reader.read(ref)
        except ClipReadError as error:
            results.append((ref, error, ''))
            continue
        height, width = frame.shape[:2]
        results.append((ref, (width, height), hashlib.blake2b(frame, digest_size=16).hexdigest()))
    return results
