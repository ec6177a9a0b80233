"""Frames read in a thread of their own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from .frame_sources import SourceFrame

__all__ = ['ReadAhead']


class ReadAhead:
    """Read frames in a thread of their own, so that decoding and the networks overlap.

    Args:
        frames: What to read.
        depth: Frames that may wait.
        drop: Whether a new frame takes the place of those that wait, as a live picture must;
            otherwise reading pauses.
    """

    def __init__(self, frames: Iterator[SourceFrame], depth: int = 8, drop: bool = False):
        self.dropped = 0
        self._frames = frames
        self._drop = drop
        self._queue: queue.Queue = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self._frames:
                frame.arrived = time.monotonic()
                self._put(frame)
                if self._stop.is_set():
                    return
            self._put(None)
        except BaseException as error:  # raised again where the frames are used
            self._put(error)

    def _put(self, item: object) -> None:
        # A live picture never waits for the networks: frames would pile up before this thread.
        may_drop = self._drop and isinstance(item, SourceFrame)
        while not self._stop.is_set():
            try:
                self._queue.put(item, not may_drop, timeout=0.05)
                return
            except queue.Full:
                if may_drop:
                    try:
                        self._queue.get_nowait()
                        self.dropped += 1
                    except queue.Empty:
                        pass

    def __iter__(self) -> Iterator[SourceFrame]:
        try:
            while True:
                item = self._queue.get()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
