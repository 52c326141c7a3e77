"""Wakes those in this process that wait for a run to change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Signals(Protocol):
    """What waiting for a run stands on."""

    def changed(self) -> None:
        """Tell everybody that some run changed."""
        ...

    def version(self) -> int:
        """Grows with each change; to be read before looking at the database."""
        ...

    def wait(self, version: int, seconds: float) -> None:
        """Wait until something changed since a version, but no longer than so many seconds."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether there is nothing to wait for any more."""
        ...


class ProcessSignals:
    """Signals within one process: a condition and a counter."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._version = 0
        self._closed = False

    def changed(self) -> None:
        """Tell everybody that some run changed."""
        with self._condition:
            self._version += 1
            self._condition.notify_all()

    def version(self) -> int:
        """Grows with each change."""
        with self._condition:
            return self._version

    def wait(self, version: int, seconds: float) -> None:
        """Wait for a change since a version; a run elsewhere changes without waking us."""
        with self._condition:
            self._condition.wait_for(lambda: self._version != version, timeout=seconds)

    @property
    def is_closed(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._closed

    def close(self) -> None:
        """Send everybody home: the process stops, and would wait for whoever waits."""
        self._closed = True
        self.changed()


Monotonic = Callable[[], float]

monotonic: Monotonic = time.monotonic
