"""Progress of long operations on a terminal, and their cancellation by signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from towline.errors import Cancelled, RemoteError
from towline.ports import Phase, Watch

if TYPE_CHECKING:
    from rich.progress import Progress

_DELAY = 0.5
"""Seconds before progress is shown."""
_DESCRIPTIONS = {
    Phase.FETCHING: "Fetching",
    Phase.COMPARING: "Comparing",
    Phase.VALIDATING: "Checking",
    Phase.APPLYING: "Writing",
}


@contextmanager
def watching(arriving: Callable[[], object] | None = None) -> Iterator[Watch]:
    """Yield a watch that shows progress on a terminal, and is cancelled by SIGINT or SIGTERM.

    ``arriving`` is as in `Watch`.

    Raises:
        Cancelled: a signal came before anything was changed.
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
                arriving=arriving,
            )
    except RemoteError:
        # The signal terminates git, too, which looks like an error of the remote. An error of the
        # store is raised as it is: its message may say that the pull is committed.
        if stop.is_set():
            raise Cancelled from None
        raise
    finally:
        display.close()


@contextmanager
def _signals(stop: Event) -> Iterator[None]:
    def stop_cleanly(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            # The second signal: the clean stop takes too long.
            raise KeyboardInterrupt
        stop.set()

    # A shell ignores SIGINT in its background jobs.
    before = {
        number: signal.signal(number, stop_cleanly)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Display:
    """A progress bar on stderr, after a delay."""

    def __init__(self) -> None:
        self._begun = monotonic()
        self._progress: Progress | None = None

    def show(self, phase: Phase, done: int, total: int | None) -> None:
        """Show progress; the library's callback."""
        if self._progress is None:
            if monotonic() - self._begun < _DELAY:
                return
            self._progress = _start_progress()
        self._progress.update(
            self._progress.task_ids[0],
            description=_DESCRIPTIONS[phase],
            completed=done,
            total=total or None,
        )

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._progress is not None:
            self._progress.stop()


def _start_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    progress.add_task("", total=None)
    progress.start()
    return progress
