"""The phase and the progress of one run, as far as they are written to its row.

What a short run enters and leaves is written with what follows. The heartbeat writes the progress
of a phase that lasts. Of a run of one kind, whose statuses the products' APIs promise one by one,
each phase is written, and that it has begun to do something. No thread writes while it holds the
connection of a snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any, TypeAlias

from towline.ports import Phase
from towline_server.loops import ChangeSignal

from .domain import Lease
from .queue import Leases
from .run_log import RunLog
from .states import ACTIVE, STARTS_AT, RunState, progress_in
from .tables import RunRow

_Place: TypeAlias = tuple[int, int]
"""The number of a phase, and the progress of the run."""

_STEP = 5
"""The percent that are much."""


class Phases:
    """The phase of a run that a lease holds, and what of it is still to be written.

    ``each``: write each phase, however short.
    """

    def __init__(
        self, leases: Leases, lease: Lease, changes: ChangeSignal, log: RunLog, *, each: bool
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._changes = changes
        self._log = log
        self._each = each
        self._reading = False
        self._writing = Lock()
        self._written = self._reached = _place(RunState.FETCHING, STARTS_AT[RunState.FETCHING])
        self._steps = [self._written]
        """Where it was last, and what of its way on from there is to be written."""
        self.found: dict[str, Any] = {}
        """Columns of the run's row that are written with its next phase, or its end."""
        self._seconds: dict[str, float] = {}
        self._state, self._since = RunState.FETCHING, time.monotonic()

    def enter(self, state: RunState) -> datetime:
        """Write that the run enters a phase, with what was found; return when. Raises as `move`."""
        self._pass_to(state)
        with self._writing:
            found = {**self.found, **self._log.column()}
            now = self._leases.move(self._lease, state, STARTS_AT[state], found)
            self.found = {}
            self._written = self._reached = _place(state, STARTS_AT[state])
            self._steps = [self._written]
        self._changes.changed(*self._lease.row_ids)
        return now

    def note(self, phase: Phase, done: int, total: int | None) -> None:
        """Note progress; `write_progress` writes it. Raises as `Leases.move`."""
        state = RunState(phase)
        self._pass_to(state)
        self._reached = _place(state, progress_in(state, done, total))
        if self._each and _is_step(self._steps[-1], self._reached):
            self._steps.append(self._reached)
            self._write_steps()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Write nothing in the block, which holds a snapshot, but after it. Raises as `note`."""
        self._reading = True
        try:
            yield
        finally:
            self._reading = False
        self._write_steps()

    def _write_steps(self) -> None:
        while len(self._steps) > 1 and not self._reading:
            with self._writing:
                del self._steps[0]
                if self._steps[0] > self._written:
                    self._write(self._steps[0])
            self._changes.changed(*self._lease.row_ids)

    def _write(self, place: _Place) -> None:
        number, progress = place
        self._leases.move(self._lease, ACTIVE[number], progress, self._log.column())
        self._written = place

    def at_end(self) -> dict[str, Any]:
        """Return what was found, how long phases lasted, and the log, for the end of the run."""
        self._pass_to(self._state)
        return {**self.found, "phase_seconds": dict(self._seconds), **self._log.column()}

    def _pass_to(self, state: RunState) -> None:
        """Count the time since the last call for the phase that it was in."""
        now = time.monotonic()
        lasted = self._seconds.get(self._state, 0.0) + now - self._since
        self._seconds[self._state] = round(lasted, 3)
        self._state, self._since = state, now

    def write_found(self, row: RunRow) -> None:
        """Write what was found into the run's row, which the caller has locked."""
        for name, value in {**self.found, **self._log.column()}.items():
            setattr(row, name, value)

    def write_progress(self) -> None:
        """Write progress that was made since it was written last. Raises as `Leases.move`."""
        if not self._writing.acquire(blocking=False):
            return  # the run enters a phase
        try:
            reached = self._reached
            if reached <= self._written:
                return
            self._write(reached)
        finally:
            self._writing.release()
        self._changes.changed(*self._lease.row_ids)


def _place(state: RunState, progress: int) -> _Place:
    return ACTIVE.index(state), progress


def _is_step(before: _Place, after: _Place) -> bool:
    """Whether a phase was entered, has begun to do something, or has come much further."""
    (phase, progress), (following, reached) = before, after
    least = 1 if progress == STARTS_AT[ACTIVE[phase]] else _STEP
    return following > phase or (following == phase and reached >= progress + least)
