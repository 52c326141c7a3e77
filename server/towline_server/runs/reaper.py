"""Ends the runs whose executor was lost, and those that none claimed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from towline.errors import Cancelled
from towline_server import metrics
from towline_server.db.clock import database_now
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database, once_committed
from towline_server.errors import HeartbeatMissed, LeaseLost, RunUnclaimed
from towline_server.loops import Backoff, ChangeSignal

from .attempts import RETRIES, resume
from .completion import failed, write_completion
from .domain import BackendName
from .queue import Leases
from .states import ACTIVE, RunState
from .tables import RunRow, find_row, hold_projects
from .worker import Backends

_LOG = logging.getLogger("towline.runs")


class Reaper:
    """Ends the runs of a database whose executor was lost; a linked attempt follows each.

    Every server does it; each run is ended once.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        backends: Backends,
        changes: ChangeSignal,
        *,
        retries: RetryPolicy = RETRIES,
        claim_seconds: float = 3600,
    ) -> None:
        self._database = database
        self._jobs = leases.jobs
        self._backends = backends
        self._changes = changes
        self._retries = retries
        self._claim_seconds = claim_seconds
        self._backoff = Backoff[UUID]("reaper")

    def sweep(self) -> None:
        """End every run whose lease has expired, and those that no external executor claimed."""
        for run_id in self._expired():
            with self._backoff.attempting(run_id):
                self._reap(run_id)
        for run_id in self._unclaimed():
            with self._backoff.attempting(run_id):
                self._give_up(run_id)

    def _unclaimed(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            long_ago = database_now(session) - timedelta(seconds=self._claim_seconds)
            return session.scalars(
                select(RunRow.id).where(
                    RunRow.state == RunState.QUEUED,
                    RunRow.backend == BackendName.EXTERNAL,
                    RunRow.is_parent.is_(False),
                    func.coalesce(RunRow.not_before, RunRow.created_at) < long_ago,
                    RunRow.id.not_in(self._backoff.waiting),
                )
            ).all()

    def _give_up(self, run_id: UUID) -> None:
        with self._database.writing() as session:
            row = find_row(session, run_id, lock=True)
            if row.state != RunState.QUEUED:
                return
            write_completion(session, row, failed(RunUnclaimed()), database_now(session))
        self._changes.changed()

    def _expired(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            expired = select(RunRow.id).where(
                RunRow.state.in_(ACTIVE),
                RunRow.has_expired(database_now(session)),
                RunRow.id.not_in(self._backoff.waiting),
            )
            return session.scalars(expired.order_by(RunRow.lease_until)).all()

    def _reap(self, run_id: UUID) -> None:
        """End a run whose lease has expired, unless its executor has renewed it meanwhile."""
        with self._database.writing() as session:
            hold_projects(session, [run_id])
            # A locked row is about to change: it is looked at again soon.
            query = self._jobs.unlocked(select(RunRow).where(RunRow.id == run_id))
            row: RunRow | None = session.scalar(query)
            if row is None:
                return
            now = database_now(session)
            if row.state not in ACTIVE or row.lease_until is None or row.lease_until >= now:
                return
            following = end_lost(session, row, now, self._retries)
            backend = row.backend
        self._changes.changed()
        # Its project is free, for the next attempt or for another run that waits.
        self._backends.submit(backend, following)


def end_lost(
    session: Session, row: RunRow, now: datetime, retries: RetryPolicy = RETRIES
) -> list[UUID]:
    """End a run that has no executor any more, and return the attempt that follows, if one does.

    The caller has locked the run's row, and its project.
    """
    following: list[UUID] = []
    external = row.backend == BackendName.EXTERNAL
    error = LeaseLost(run_id=str(row.id)) if external else HeartbeatMissed()
    if row.cancel_requested_at is not None:
        # Its executor can no longer report that it stopped; it never starts again.
        write_completion(session, row, failed(Cancelled()), now)
    else:
        if row.auto_resumes < len(retries.delays):
            # First, so that a parent which looks at its children sees that one follows.
            following = [resume(session, row, now, counted=True)]
        write_completion(session, row, failed(error), now)
    once_committed(session, metrics.LEASES_LAPSED.inc)
    _LOG.warning("run %s lost its executor %s", row.id, row.executor_id)
    return following
