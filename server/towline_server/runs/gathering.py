"""Runs that stand for others: a parent's state follows from its children's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.plan import LISTED
from towline.report import Status

from . import tables
from .announcing import announce_end
from .rows import find_row
from .states import ACTIVE, RESULTS, Outcome, ReasonCode, ResultClass, RunState


def gather(session: Session, parent_id: UUID | None, now: datetime) -> None:
    """Bring a parent up to date with its children; in the transaction that changed one of them."""
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
