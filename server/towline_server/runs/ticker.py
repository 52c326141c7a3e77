"""Periodic work of a server, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger("towline.runs")


class Ticker:
    """Does something every so often, or when woken, until it is stopped."""

    def __init__(self, name: str, seconds: float, *tasks: Callable[[], None]) -> None:
        self._seconds = seconds
        self._tasks = tasks
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with doing it at once."""
        self._thread.start()

    def wake(self) -> None:
        """Do it now, or once more if it is being done."""
        self._woken.set()

    def stop(self) -> None:
        """Stop, once what is being done is done."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            for task in self._tasks:
                try:
                    task()
                except Exception:  # noqa: BLE001 - it has to go on for as long as the server does
                    _LOG.exception("a task of %s failed; it is tried again", self._thread.name)
            self._woken.wait(self._seconds)
