"""Tells outbound webhooks of a run's end, in the transaction that writes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from towline.plan import LISTED
from towline_server.webhooks.domain import Event, EventType
from towline_server.webhooks.outbox import announce

from . import tables
from .states import ResultClass, RunState

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
