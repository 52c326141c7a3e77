"""Ends runs whose executor was lost, and puts new attempts in their place.

It also hands over again what got lost on the way to a backend. Every server does it; each run is
ended once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.errors import Cancelled
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database

from . import tables
from .attempts import resumed
from .backends import Backends
from .dispatching import dispatch, lost_dispatches, recall
from .domain import BackendName
from .endings import failed, write_end
from .errors import HeartbeatMissed, LeaseLost
from .rows import hold_projects
from .signals import Signals
from .states import ACTIVE

_LOG = logging.getLogger("towline.runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """A run that was ended, and the attempt that takes its place, if any."""

    run_id: UUID
    backend: str
    ref: str | None
    next_id: UUID | None


class Reaper:
    """Looks after the runs of a database."""

    def __init__(
        self,
        database: Database,
        backends: Backends,
        signals: Signals,
        *,
        max_auto_resumes: int = 3,
        lost_seconds: float = 60,
        now: DatabaseNow = database_now,
    ) -> None:
        self._database = database
        self._backends = backends
        self._signals = signals
        self._max_auto_resumes = max_auto_resumes
        self._lost_seconds = lost_seconds
        self._now = now

    def sweep(self) -> None:
        """Everything that is to be done now."""
        for run_id in self._lapsed():
            if (reaped := self._reap(run_id)) is not None:
                self._hand_on(reaped)
        for name in self._backends.configured:
            backend = self._backends.get(name)
            recall(self._database, backend, self._lost_seconds, self._now)
            lost = lost_dispatches(self._database, backend, self._lost_seconds, self._now)
            dispatch(self._database, backend, lost, self._now)

    def _lapsed(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            return session.scalars(
                select(tables.Run.id)
                .where(tables.Run.state.in_(ACTIVE), tables.Run.lease_until < self._now(session))
                .order_by(tables.Run.lease_until)
            ).all()

    def _reap(self, run_id: UUID) -> Reaped | None:
        """End a run whose lease lapsed, unless its executor came back meanwhile."""
        with self._database.writing() as session:
            hold_projects(session, [run_id])
            # Whoever has its row locked is about to change it: it is looked at again soon.
            unlocked = {"skip_locked": True}
            row = session.get(tables.Run, run_id, with_for_update=unlocked, populate_existing=True)
            if row is None:
                return None
            now = self._now(session)
            if row.state not in ACTIVE or row.lease_until is None or row.lease_until >= now:
                return None
            next_id = self._end(session, row, now)
            _LOG.warning("run %s lost its executor %s", row.id, row.executor_id)
            return Reaped(run_id=row.id, backend=row.backend, ref=row.backend_ref, next_id=next_id)

    def _end(self, session: Session, row: tables.Run, now: datetime) -> UUID | None:
        if row.cancel_requested_at is not None:
            # Its executor cannot say any more that it stopped; it never starts again.
            write_end(session, row, failed(Cancelled()), now)
            return None
        native = row.backend == BackendName.NATIVE
        error = HeartbeatMissed() if native else LeaseLost(run_id=str(row.id))
        following = None
        if row.auto_resumes < self._max_auto_resumes:
            # First: a parent that looks at its children now must see that one follows.
            following = resumed(session, row, now, counted=True).id
        write_end(session, row, failed(error), now)
        return following

    def _hand_on(self, reaped: Reaped) -> None:
        self._signals.changed()
        backend = self._backends.get(reaped.backend)
        if reaped.ref is not None:
            backend.forget(reaped.ref)
        if reaped.next_id is not None:
            dispatch(self._database, backend, [reaped.next_id], self._now)


class Ticker:
    """Does something every so often in a thread of its own, until it is stopped."""

    def __init__(self, name: str, seconds: float, *tasks: Callable[[], None]) -> None:
        self._seconds = seconds
        self._tasks = tasks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with doing it at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, once what is being done is done."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for task in self._tasks:
                try:
                    task()
                except Exception:  # noqa: BLE001 - it has to go on for as long as the server does
                    _LOG.exception("a task of %s failed; it is tried again", self._thread.name)
            if self._stopping.wait(self._seconds):
                return
