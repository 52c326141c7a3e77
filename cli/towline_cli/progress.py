"""Following and stopping long work: progress for a person who waits, Ctrl-C without damage."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from towline.errors import Cancelled, RemoteError
from towline.ports import Phase, Watch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE = 0.5
"""Seconds of work before progress is worth showing."""
_WORDS = {
    Phase.FETCHING: "Fetching",
    Phase.COMPARING: "Comparing",
    Phase.VALIDATING: "Checking",
    Phase.APPLYING: "Writing",
}


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch over long work, that shows it on a terminal, and that Ctrl-C or SIGTERM stops.

    Raises:
        Cancelled: it was stopped before anything was changed.
    """
    from datetime import UTC, datetime

    stop = Event()
    display = _Display()
    try:
        with _signals(stop):
            yield Watch(
                progress=display.show if sys.stderr.isatty() else None,
                cancel=stop,
                now=datetime.now(UTC),
            )
    except RemoteError:
        # The signal reaches Git too, whose end then looks like the remote's failure. A store's
        # failure stands as it is: it may say that the pull is committed.
        if stop.is_set():
            raise Cancelled from None
        raise
    finally:
        display.close()


@contextmanager
def _signals(stop: Event) -> Iterator[None]:
    def stop_cleanly(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            # Asked twice: what is in the way of a clean stop may take too long.
            raise KeyboardInterrupt
        stop.set()

    before = {
        number: signal.signal(number, stop_cleanly) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Display:
    """One line on stderr, once the work has taken a while."""

    def __init__(self) -> None:
        self._since = monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def show(self, phase: Phase, done: int, total: int | None) -> None:
        """The library's progress callback."""
        if self._progress is None and monotonic() - self._since < _PATIENCE:
            return
        progress = self._progress or self._start()
        assert self._task is not None, "made by _start"
        progress.update(self._task, description=_WORDS[phase], completed=done, total=total or None)

    def close(self) -> None:
        """Leave no trace on the terminal."""
        if self._progress is not None:
            self._progress.stop()

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()
        return self._progress
