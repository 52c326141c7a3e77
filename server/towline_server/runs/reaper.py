"""Ends runs whose executor was lost, and puts new attempts in their place.

Every server does it; each run is ended once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from towline.errors import Cancelled
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database
from towline_server.errors import HeartbeatMissed, LeaseLost, RunUnclaimed
from towline_server.loops import Backoff

from . import tables
from .attempts import Retries, resumed
from .backends import Backends
from .domain import BackendName
from .endings import failed, write_end
from .rows import find_row, hold_projects
from .signals import Signals
from .states import ACTIVE, RunState

_LOG = logging.getLogger("towline.runs")


class Reaper:
    """Looks after the runs of a database."""

    def __init__(
        self,
        database: Database,
        backends: Backends,
        signals: Signals,
        *,
        retries: Retries = Retries(),
        claim_seconds: float = 3600,
        now: DatabaseNow = database_now,
    ) -> None:
        self._database = database
        self._backends = backends
        self._signals = signals
        self._retries = retries
        self._claim_seconds = claim_seconds
        self._now = now
        self._backoff = Backoff[UUID]("reaper")

    def sweep(self) -> None:
        """Everything that is to be done now."""
        for run_id in self._lapsed():
            with self._backoff.attempting(run_id):
                self._reap(run_id)
        for run_id in self._unclaimed():
            with self._backoff.attempting(run_id):
                self._give_up(run_id)

    def _unclaimed(self) -> Sequence[UUID]:
        """Runs for external executors that none of them took for long."""
        run = tables.Run
        with self._database.reading() as session:
            long_ago = self._now(session) - timedelta(seconds=self._claim_seconds)
            return session.scalars(
                select(run.id).where(
                    run.state == RunState.QUEUED,
                    run.backend == BackendName.EXTERNAL,
                    run.is_parent.is_(False),
                    func.coalesce(run.not_before, run.created_at) < long_ago,
                    run.id.not_in(self._backoff.waiting),
                )
            ).all()

    def _give_up(self, run_id: UUID) -> None:
        with self._database.writing() as session:
            row = find_row(session, run_id, lock=True)
            if row.state != RunState.QUEUED:
                return
            write_end(session, row, failed(RunUnclaimed()), self._now(session))
        self._signals.changed()

    def _lapsed(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            return session.scalars(
                select(tables.Run.id)
                .where(
                    tables.Run.state.in_(ACTIVE),
                    tables.Run.lease_until < self._now(session),
                    tables.Run.id.not_in(self._backoff.waiting),
                )
                .order_by(tables.Run.lease_until)
            ).all()

    def _reap(self, run_id: UUID) -> None:
        """End a run whose lease lapsed, unless its executor came back meanwhile."""
        with self._database.writing() as session:
            hold_projects(session, [run_id])
            # Whoever has its row locked is about to change it: it is looked at again soon.
            unlocked = {"skip_locked": True}
            row = session.get(tables.Run, run_id, with_for_update=unlocked, populate_existing=True)
            if row is None:
                return
            now = self._now(session)
            if row.state not in ACTIVE or row.lease_until is None or row.lease_until >= now:
                return
            next_id = self._end(session, row, now)
            _LOG.warning("run %s lost its executor %s", row.id, row.executor_id)
            backend = row.backend
        self._signals.changed()
        # Its project is free, for the next attempt or for whatever waits.
        self._backends.get(backend).submit([] if next_id is None else [next_id])

    def _end(self, session: Session, row: tables.Run, now: datetime) -> UUID | None:
        if row.cancel_requested_at is not None:
            # Its executor cannot say any more that it stopped; it never starts again.
            write_end(session, row, failed(Cancelled()), now)
            return None
        native = row.backend == BackendName.NATIVE
        error = HeartbeatMissed() if native else LeaseLost(run_id=str(row.id))
        following = None
        if row.auto_resumes < self._retries.most:
            # First: a parent that looks at its children now must see that one follows.
            following = resumed(session, row, now, counted=True).id
        write_end(session, row, failed(error), now)
        return following
