"""The end of a run: its parent's state, which follows from its children's, and its event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.plan import LISTED
from towline.report import Status
from towline_server.webhooks.domain import Event, EventType
from towline_server.webhooks.outbox import announce

from . import tables
from .rows import find_row
from .states import ACTIVE, RESULTS, Outcome, ReasonCode, ResultClass, RunState


def update_parent(session: Session, parent_id: UUID | None, now: datetime) -> None:
    """Derive a parent's state from its children; in the transaction that changed one of them."""
    if parent_id is None:
        return
    # The lock makes two children that end at once take turns: the second sees both.
    parent = find_row(session, parent_id, lock=True)
    if RunState(parent.state).is_terminal:
        return
    children = latest_children(session, parent_id)
    parent.updated_at = now
    parent.progress = max(parent.progress, min(99, _mean(children)))
    started = [child.started_at for child in children if child.started_at is not None]
    parent.started_at = min(started, default=None)
    if all(RunState(child.state).is_terminal for child in children):
        _end(parent, children, now)
        announce_end(session, parent, now)
    elif parent.started_at is not None:
        parent.state = _phase(children, RunState(parent.state))
    session.flush()


def latest_children(session: Session, parent_id: UUID) -> Sequence[tables.Run]:
    """A parent's children, the last attempt of each, in their order."""
    mine = select(tables.Run).where(
        tables.Run.parent_id == parent_id, tables.Run.next_attempt_id.is_(None)
    )
    ordered = mine.order_by(tables.Run.position, tables.Run.id)
    return session.scalars(ordered.execution_options(populate_existing=True)).all()


def _mean(children: Sequence[tables.Run]) -> int:
    ended = (100 if RunState(child.state).is_terminal else child.progress for child in children)
    return sum(ended) // max(1, len(children))


def _phase(children: Sequence[tables.Run], before: RunState) -> RunState:
    """The furthest phase that any child is in; it does not fall back between two of them."""
    phases = [RunState(child.state) for child in children]
    reached = [ACTIVE.index(phase) for phase in [*phases, before] if phase in ACTIVE]
    return ACTIVE[max(reached, default=0)]


def _end(parent: tables.Run, children: Sequence[tables.Run], now: datetime) -> None:
    parent.completed_at = now
    parent.report = _merged([child.report for child in children if child.report is not None])
    states = {RunState(child.state) for child in children}
    if states == {RunState.SUCCEEDED}:
        parent.state, parent.progress = RunState.SUCCEEDED, 100
        outcome = _outcome({Outcome(child.outcome) for child in children if child.outcome})
        parent.outcome, parent.result_class = outcome, RESULTS[outcome]
        return
    worst = next(
        child for state in (RunState.FAILED, RunState.CANCELLED) for child in children
        if child.state == state
    )  # fmt: skip
    parent.state = worst.state
    parent.reason_code, parent.fault = worst.reason_code, worst.fault
    parent.error_code, parent.error_message = worst.error_code, worst.error_message
    parent.error_data = worst.error_data
    some = RunState.SUCCEEDED in states and worst.state == RunState.FAILED
    parent.result_class = ResultClass.PARTIAL_SUCCESS if some else worst.result_class
    if worst.reason_code is None:
        parent.reason_code = ReasonCode.USER_CANCELLED


def _outcome(outcomes: set[Outcome]) -> Outcome:
    for outcome in (Outcome.PARTIAL, Outcome.CHANGED):
        if outcome in outcomes:
            return outcome
    return Outcome.UNCHANGED


def _merged(reports: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """One report of several: each asset is of one kind, so the lists are disjoint.

    The exception is a non-asset, which every child sees changed; it is listed once.
    """
    if not reports:
        return None
    merged = {**reports[0], "base": reports[0]["base"], "revision": reports[-1]["revision"]}
    for name in (*(str(each) for each in LISTED), "conflicts", "error_msgs"):
        entries: list[Any] = []
        for report in reports:
            entries += [entry for entry in report[name] if entry not in entries]
        merged[name] = entries
    for status in (Status.CONFLICTS, Status.UPDATED):
        if any(report["status"] == status for report in reports):
            merged["status"] = str(status)
            break
    return merged


_TYPES = {
    RunState.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELLED: EventType.RUN_CANCELLED,
}


def announce_end(session: Session, row: tables.Run, now: datetime) -> None:
    """Announce the end that a run's row holds; the caller writes it once."""
    announce(
        session,
        Event(
            type=_TYPES[RunState(row.state)],
            tenant_id=row.tenant_id,
            project_id=row.project_id,
            at=now,
            data=_data(row),
        ),
    )


def _data(row: tables.Run) -> dict[str, Any]:
    """The run under the names that the native API has for it; no contents, no paths."""
    as_they_are = (
        "mode kind triggered_by trigger_ref state outcome result_class reason_code "
        "base_revision target_revision pull attempt"
    )
    ids = "batch_id parent_id requested_by attempt_root_id previous_attempt_id next_attempt_id"
    times = "created_at started_at completed_at"
    retried = row.result_class == ResultClass.RETRYABLE_FAILURE and row.next_attempt_id is not None
    error = None
    if row.error_code is not None:
        error = {"code": row.error_code, "message": row.error_message}
    return {
        "run_id": str(row.id),
        **{name: getattr(row, name) for name in as_they_are.split()},
        **{name: _id(getattr(row, name)) for name in ids.split()},
        **{name: _time(getattr(row, name)) for name in times.split()},
        "will_be_retried": retried,
        "error": error,
        "counts": _counts(row.report),
    }


def _counts(report: Mapping[str, Any] | None) -> dict[str, int] | None:
    """How long the lists of a report are."""
    if report is None:
        return None
    return {str(name): len(report[name]) for name in (*LISTED, "conflicts")}


def _id(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
