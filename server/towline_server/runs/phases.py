"""The phase and the progress of one run, as far as they are written to its row.

What a short run enters and leaves is written with what follows. The heartbeat writes the progress
of a phase that lasts, from a thread that holds no other connection.
"""

from __future__ import annotations

from datetime import datetime
from threading import Lock
from typing import Any

from towline.ports import Phase
from towline_server.loops import Changes

from .domain import Lease
from .queue import Leases
from .states import ACTIVE, STARTS_AT, RunState, progress_in
from .tables import RunRow


class Phases:
    """The phase of a run that a lease holds, and what of it is still to be written."""

    def __init__(self, leases: Leases, lease: Lease, changes: Changes) -> None:
        self._leases = leases
        self._lease = lease
        self._changes = changes
        self._writing = Lock()
        self._written = self._reached = _place(RunState.FETCHING, STARTS_AT[RunState.FETCHING])
        self.found: dict[str, Any] = {}
        """Columns of the run's row that are written with its next phase, or its end."""

    def enter(self, state: RunState) -> datetime:
        """Write that the run enters a phase, with what was found; return when. Raises as `move`."""
        with self._writing:
            now = self._leases.move(self._lease, state, STARTS_AT[state], self.found)
            self.found = {}
            self._written = self._reached = _place(state, STARTS_AT[state])
        self._changes.changed()
        return now

    def note(self, phase: Phase, done: int, total: int | None) -> None:
        """Note progress; `write_progress` writes it."""
        state = RunState(phase)
        self._reached = _place(state, progress_in(state, done, total))

    def write_found(self, row: RunRow) -> None:
        """Write what was found into the run's row, which the caller has locked."""
        for name, value in self.found.items():
            setattr(row, name, value)

    def write_progress(self) -> None:
        """Write progress that was made since it was written last. Raises as `Leases.move`."""
        if not self._writing.acquire(blocking=False):
            return  # the run enters a phase
        try:
            reached = self._reached
            if reached <= self._written:
                return
            number, progress = reached
            self._leases.move(self._lease, ACTIVE[number], progress)
            self._written = reached
        finally:
            self._writing.release()
        self._changes.changed()


def _place(state: RunState, progress: int) -> tuple[int, int]:
    return ACTIVE.index(state), progress
