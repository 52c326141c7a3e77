"""How a run ends: what is written, by whom, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from towline.conflicts import unresolved
from towline.errors import Cancelled, StoreError, TowlineError
from towline.report import Report, Status, report_json
from towline_server import logs, metrics
from towline_server.db.session import once_committed
from towline_server.errors import DiskFull, ExecutorFailed, LeaseLost

from . import tables
from .attempts import Retries, resumed
from .domain import RunError
from .leases import Lease, check_held
from .parents import announce_end, update_parent
from .rows import find_row
from .states import RESULTS, Outcome, ReasonCode, ResultClass, RunState, failure_of, may_follow

_LOG = logging.getLogger("towline.runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A terminal state with all that belongs to it."""

    state: RunState
    result_class: ResultClass
    outcome: Outcome | None = None
    reason_code: ReasonCode | None = None
    error: RunError | None = None
    report: dict[str, Any] | None = None
    pull: int | None = None
    retry_after: float | None = None
    """After how many seconds the remote wants to be asked again."""


def succeeded(report: Report, *, pull: int | None = None) -> Ending:
    """The end of a run that did, or in a dry run would do, what its report says."""
    if report.conflicts:
        outcome = Outcome.PARTIAL
    elif report.status is Status.UPDATED:
        outcome = Outcome.CHANGED
    else:
        outcome = Outcome.UNCHANGED
    return Ending(
        state=RunState.SUCCEEDED,
        result_class=RESULTS[outcome],
        outcome=outcome,
        report=report_json(report),
        pull=pull,
    )


def refused(report: Report) -> Ending:
    """The end of a run whose policy does not settle every conflict."""
    return failed(unresolved(report.conflicts), report=report_json(report))


def failed(error: BaseException, *, report: dict[str, Any] | None = None) -> Ending:
    """The end of a run that an error stopped; a cancelled one is no failure."""
    meaning = failure_of(type(error))
    cancelled = isinstance(error, Cancelled)
    return Ending(
        state=RunState.CANCELLED if cancelled else RunState.FAILED,
        result_class=meaning.result,
        reason_code=meaning.reason,
        error=run_error(error),
        report=report,
        retry_after=getattr(error, "retry_after", None),
    )


def run_error(error: BaseException) -> RunError:
    """An error as a run keeps it, without anything that only its operator may read."""
    fault = failure_of(type(error)).fault
    if not isinstance(error, TowlineError):
        error = ExecutorFailed()
    if isinstance(error, StoreError) and not isinstance(error, DiskFull):
        # Its problem is the database's own words.
        shown = "the project's store failed; nothing was changed"
        return RunError(code=error.code, message=shown, fault=fault)
    if isinstance(error, DiskFull):
        return RunError(code=error.code, message=error.message, fault=fault)
    return RunError(code=error.code, message=error.message, fault=fault, data=error.data())


def end_held(
    session: Session, lease: Lease, ending: Ending, now: datetime, retries: Retries = Retries()
) -> None:
    """End the run that this lease holds. The last write of its executor.

    What may pass by itself is tried again later, by an attempt that is linked to the run.

    Raises:
        LeaseLost: the run is not held by this lease; the caller's transaction must not commit.
        Cancelled: it was asked to stop, and this is another end.
        NotFound: it was deleted with its project.
    """
    row = find_row(session, lease.run_id, lock=True)
    if ending.state is RunState.SUCCEEDED:
        check_held(session, lease)
    if row.lease_token != lease.token or not RunState(row.state).is_active:
        raise LeaseLost(run_id=str(lease.run_id))
    if row.cancel_requested_at is not None:
        # Whatever stopped it, it was asked to stop, and is not tried again.
        ending = failed(Cancelled())
    passes = ending.result_class is ResultClass.RETRYABLE_FAILURE
    if passes and row.next_attempt_id is None and row.auto_resumes < retries.most:
        # First: a parent that looks at its children when this ends must see that one follows.
        not_before = now + retries.delay(row.auto_resumes, ending.retry_after)
        resumed(session, row, now, counted=True, not_before=not_before)
    write_end(session, row, ending, now)


def end_unheld(session: Session, run_id: UUID, ending: Ending, now: datetime) -> bool:
    """End a run over the head of whoever executes it; False if it has ended already."""
    row = find_row(session, run_id, lock=True)
    if RunState(row.state).is_terminal:
        return False
    write_end(session, row, ending, now)
    return True


def write_end(session: Session, row: tables.Run, ending: Ending, now: datetime) -> None:
    """Write a run's end into its row, which the caller has locked."""
    assert may_follow(RunState(row.state), ending.state), f"{row.state} to {ending.state}"
    row.state = ending.state
    row.result_class = ending.result_class
    row.outcome, row.reason_code = ending.outcome, ending.reason_code
    if ending.state is RunState.SUCCEEDED:
        row.progress = 100
    if ending.error is not None:
        row.fault, row.error_code = ending.error.fault, ending.error.code
        row.error_message, row.error_data = ending.error.message, ending.error.data
    row.report, row.pull = ending.report, ending.pull
    row.completed_at = row.updated_at = now
    # Nobody holds what has ended.
    row.lease_token = row.lease_until = None
    session.flush()
    announce_end(session, row, now)
    once_committed(session, partial(_tell, row.id, row.project_id, ending, row.started_at, now))
    update_parent(session, row.parent_id, now)


def _tell(
    run_id: UUID, project_id: UUID, ending: Ending, began: datetime | None, ended: datetime
) -> None:
    """Log and count an end; a parent's is the sum of its children's, and is not counted."""
    about = {"state": ending.state, "reason": ending.reason_code, "outcome": ending.outcome}
    with logs.about(run_id=str(run_id), project_id=str(project_id)):
        _LOG.info("run ended", extra=about)
    took = None if began is None else ended - began
    metrics.run_ended(ending.state, ending.reason_code, took)
