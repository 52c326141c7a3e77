"""Owns who executes a run: taking it, keeping it, and every write that he alone may make.

A lease is a token in the run's row. Each write names it, so that whoever lost the run, asleep or
awake, writes nothing. How long it lasts is judged by the database's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from secrets import token_hex
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from towline.errors import Cancelled
from towline.model import Revision
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database
from towline_server.errors import LeaseLost
from towline_server.projects.tables import Project

from . import tables
from .parents import update_parent
from .rows import find_row, hold_projects
from .states import ACTIVE, STARTS_AT, TERMINAL, RunState, may_follow


class Refusal(StrEnum):
    """Why a run cannot be had."""

    ENDED = "ended"
    BUSY = "busy"
    """Another run works on the project."""
    HELD = "held"
    """Somebody else executes it."""
    CLOSING = "closing"
    """This process is shutting down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to execute one run."""

    run_id: UUID
    project_id: UUID
    token: str
    executor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a renewal found: the runs still held, and those of them to stop."""

    held: frozenset[UUID]
    cancelled: frozenset[UUID]


class Leases:
    """The leases of a database; each call is a transaction of its own."""

    def __init__(
        self, database: Database, *, seconds: float = 60, now: DatabaseNow = database_now
    ) -> None:
        self._database = database
        self.seconds = seconds
        self._length = timedelta(seconds=seconds)
        self._now = now

    def next_waiting(self, *those: ColumnElement[bool]) -> UUID | None:
        """Return the oldest run that waits and whose project is free, among those that fit."""
        with self._database.reading() as session:
            return session.scalars(_waiting(tables.Run.id, those)).first()

    def take_next(self, executor_id: str, *those: ColumnElement[bool]) -> Lease | None:
        """Begin the oldest run that waits and whose project is free, among those that fit."""
        while True:
            try:
                with self._database.writing() as session:
                    # Whoever has one of them locked is about to begin it, or to delete it.
                    unlocked = _waiting(tables.Run, those).with_for_update(
                        of=(tables.Run, Project), key_share=True, skip_locked=True
                    )
                    row: tables.Run | None = session.scalar(unlocked)
                    return None if row is None else self._begin(session, row, executor_id)
            except IntegrityError:
                # Another run of the project began after our look; the next look sees it.
                continue

    def held_by(self, executor_id: str) -> Sequence[UUID]:
        """Return the runs under way that this executor holds, the oldest first."""
        run = tables.Run
        mine = select(run.id).where(run.executor_id == executor_id, run.state.in_(ACTIVE))
        with self._database.reading() as session:
            return session.scalars(mine.order_by(run.created_at, run.position, run.id)).all()

    def take(self, run_id: UUID, executor_id: str) -> Lease | Refusal:
        """Begin a run; or go on with it, where this executor held it before it came back.

        Raises:
            NotFound: there is no such run (any more).
        """
        try:
            with self._database.writing() as session:
                return self._take(session, run_id, executor_id)
        except IntegrityError:
            # Somebody began another run of the project between our look and our write.
            return Refusal.BUSY

    def _take(self, session: Session, run_id: UUID, executor_id: str) -> Lease | Refusal:
        row = find_row(session, run_id, lock=True)
        state = RunState(row.state)
        if state.is_terminal or row.is_parent:
            return Refusal.ENDED
        if state is RunState.QUEUED:
            if _is_busy(session, row.project_id):
                return Refusal.BUSY
        elif row.executor_id != executor_id:
            return Refusal.HELD
        return self._begin(session, row, executor_id)

    def _begin(self, session: Session, row: tables.Run, executor_id: str) -> Lease:
        if row.state == RunState.QUEUED:
            row.state = RunState.FETCHING
            row.progress = max(row.progress, STARTS_AT[RunState.FETCHING])
        lease = Lease(
            run_id=row.id, project_id=row.project_id, token=token_hex(16), executor_id=executor_id
        )
        now = self._now(session)
        row.lease_token, row.executor_id = lease.token, executor_id
        row.heartbeat_at = row.updated_at = now
        row.started_at = row.started_at or now
        row.lease_until = now + self._length
        session.flush()
        update_parent(session, row.parent_id, now)
        return lease

    def move(self, lease: Lease, state: RunState, progress: int) -> None:
        """Enter a phase, or go on in it. Progress never falls.

        Raises:
            LeaseLost: the run is not held by this lease.
            Cancelled: it was asked to stop.
        """
        with self._database.writing() as session:
            hold_projects(session, [lease.run_id])
            before = [each for each in ACTIVE if each is state or may_follow(each, state)]
            moved = update(tables.Run).where(*_mine(lease), tables.Run.state.in_(before))
            now = self._now(session)
            values = {
                "state": state,
                "progress": case(
                    (tables.Run.progress < progress, progress), else_=tables.Run.progress
                ),
                "updated_at": now,
            }
            _one(session, moved.values(**values).returning(tables.Run.parent_id), lease)
            parent_id = session.scalar(
                select(tables.Run.parent_id).where(tables.Run.id == lease.run_id)
            )
            update_parent(session, parent_id, now)

    def set_target(self, lease: Lease, revision: Revision, committed_at: datetime | None) -> None:
        """Note the revision that the run pulls; the rest of its batch pulls the same.

        Raises:
            LeaseLost, Cancelled: as `move`.
        """
        values = {"target_revision": revision, "target_committed_at": committed_at}
        with self._database.writing() as session:
            hold_projects(session, [lease.run_id])
            mine = update(tables.Run).where(*_mine(lease)).values(**values)
            _one(session, mine.returning(tables.Run.batch_id), lease)
            batch = select(tables.Run.batch_id).where(tables.Run.id == lease.run_id)
            rest = (
                update(tables.Run)
                .where(
                    tables.Run.batch_id == batch.scalar_subquery(),
                    tables.Run.project_id == lease.project_id,
                    tables.Run.target_revision.is_(None),
                    tables.Run.state.not_in(TERMINAL),
                )
                .values(**values)
                .execution_options(synchronize_session=False)
            )
            # What comprises the others last, as whoever ends one of them has it.
            session.execute(rest.where(~tables.Run.is_parent))
            session.execute(rest.where(tables.Run.is_parent))

    def start_from(
        self, lease: Lease, revision: Revision | None, committed_at: datetime | None
    ) -> None:
        """Note the revision that the run starts from. Raises as `move`."""
        with self._database.writing() as session:
            mine = update(tables.Run).where(*_mine(lease))
            values = {"base_revision": revision, "base_committed_at": committed_at}
            _one(session, mine.values(**values).returning(tables.Run.id), lease)

    def renew(self, leases: Collection[Lease]) -> Renewal:
        """Renew the leases of these runs; the answer shows which are lost or cancelled."""
        if not leases:
            return Renewal(held=frozenset(), cancelled=frozenset())
        with self._database.writing() as session:
            now = self._now(session)
            alive = (
                update(tables.Run)
                .where(
                    tables.Run.lease_token.in_([lease.token for lease in leases]),
                    tables.Run.state.in_(ACTIVE),
                )
                .values(heartbeat_at=now, lease_until=now + self._length)
                .returning(tables.Run.id, tables.Run.cancel_requested_at)
                .execution_options(synchronize_session=False)
            )
            found = session.execute(alive).all()
        return Renewal(
            held=frozenset(row.id for row in found),
            cancelled=frozenset(row.id for row in found if row.cancel_requested_at is not None),
        )

    def cancelled(self, leases: Collection[Lease]) -> frozenset[UUID]:
        """Those of these runs that shall stop: a read, to be asked more often than `renew`."""
        if not leases:
            return frozenset()
        with self._database.reading() as session:
            asked = select(tables.Run.id).where(
                tables.Run.id.in_([lease.run_id for lease in leases]),
                or_(
                    tables.Run.cancel_requested_at.is_not(None),
                    tables.Run.state.not_in(ACTIVE),
                ),
            )
            return frozenset(session.scalars(asked))


def check_held(session: Session, lease: Lease) -> None:
    """Hold the run's row to the end of the transaction, if it still is this lease's.

    The caller holds its project already (`towline_server.runs.rows`).

    Raises:
        LeaseLost, Cancelled: as `Leases.move`.
    """
    found = select(tables.Run.id).where(*_mine(lease)).with_for_update()
    if session.scalar(found) is None:
        raise _lost(session, lease)


def _mine(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    run = tables.Run
    return (
        run.id == lease.run_id,
        run.lease_token == lease.token,
        run.state.in_(ACTIVE),
        run.cancel_requested_at.is_(None),
    )


def _one(session: Session, statement: object, lease: Lease) -> None:
    """Carry out an UPDATE of the leased run's row, or say why it is not to be had."""
    options = {"synchronize_session": False}
    if session.execute(statement, execution_options=options).first() is None:  # type: ignore[call-overload] # one of two kinds of UPDATE
        raise _lost(session, lease)


def _lost(session: Session, lease: Lease) -> Exception:
    asked = select(tables.Run.cancel_requested_at).where(
        tables.Run.id == lease.run_id,
        tables.Run.lease_token == lease.token,
        tables.Run.state.in_(ACTIVE),
    )
    if session.scalar(asked) is not None:
        return Cancelled()
    return LeaseLost(run_id=str(lease.run_id))


def _waiting(what: Any, those: Collection[ColumnElement[bool]]) -> Select[Any]:
    """The oldest run that waits and whose project is free, among those that fit."""
    run, other = tables.Run, aliased(tables.Run)
    busy = exists().where(
        other.project_id == run.project_id, other.state.in_(ACTIVE), other.is_parent.is_(False)
    )
    waiting = select(what).join(Project, Project.id == run.project_id)
    # A delay need not be exact: this clock will do, and costs no statement.
    put_off = and_(run.not_before.is_not(None), run.not_before > datetime.now(UTC))
    waiting = waiting.where(
        *those, run.state == RunState.QUEUED, run.is_parent.is_(False), ~busy, ~put_off
    )
    return waiting.order_by(run.created_at, run.position, run.id).limit(1)


def _is_busy(session: Session, project_id: UUID) -> bool:
    active = select(tables.Run.id).where(
        tables.Run.project_id == project_id,
        tables.Run.state.in_(ACTIVE),
        tables.Run.is_parent.is_(False),
    )
    return session.scalar(active.limit(1)) is not None
