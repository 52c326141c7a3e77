"""The state of a run that has children, made of theirs; and the child of each window that follows.

The caller has locked the parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from towline.errors import Cancelled

from .attempts import follow_window
from .combined_reports import count_entries, merge_kinds, merge_windows
from .domain import RunMode, merged_in
from .states import ACTIVE, RESULTS, Outcome, ResultClass, RunState, failure_of
from .tables import RunRow, children_of
from .windows import MOST_WINDOWS


def combine(session: Session, parent: RunRow, now: datetime) -> bool:
    """Write a parent's state as that of its children; return whether it has ended with them."""
    if parent.windows_pulled is not None:
        return _combine_windows(session, parent, parent.windows_pulled, now)
    children = session.scalars(children_of(parent.id)).all()
    ended = [100 if RunState(child.state).is_terminal else child.progress for child in children]
    _note(parent, children, sum(ended) // max(1, len(ended)))
    if not all(RunState(child.state).is_terminal for child in children):
        return False
    parent.report = merge_kinds([child.report for child in children if child.report is not None])
    _end(parent, children, now)
    return True


def _combine_windows(session: Session, parent: RunRow, pulled: int, now: datetime) -> bool:
    """Do the same for a parent whose children follow each other; add the one that is next."""
    child = session.scalars(children_of(parent.id, newest_first=True).limit(1)).one()
    left = child.windows_left
    if child.state == RunState.SUCCEEDED and parent.mode != RunMode.DRY_RUN:
        nothing_new = child.base_revision == child.target_revision
        pulled, left = child.position - nothing_new, left or 0
        parent.windows_pulled, parent.windows_left = pulled, left
        if left and child.position < MOST_WINDOWS and parent.cancel_requested_at is None:
            follow_window(session, parent, child, now)
            _note(parent, [child], 100 * pulled // _all(pulled, left))
            return False
    elif not RunState(child.state).is_terminal:
        # How many there are is known once the first one has read the history.
        known = 0 if left is None else (100 * pulled + child.progress) // _all(pulled, left + 1)
        _note(parent, [child], known)
        return False
    elif parent.windows_left is None and left is not None:
        parent.windows_left = left + 1
    children = session.scalars(children_of(parent.id)).all()
    reports = [each.report for each in children if each.report is not None]
    failed = child.report is not None and child.state != RunState.SUCCEEDED
    parent.report = merge_windows(reports[:-1] if failed else reports, child.report)
    _end(parent, children, now)
    if parent.state == RunState.SUCCEEDED and left and parent.cancel_requested_at is not None:
        _write_cancelled(parent)
    return True


def _all(pulled: int, left: int) -> int:
    return max(1, min(MOST_WINDOWS, pulled + left))


def _note(parent: RunRow, children: Sequence[RunRow], progress: int) -> None:
    """Write how far a parent is; neither its progress nor its phase falls back."""
    parent.progress = max(parent.progress, min(99, progress))
    started = [child.started_at for child in children if child.started_at is not None]
    if parent.started_at is None:
        parent.started_at = min(started, default=None)
    if parent.started_at is not None:
        phases = [RunState(each.state) for each in (*children, parent)]
        reached = [ACTIVE.index(phase) for phase in phases if phase in ACTIVE]
        parent.state = ACTIVE[max(reached, default=0)]


def _end(parent: RunRow, children: Sequence[RunRow], now: datetime) -> None:
    parent.completed_at = now
    parent.merged, parent.counts = merged_in(parent.report), count_entries(parent.report)
    states = {RunState(child.state) for child in children}
    if states == {RunState.SUCCEEDED}:
        parent.state, parent.progress = RunState.SUCCEEDED, 100
        outcomes = {child.outcome for child in children}
        best = (Outcome.PARTIAL, Outcome.CHANGED)
        outcome = next((each for each in best if each in outcomes), Outcome.UNCHANGED)
        parent.outcome, parent.result_class = outcome, RESULTS[outcome]
        return
    worst = next(
        child for state in (RunState.FAILED, RunState.CANCELLED) for child in children
        if child.state == state
    )  # fmt: skip
    for name in ("state", "fault", "error_code", "error_message", "error_data"):
        setattr(parent, name, getattr(worst, name))
    parent.reason_code = worst.reason_code or failure_of(Cancelled).reason
    some = RunState.SUCCEEDED in states and worst.state == RunState.FAILED
    parent.result_class = ResultClass.PARTIAL_SUCCESS if some else worst.result_class


def _write_cancelled(parent: RunRow) -> None:
    """Write that a parent was stopped between two of its children."""
    meaning, error = failure_of(Cancelled), Cancelled()
    parent.state, parent.outcome = RunState.CANCELLED, None
    parent.result_class, parent.reason_code = meaning.result, meaning.reason
    parent.fault, parent.error_code, parent.error_message = meaning.fault, error.code, error.message
    parent.error_data = error.data()
