"""Work that is done in a thread of its own, in order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

__all__ = ['Background']


class Background:
    """Runs calls in a thread, in the order given; what goes wrong there is raised here.

    Args:
        depth: Calls that may wait; then :meth:`put` waits too.

    Attributes:
        seconds: Time that the calls took so far.
    """

    def __init__(self, depth: int = 8):
        self.seconds = 0.0
        self._calls: queue.Queue = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def put(self, call: Callable, *args) -> None:
        """Have a call done soon.

        Raises:
            BaseException: What an earlier call has raised; it is raised once.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._raise()
        self._calls.put((call, args))

    def close(self) -> None:
        """Wait until all is done; later calls are possible.

        Raises:
            BaseException: As :meth:`put`.
        """
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
            self._thread = None
        self._raise()

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            if self._error is not None:
                continue  # what comes after a fault is not done
            call, args = item
            begin = time.perf_counter()
            try:
                call(*args)
            except BaseException as error:
                self._error = error
            self.seconds += time.perf_counter() - begin

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
