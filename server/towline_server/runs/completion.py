"""How a run ends: what is written, once, with its parent's state and its webhook event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.conflicts import unresolved
from towline.errors import Cancelled, StoreError, TowlineError
from towline.frozen import frozen
from towline.report import Report, Status, report_json
from towline_server import logs, metrics
from towline_server.db.clock import database_now
from towline_server.db.jobs import RetryPolicy, release
from towline_server.db.session import once_committed
from towline_server.errors import DiskFull, ExecutorFailed, LeaseLost
from towline_server.webhooks.deliveries import announce
from towline_server.webhooks.domain import Event, EventType

from .attempts import RETRIES, resume
from .combined_reports import count_entries
from .domain import Lease, RunError, merged_in
from .parents import combine
from .states import (
    ACTIVE,
    RESULTS,
    Outcome,
    ReasonCode,
    ResultClass,
    RunState,
    failure_of,
    may_reach,
)
from .tables import RunRow, find_now, find_row, held_by, hold_projects

_LOG = logging.getLogger("towline.runs")


@frozen(kw_only=True)
class Completion:
    """A terminal state, and what a run's row stores with it."""

    state: RunState
    result_class: ResultClass
    outcome: Outcome | None = None
    reason_code: ReasonCode | None = None
    error: RunError | None = None
    report: dict[str, Any] | None = None
    pull: int | None = None
    retry_after: float | None = None
    """The delay in seconds that the remote requests before the next attempt."""


def succeeded(report: Report, *, pull: int | None = None) -> Completion:
    """Return the end of a run that did, or in a dry run would do, what its report says."""
    if report.conflicts:
        outcome = Outcome.PARTIAL
    elif report.status is Status.UPDATED:
        outcome = Outcome.CHANGED
    else:
        outcome = Outcome.UNCHANGED
    return Completion(
        state=RunState.SUCCEEDED,
        result_class=RESULTS[outcome],
        outcome=outcome,
        report=report_json(report),
        pull=pull,
    )


def refused(report: Report) -> Completion:
    """Return the end of a run whose policy leaves conflicts unresolved."""
    return failed(unresolved(report.conflicts), report=report_json(report))


def failed(error: BaseException, *, report: dict[str, Any] | None = None) -> Completion:
    """Return the end of a run that an error stopped; `Cancelled` cancels it."""
    meaning = failure_of(type(error))
    cancelled = isinstance(error, Cancelled)
    return Completion(
        state=RunState.CANCELLED if cancelled else RunState.FAILED,
        result_class=meaning.result,
        reason_code=meaning.reason,
        error=run_error(error),
        report=report,
        retry_after=getattr(error, "retry_after", None),
    )


def run_error(error: BaseException) -> RunError:
    """Return an error as a run stores it, without what only the operator may read."""
    fault = failure_of(type(error)).fault
    if not isinstance(error, TowlineError):
        error = ExecutorFailed()
    if not isinstance(error, StoreError):
        return RunError(code=error.code, message=error.message, fault=fault, data=error.data())
    # The problem of a store error is the database's own text.
    shown = "the project's store failed; nothing was changed"
    message = error.message if isinstance(error, DiskFull) else shown
    return RunError(code=error.code, message=message, fault=fault)


def check_lease(session: Session, lease: Lease) -> None:
    """Lock the run's row to the end of the transaction, if the lease still holds it.

    The caller has locked its project (`towline_server.runs.tables`).

    Raises:
        LeaseLost: the lease does not hold the run.
        Cancelled: the run is to stop.
    """
    found = select(RunRow.id).where(*held_by(lease)).with_for_update()
    if session.scalar(found) is None:
        raise lease_lost(session, lease)


def lease_lost(session: Session, lease: Lease) -> Exception:
    """Return the error of a lease that does not hold its run, or whose run is to stop."""
    requested = select(RunRow.cancel_requested_at).where(
        RunRow.id == lease.run_id,
        RunRow.lease_token == lease.token,
        RunRow.state.in_(ACTIVE),
    )
    if session.scalar(requested) is not None:
        return Cancelled()
    return LeaseLost(run_id=str(lease.run_id))


def complete(
    session: Session,
    lease: Lease,
    completion: Completion,
    now: datetime | None = None,
    retries: RetryPolicy = RETRIES,
    *,
    found: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """End the run that a lease holds; its executor writes nothing after it.

    A retryable failure is followed by a linked attempt. ``now`` is the time by the database's
    clock, where it was read. ``found`` are other columns of the run's row, by name.

    Raises:
        LeaseLost: the lease does not hold the run; the caller's transaction must not commit.
        Cancelled: the run is to stop, and the completion is a success.
        NotFound: it was deleted with its project.
    """
    hold_projects(session, [lease.run_id])
    complete_held(session, lease, completion, now, retries, found=found)


def complete_held(
    session: Session,
    lease: Lease,
    completion: Completion,
    now: datetime | None = None,
    retries: RetryPolicy = RETRIES,
    *,
    found: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """End a run as `complete` does, in a transaction that has locked its project."""
    row, read_at = find_now(session, lease.run_id)
    now = now or read_at
    if row.lease_token != lease.token or not RunState(row.state).is_active:
        raise LeaseLost(run_id=str(lease.run_id))
    for name, value in found.items():
        setattr(row, name, value)
    if row.cancel_requested_at is not None:
        if completion.state is RunState.SUCCEEDED:
            raise Cancelled
        # It was to stop, so it is cancelled and not retried, whatever stopped it.
        completion = failed(Cancelled())
    if completion.result_class is ResultClass.RETRYABLE_FAILURE and row.next_attempt_id is None:
        requested = timedelta(seconds=completion.retry_after or 0)
        delay = retries.delay(row.auto_resumes, requested)
        if delay is not None:
            # First, so that a parent which looks at its children sees that one follows.
            resume(session, row, now, counted=True, not_before=now + delay)
    write_completion(session, row, completion, now)


def write_completion(session: Session, row: RunRow, completion: Completion, now: datetime) -> None:
    """Write a run's end into its row, which the caller has locked."""
    assert may_reach(RunState(row.state), completion.state), f"{row.state} to {completion.state}"
    row.state = completion.state
    row.result_class = completion.result_class
    row.outcome, row.reason_code = completion.outcome, completion.reason_code
    if completion.state is RunState.SUCCEEDED:
        row.progress = 100
    if completion.error is not None:
        row.fault, row.error_code = completion.error.fault, completion.error.code
        row.error_message, row.error_data = completion.error.message, completion.error.data
    row.report, row.merged = completion.report, merged_in(completion.report)
    row.pull = completion.pull
    row.counts = count_entries(completion.report)
    row.completed_at = row.updated_at = now
    _follow_up(row, now)
    release(row)
    session.flush()
    _announce(session, row, now)
    waited = took = None
    if row.started_at is not None:
        waited = row.started_at - (row.not_before or row.created_at)
        took = now - row.started_at
    ended = partial(_log_end, row.id, row.project_id, completion, waited, took)
    once_committed(session, ended)
    update_parent(session, row.parent_id, now)


def request_cancel(session: Session, row: RunRow, by: str | None, reason: str | None) -> None:
    """Cancel a run whose row the caller has locked: at once when it waits, else soon.

    One that has ended, or is being cancelled, is left as it is.
    """
    noted_at = note_cancel(session, row, by, reason)
    if noted_at is not None and RunState(row.state) is RunState.QUEUED:
        write_completion(session, row, failed(Cancelled()), noted_at)
    session.flush()


def note_cancel(
    session: Session, row: RunRow, by: str | None, reason: str | None
) -> datetime | None:
    """Write that a run is to stop, and return when; None: it is, or has ended."""
    if RunState(row.state).is_terminal or row.cancel_requested_at is not None:
        return None
    now = database_now(session)
    row.cancel_requested_at = row.updated_at = now
    row.cancel_requested_by, row.cancel_reason = by, reason
    _follow_up(row, now)
    return now


def _follow_up(row: RunRow, now: datetime) -> None:
    """Have the run's orchestrator hear of it soon, if it has one."""
    if row.backend_due_at is not None:
        row.backend_due_at = now


def _log_end(
    run_id: UUID,
    project_id: UUID,
    completion: Completion,
    waited: timedelta | None,
    took: timedelta | None,
) -> None:
    # A parent's end is that of its children, and is not counted.
    about = {
        "state": completion.state,
        "reason": completion.reason_code,
        "outcome": completion.outcome,
    }
    with logs.about(run_id=str(run_id), project_id=str(project_id)):
        _LOG.info("run ended", extra=about)
    metrics.run_ended(completion.state, completion.reason_code, waited, took)


# --- parents ----------------------------------------------------------------------------------


def update_parent(session: Session, parent_id: UUID | None, now: datetime) -> None:
    """Derive a parent's state from its children, in the transaction that changed one of them."""
    if parent_id is None:
        return
    # The lock makes two children that end at once take turns: the second sees both.
    parent = find_row(session, parent_id, lock=True)
    if RunState(parent.state).is_terminal:
        return
    parent.updated_at = now
    if combine(session, parent, now):
        _announce(session, parent, now)
    session.flush()


# --- webhook events ---------------------------------------------------------------------------

_EVENTS = {
    RunState.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELLED: EventType.RUN_CANCELLED,
}
# The native API's names; no contents, no paths.
_PLAIN = (
    *("mode", "kind", "triggered_by", "trigger_ref", "state", "outcome", "result_class"),
    *("reason_code", "base_revision", "target_revision", "pull", "attempt"),
)
_IDS = (
    *("batch_id", "parent_id", "requested_by"),
    *("attempt_root_id", "previous_attempt_id", "next_attempt_id"),
)
_TIMES = ("created_at", "started_at", "completed_at")


def _announce(session: Session, row: RunRow, now: datetime) -> None:
    """Queue the event of a run's end, which the caller writes once."""
    retried = row.result_class == ResultClass.RETRYABLE_FAILURE and row.next_attempt_id is not None
    error = None
    if row.error_code is not None:
        error = {"code": row.error_code, "message": row.error_message}
    ids = {name: getattr(row, name) for name in _IDS}
    data = {
        "run_id": str(row.id),
        **{name: getattr(row, name) for name in _PLAIN},
        **{name: None if value is None else str(value) for name, value in ids.items()},
        **{name: _timestamp(getattr(row, name)) for name in _TIMES},
        "will_be_retried": retried,
        "error": error,
        "counts": row.counts,
    }
    event = Event(
        type=_EVENTS[RunState(row.state)],
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        at=now,
        data=data,
    )
    announce(session, event)


def _timestamp(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
