"""The queue of runs: taking one, and every write under its lease.

A run's row is a job (`towline_server.db.jobs`): an executor that lost the lease writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, case, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.model import Revision
from towline_server.db.clock import clock, database_now, sql_now
from towline_server.db.jobs import JobQueue
from towline_server.db.session import Database
from towline_server.projects.tables import ProjectRow

from .completion import lease_lost, update_parent
from .domain import BackendName, Lease
from .inputs import Inputs
from .round_robin import Candidate, Excluded, next_in_turn
from .states import ACTIVE, STARTS_AT, TERMINAL, RunState, may_reach
from .tables import RunRow, find_now, held_by, hold_projects, is_free, lease_of, waits


class NotTaken(StrEnum):
    """Why a run cannot be taken."""

    ENDED = "ended"
    BUSY = "busy"
    """Another run works on the project."""
    HELD = "held"
    """Another executor has it."""
    FULL = "full"
    """This executor has as many of its tenant, or its host, as it may."""
    CLOSING = "closing"
    """This process is shutting down."""


@frozen(kw_only=True)
class Renewal:
    """The runs whose leases were renewed, and those of them to stop."""

    held: frozenset[UUID]
    cancelled: frozenset[UUID]


class Leases:
    """The leases of a database's runs; each call is a transaction of its own."""

    def __init__(self, database: Database, *, seconds: float = 60) -> None:
        self._database = database
        self.jobs = JobQueue(RunRow, seconds)
        self.seconds = seconds

    def next_in_turn(self, backend: BackendName, excluded: Excluded) -> Candidate | None:
        """Return the run that is next among all tenants', without locking it."""
        with self._database.reading() as session:
            return next_in_turn(session, backend, excluded)

    def take_next(
        self, executor_id: str, *conditions: ColumnElement[bool], read: Read | None = None
    ) -> Lease | None:
        """Begin the oldest run that waits and whose project is free, of those that match.

        ``read`` reads the lease's inputs, in the same transaction.
        """
        while True:
            try:
                with self._database.writing() as session:
                    # A locked row is about to begin, or to be deleted.
                    query = self.jobs.unlocked(_waiting(RunRow, conditions), RunRow, ProjectRow)
                    found = session.execute(query.add_columns(clock(session))).first()
                    if found is None:
                        return None
                    row, now = found
                    return self._begin(session, row, now, executor_id, read)
            except IntegrityError:
                # Another run of the project began after our look; the next look sees it.
                continue

    def held_by(self, executor_id: str) -> Sequence[Candidate]:
        """Return the active runs of an executor, the oldest first."""
        run = RunRow
        mine = select(run.id, run.tenant_id, run.host).where(
            run.executor_id == executor_id, run.state.in_(ACTIVE)
        )
        with self._database.reading() as session:
            found = session.execute(mine.order_by(run.created_at, run.position, run.id))
            return [Candidate(run_id=of, tenant_id=tenant, host=host) for of, tenant, host in found]

    def take(
        self,
        run_id: UUID,
        executor_id: str,
        *,
        read: Read | None = None,
        excluded: Excluded = Excluded(),
    ) -> Lease | NotTaken:
        """Begin a run, or resume one that this executor held before it was restarted.

        ``read`` is as for `take_next`. Runs of ``excluded`` tenants and hosts do not begin.

        Raises:
            NotFound: there is no such run (any more).
        """
        try:
            with self._database.writing() as session:
                hold_projects(session, [run_id])
                row, now = find_now(session, run_id)
                state = RunState(row.state)
                if state.is_terminal or row.is_parent:
                    return NotTaken.ENDED
                if state is not RunState.QUEUED and row.executor_id != executor_id:
                    return NotTaken.HELD
                if state is RunState.QUEUED:
                    if row.tenant_id in excluded.tenants or row.host in excluded.hosts:
                        return NotTaken.FULL
                    if _is_busy(session, row.project_id):
                        return NotTaken.BUSY
                return self._begin(session, row, now, executor_id, read)
        except IntegrityError:
            # Another run of the project began between our look and our write.
            return NotTaken.BUSY

    def _begin(
        self, session: Session, row: RunRow, now: datetime, executor_id: str, read: Read | None
    ) -> Lease:
        row.state = RunState.FETCHING
        row.progress = max(row.progress, STARTS_AT[RunState.FETCHING])
        token = self.jobs.lease(row, now)
        row.executor_id = executor_id
        row.heartbeat_at = row.updated_at = now
        row.started_at = row.started_at or now
        session.flush()
        inputs = None if read is None else read(session, row, now)
        update_parent(session, row.parent_id, now)
        return lease_of(row, token, inputs)

    def move(
        self,
        lease: Lease,
        state: RunState,
        progress: int,
        found: Mapping[str, Any] = MappingProxyType({}),
    ) -> datetime:
        """Enter a phase, or report progress in it, and return when. Progress never falls.

        ``found`` are other columns of the run's row, by name.

        Raises:
            LeaseLost: the lease does not hold the run.
            Cancelled: the run is to stop.
        """
        with self._database.writing() as session:
            if lease.parent_id is not None:
                hold_projects(session, [lease.run_id])
            before = [each for each in ACTIVE if each is state or may_reach(each, state)]
            grown = case((RunRow.progress < progress, progress), else_=RunRow.progress)
            values = {"state": state, "progress": grown, "updated_at": clock(session), **found}
            now = _update(session, lease, values, RunRow.state.in_(before))
            update_parent(session, lease.parent_id, now)
            return now

    def set_target(self, lease: Lease, revision: Revision, committed_at: datetime | None) -> None:
        """Record the revision that the run pulls; the rest of its batch pulls the same.

        Raises:
            LeaseLost, Cancelled: as `move`.
        """
        values = {"target_revision": revision, "target_committed_at": committed_at}
        with self._database.writing() as session:
            hold_projects(session, [lease.run_id])
            _update(session, lease, values)
            batch = select(RunRow.batch_id).where(RunRow.id == lease.run_id)
            rest = (
                update(RunRow)
                .where(
                    RunRow.batch_id == batch.scalar_subquery(),
                    RunRow.project_id == lease.project_id,
                    RunRow.target_revision.is_(None),
                    RunRow.state.not_in(TERMINAL),
                )
                .values(**values)
                .execution_options(synchronize_session=False)
            )
            # The parent last, in the order of locks.
            session.execute(rest.where(~RunRow.is_parent))
            session.execute(rest.where(RunRow.is_parent))

    def set_base(
        self, lease: Lease, revision: Revision | None, committed_at: datetime | None
    ) -> None:
        """Record the revision that the run starts from. Raises as `move`."""
        with self._database.writing() as session:
            values = {"base_revision": revision, "base_committed_at": committed_at}
            _update(session, lease, values)

    def renew(self, leases: Collection[Lease]) -> Renewal:
        """Renew leases, and return which are held and which of these are to stop."""
        found: Sequence[Row[UUID, datetime | None]] = ()
        if leases:
            with self._database.writing() as session:
                now = database_now(session)
                renewed = self.jobs.renewal([lease.token for lease in leases], now)
                renewed = renewed.where(RunRow.state.in_(ACTIVE)).values(heartbeat_at=now)
                found = session.execute(
                    renewed.returning(RunRow.id, RunRow.cancel_requested_at)
                ).all()
        return Renewal(
            held=frozenset(row.id for row in found),
            cancelled=frozenset(row.id for row in found if row.cancel_requested_at is not None),
        )

    def cancelled(self, leases: Collection[Lease]) -> frozenset[UUID]:
        """Return the runs that are to stop: a read, made more often than `renew`."""
        if not leases:
            return frozenset()
        with self._database.reading() as session:
            stopping = select(RunRow.id).where(
                RunRow.id.in_([lease.run_id for lease in leases]),
                or_(RunRow.cancel_requested_at.is_not(None), RunRow.state.not_in(ACTIVE)),
            )
            return frozenset(session.scalars(stopping))


def _update(
    session: Session, lease: Lease, values: dict[str, Any], *conditions: ColumnElement[bool]
) -> datetime:
    """Update the leased run's row, or raise why the lease does not hold it; return `updated_at`."""
    mine = update(RunRow).where(*held_by(lease), *conditions).values(**values)
    unread = mine.execution_options(synchronize_session=False)
    written_at: datetime | None = session.scalar(unread.returning(RunRow.updated_at))
    if written_at is None:
        raise lease_lost(session, lease)
    return written_at


Read: TypeAlias = Callable[[Session, RunRow, datetime], Inputs]
"""Reads what executing a run needs, of a run that was taken at this moment."""


def _waiting(what: Any, conditions: Collection[ColumnElement[bool]]) -> Select[Any]:
    """The oldest run that waits and whose project is free, of those that match."""
    waiting = select(what).join(ProjectRow, ProjectRow.id == RunRow.project_id)
    waiting = waiting.where(*conditions, *may_begin())
    return waiting.order_by(RunRow.created_at, RunRow.position, RunRow.id).limit(1)


def may_begin() -> tuple[ColumnElement[bool], ...]:
    """Match the runs that wait, whose project is free, and that are not put off."""
    put_off = and_(RunRow.not_before.is_not(None), RunRow.not_before > sql_now())
    return waits(RunRow), is_free(RunRow), ~put_off


def _is_busy(session: Session, project_id: UUID) -> bool:
    active = select(RunRow.id).where(
        RunRow.project_id == project_id, RunRow.state.in_(ACTIVE), RunRow.is_parent.is_(False)
    )
    return session.scalar(active.limit(1)) is not None
