"""Writers of one process, in the order in which they came.

SQLite lets one write at a time; who finds it locked sleeps, tries again, and may be overtaken every
time. Under load that wastes most of the time, and fails the unlucky ones.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class WriteQueue:
    """Whose turn it is to write; ``seconds`` bounds how long one waits for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn; or none, where it does not come in time: then the database has the last word."""
        mine = self._take()
        try:
            yield
        finally:
            if mine:
                self._pass_on()

    def _take(self) -> bool:
        called = threading.Event()
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            self._waiting.append(called)
        if called.wait(self._seconds):
            return True
        with self._lock:
            if called.is_set():  # at the last moment
                return True
            self._waiting.remove(called)
            return False

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
