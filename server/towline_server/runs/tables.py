"""Runs as rows, and the order in which they are locked.

A project is locked before its runs, as deleting it takes both; a run before its parent, and that
before the webhook endpoints that its end is sent to. So no two transactions wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Select,
    UniqueConstraint,
    exists,
    inspect,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, aliased, defer, mapped_column

from towline.codec import decode
from towline.model import Revision
from towline_server.db.base import ExactText
from towline_server.db.clock import clock
from towline_server.db.jobs import Job
from towline_server.errors import existing
from towline_server.projects.tables import ProjectRow

from . import domain
from .run_log import decoded
from .states import ACTIVE, Fault, Outcome, ReasonCode, ResultClass, RunState

if TYPE_CHECKING:
    from .inputs import Inputs

_ACTIVE = text("state IN ('fetching', 'comparing', 'validating', 'applying') AND NOT is_parent")
_QUEUED = text("state = 'queued' AND NOT is_parent")
_BEGUN = text("started_at IS NOT NULL")
_FOLLOWED = text("backend_due_at IS NOT NULL")


class RunRow(Job):
    """One execution of a pull. `states` says what may become of it."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        UniqueConstraint("project_id", "request_key", "position"),
        # One run at a time works on a project, whatever executes it.
        Index(
            "ix_runs_active",
            "project_id",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        # The queue (`round_robin`).
        Index(
            "ix_runs_waiting",
            *("backend", "tenant_id", "created_at", "position", "id"),
            sqlite_where=_QUEUED,
            postgresql_where=_QUEUED,
        ),
        Index(
            "ix_runs_began",
            *("backend", "tenant_id", "started_at"),
            sqlite_where=_BEGUN,
            postgresql_where=_BEGUN,
        ),
        # What an orchestrator is to be asked about (`delegation`).
        Index(
            "ix_runs_backend_due_at",
            *("backend", "backend_due_at"),
            sqlite_where=_FOLLOWED,
            postgresql_where=_FOLLOWED,
        ),
        Index("ix_runs_project_id_created_at", "project_id", "created_at"),
        Index("ix_runs_tenant_id_created_at", "tenant_id", "created_at"),
        Index("ix_runs_sync_id_created_at", "sync_id", "created_at"),
        Index("ix_runs_batch_id", "batch_id"),
        Index("ix_runs_parent_id", "parent_id"),
        Index("ix_runs_attempt_root_id", "attempt_root_id"),
        Index("ix_runs_state", "state"),
        Index("ix_runs_completed_at", "completed_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    batch_id: Mapped[UUID | None]
    parent_id: Mapped[UUID | None]
    position: Mapped[int] = mapped_column(default=0)
    is_parent: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str | None] = mapped_column(ExactText())
    mode: Mapped[str]
    request: Mapped[dict[str, Any]]
    """As `towline.codec` encodes `domain.RunRequest`."""
    is_initial: Mapped[bool]

    triggered_by: Mapped[str]
    trigger_ref: Mapped[str | None] = mapped_column(ExactText())
    requested_by: Mapped[UUID | None]
    sync_id: Mapped[UUID | None]
    schedule_id: Mapped[UUID | None]
    request_key: Mapped[str | None] = mapped_column(ExactText())
    connection_id: Mapped[UUID | None]
    """What its project was bound to when it was requested; NULL: nothing."""
    host: Mapped[str | None] = mapped_column(ExactText())
    """The host of that connection, with its port."""

    state: Mapped[str]
    progress: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=1)
    attempt_root_id: Mapped[UUID]
    previous_attempt_id: Mapped[UUID | None]
    next_attempt_id: Mapped[UUID | None]
    auto_resumes: Mapped[int] = mapped_column(default=0)

    backend: Mapped[str]
    backend_run_ref: Mapped[str | None] = mapped_column(ExactText())
    """As `domain.RemoteRun`, which these four are; NULL: no orchestrator has been given it."""
    backend_run_url: Mapped[str | None] = mapped_column(ExactText())
    backend_status: Mapped[dict[str, Any] | None]
    backend_heartbeat_at: Mapped[datetime | None]
    backend_due_at: Mapped[datetime | None]
    """When its orchestrator is given it, or asked about it, next; NULL: never."""
    executor_id: Mapped[str | None] = mapped_column(ExactText())
    lease_token: Mapped[str | None] = mapped_column(ExactText())
    heartbeat_at: Mapped[datetime | None]

    not_before: Mapped[datetime | None]
    """When an attempt that was put off may begin."""

    cancel_requested_at: Mapped[datetime | None]
    cancel_requested_by: Mapped[str | None] = mapped_column(ExactText())
    cancel_reason: Mapped[str | None] = mapped_column(ExactText())

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]

    base_revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    base_committed_at: Mapped[datetime | None]
    target_revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    target_committed_at: Mapped[datetime | None]

    outcome: Mapped[str | None]
    result_class: Mapped[str | None]
    reason_code: Mapped[str | None]
    fault: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(ExactText())
    error_data: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None]
    merged: Mapped[int] = mapped_column(default=0)
    """How many assets its report lists as merged, for queries."""
    counts: Mapped[dict[str, Any] | None]
    """How many entries each list of the report has."""
    pull: Mapped[int | None] = mapped_column(BigInteger)
    phase_seconds: Mapped[dict[str, Any] | None]
    """How long each phase lasted, by the executor's clock; NULL: another process executed it."""
    log: Mapped[list[Any] | None]
    """As `towline_server.runs.run_log` encodes it; NULL: another process executed it."""
    windows_pulled: Mapped[int | None]
    """Of a parent with a child for each window, how many were pulled."""
    windows_left: Mapped[int | None]
    """How many windows follow, of a child; of a parent, of its last child that succeeded."""


# To alias a table copies each of its columns: it is done once.
_BUSY = aliased(RunRow, name="busy")


def hold_projects(session: Session, run_ids: Collection[UUID]) -> None:
    """Lock the projects of runs against deletion, to the end of the transaction.

    Call it before a run's row is locked or written in a transaction that locks more rows.
    """
    if session.get_bind().dialect.name == "sqlite":
        return  # it has one writer
    mine = select(RunRow.project_id).where(RunRow.id.in_(run_ids))
    ordered = select(ProjectRow.id).where(ProjectRow.id.in_(mine)).order_by(ProjectRow.id)
    session.execute(ordered.with_for_update(read=True, key_share=True))


def find_row(session: Session, run_id: UUID, *, lock: bool = False) -> RunRow:
    """Return the current row of a run, and ``lock`` it to the end of the transaction.

    Raises:
        NotFound: there is none.
    """
    if lock:
        hold_projects(session, [run_id])
    locked = True if lock else None
    found = session.get(RunRow, run_id, with_for_update=locked, populate_existing=True)
    return existing(found, "run")


def children_of(parent_id: UUID, *, newest_first: bool = False) -> Select[RunRow]:
    """Select the last attempt of each of a parent's children, in their order or its reverse."""
    mine = select(RunRow).where(RunRow.parent_id == parent_id, RunRow.next_attempt_id.is_(None))
    order = (RunRow.position.desc(),) if newest_first else (RunRow.position, RunRow.id)
    return mine.order_by(*order).execution_options(populate_existing=True)


def waits(run: type[RunRow]) -> ColumnElement[bool]:
    """Match the runs that wait, in the words of the index: an alias of `RunRow`, or itself."""
    name = getattr(inspect(run).selectable, "name", RunRow.__tablename__)
    return literal_column(f"({name}.state = 'queued' AND NOT {name}.is_parent)")


def is_free(run: type[RunRow]) -> ColumnElement[bool]:
    """Match the runs on whose project no other run works."""
    active: ColumnElement[bool] = literal_column(
        "(busy.state IN ('fetching', 'comparing', 'validating', 'applying') AND NOT busy.is_parent)"
    )
    return ~exists().where(_BUSY.project_id == run.project_id, active)


def find_now(session: Session, run_id: UUID) -> tuple[RunRow, datetime]:
    """Return a run's row, locked, and the time by the database's clock.

    The caller has locked its project.

    Raises:
        NotFound: there is none.
    """
    locked = select(RunRow, clock(session)).where(RunRow.id == run_id).with_for_update(of=RunRow)
    found = session.execute(locked.execution_options(populate_existing=True)).first()
    row, now = existing(found, "run")
    return row, now


def held_by(lease: domain.Lease) -> tuple[ColumnElement[bool], ...]:
    """Match the run that a lease holds, unless it is to stop."""
    return (
        RunRow.id == lease.run_id,
        RunRow.lease_token == lease.token,
        RunRow.state.in_(ACTIVE),
        RunRow.cancel_requested_at.is_(None),
    )


def run_of(row: RunRow) -> domain.Run:
    """Return the run of a row."""
    return replace(_listed(row), report=row.report, log=decoded(row.log))


def list_runs(session: Session, query: Select[RunRow]) -> tuple[domain.Run, ...]:
    """Return the runs of a query without their reports and logs, which may be large."""
    unread = (defer(RunRow.report, raiseload=True), defer(RunRow.log, raiseload=True))
    return tuple(map(_listed, session.scalars(query.options(*unread))))


def _listed(row: RunRow) -> domain.Run:
    return domain.Run(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        batch_id=row.batch_id,
        parent_id=row.parent_id,
        position=row.position,
        is_parent=row.is_parent,
        request=decode(domain.RunRequest, row.request, "request"),
        trigger=domain.Trigger(
            by=domain.TriggeredBy(row.triggered_by),
            ref=row.trigger_ref,
            requested_by=row.requested_by,
            sync_id=row.sync_id,
            schedule_id=row.schedule_id,
            key=row.request_key,
        ),
        connection_id=row.connection_id,
        is_initial=row.is_initial,
        state=RunState(row.state),
        progress=row.progress,
        attempts=domain.Attempts(
            number=row.attempt,
            root_id=row.attempt_root_id,
            previous_id=row.previous_attempt_id,
            next_id=row.next_attempt_id,
            auto_resumes=row.auto_resumes,
            not_before=row.not_before,
        ),
        executor=domain.Executor(
            backend=domain.BackendName(row.backend),
            id=row.executor_id,
            heartbeat_at=row.heartbeat_at,
            lease_until=row.lease_until,
            remote=_remote(row),
        ),
        cancellation=_cancellation(row),
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        updated_at=row.updated_at,
        base_revision=row.base_revision,
        base_committed_at=row.base_committed_at,
        target_revision=row.target_revision,
        target_committed_at=row.target_committed_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        result_class=None if row.result_class is None else ResultClass(row.result_class),
        reason_code=None if row.reason_code is None else ReasonCode(row.reason_code),
        error=_error(row),
        report=None,
        counts=row.counts,
        merged=row.merged,
        pull=row.pull,
        phase_seconds=row.phase_seconds,
        windows=_windows(row),
    )


def lease_of(row: RunRow, token: str, inputs: Inputs | None = None) -> domain.Lease:
    """Return the lease of a run that has this token."""
    return domain.Lease(
        run_id=row.id,
        project_id=row.project_id,
        tenant_id=row.tenant_id,
        host=row.host,
        parent_id=row.parent_id,
        token=token,
        inputs=inputs,
    )


def _remote(row: RunRow) -> domain.RemoteRun | None:
    if row.backend_run_ref is None or row.backend_status is None:
        return None
    return domain.RemoteRun(
        ref=row.backend_run_ref,
        url=row.backend_run_url,
        state=domain.RemoteState(row.backend_status["state"]),
        details={key: value for key, value in row.backend_status.items() if key != "state"},
        heartbeat_at=row.backend_heartbeat_at,
    )


def _windows(row: RunRow) -> domain.WindowCount | None:
    if row.windows_pulled is None:
        return None
    return domain.WindowCount(pulled=row.windows_pulled, left=row.windows_left)


def _cancellation(row: RunRow) -> domain.Cancellation | None:
    if row.cancel_requested_at is None:
        return None
    return domain.Cancellation(
        at=row.cancel_requested_at, by=row.cancel_requested_by, reason=row.cancel_reason
    )


def _error(row: RunRow) -> domain.RunError | None:
    if row.error_code is None:
        return None
    return domain.RunError(
        code=row.error_code,
        message=row.error_message or "",
        fault=Fault(row.fault or Fault.INTERNAL),
        data=row.error_data or {},
    )
