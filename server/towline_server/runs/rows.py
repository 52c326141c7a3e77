"""Rows to runs, and the order in which they are locked.

A project comes before its runs, as deleting it takes both; a run before the one that comprises it,
and that before the webhooks that are told. Whoever keeps to it waits in no circle.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.codec import decode
from towline_server.errors import NotFound
from towline_server.projects.tables import Project

from . import tables
from .domain import (
    Attempts,
    BackendName,
    Cancellation,
    Executor,
    Origin,
    Run,
    RunError,
    RunRequest,
    TriggeredBy,
)
from .states import Fault, Outcome, ReasonCode, ResultClass, RunState


def hold_projects(session: Session, run_ids: Collection[UUID]) -> None:
    """Keep the projects of runs from being deleted to the end of the transaction.

    To be called before a run's row is locked or written, where more rows follow.
    """
    if session.get_bind().dialect.name == "sqlite":
        return  # it has one writer
    mine = select(tables.Run.project_id).where(tables.Run.id.in_(run_ids))
    ordered = select(Project.id).where(Project.id.in_(mine)).order_by(Project.id)
    session.execute(ordered.with_for_update(read=True, key_share=True))


def find_row(session: Session, run_id: UUID, *, lock: bool = False) -> tables.Run:
    """The row of a run as it stands now; ``lock`` holds it to the end of the transaction.

    Raises:
        NotFound: there is none.
    """
    if lock:
        hold_projects(session, [run_id])
    row = session.get(
        tables.Run, run_id, with_for_update=True if lock else None, populate_existing=True
    )
    if row is None:
        raise NotFound(what="run")
    return row


def run_of(row: tables.Run) -> Run:
    """The run that a row holds."""
    return Run(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        batch_id=row.batch_id,
        parent_id=row.parent_id,
        position=row.position,
        is_parent=row.is_parent,
        request=decode(RunRequest, row.request, "request"),
        origin=_origin(row),
        connection_id=row.connection_id,
        is_initial=row.is_initial,
        state=RunState(row.state),
        progress=row.progress,
        attempts=Attempts(
            number=row.attempt,
            root_id=row.attempt_root_id,
            previous_id=row.previous_attempt_id,
            next_id=row.next_attempt_id,
            auto_resumes=row.auto_resumes,
            not_before=row.not_before,
        ),
        executor=_executor(row),
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
        report=row.report,
        pull=row.pull,
    )


def _origin(row: tables.Run) -> Origin:
    return Origin(
        by=TriggeredBy(row.triggered_by),
        ref=row.trigger_ref,
        requested_by=row.requested_by,
        sync_id=row.sync_id,
        schedule_id=row.schedule_id,
        key=row.request_key,
    )


def _executor(row: tables.Run) -> Executor:
    return Executor(
        backend=BackendName(row.backend),
        id=row.executor_id,
        heartbeat_at=row.heartbeat_at,
        lease_until=row.lease_until,
    )


def _cancellation(row: tables.Run) -> Cancellation | None:
    if row.cancel_requested_at is None:
        return None
    return Cancellation(
        at=row.cancel_requested_at, by=row.cancel_requested_by, reason=row.cancel_reason
    )


def _error(row: tables.Run) -> RunError | None:
    if row.error_code is None:
        return None
    return RunError(
        code=row.error_code,
        message=row.error_message or "",
        fault=Fault(row.fault or Fault.INTERNAL),
        data=row.error_data or {},
    )
