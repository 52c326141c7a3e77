"""Connections: syncs of one kind each, requested by the connection that their project pulls from.

A sync is a run with its further attempts: it has the first one's id, and the last one's state.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from towline_server.auth.roles import Principal, Role, authorise
from towline_server.dialects.models import Opened
from towline_server.projects.domain import Connection, Project
from towline_server.runs.domain import Run, Trigger, TriggeredBy
from towline_server.runs.listing import RunFilter
from towline_server.runs.service import Runs
from towline_server.runs.states import RunState
from towline_server.services import Services
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import problems

_PREFIX = "/v2/integrations"
_FORMS = (Form.BEARER_JWT, Form.BEARER_KEY)

router = APIRouter(
    prefix=_PREFIX,
    route_class=idempotent(*_FORMS),
    responses=problems(),
)

Caller = Annotated[Principal, Depends(authenticated(*_FORMS))]


class ConnectionsSyncStatus(StrEnum):
    """The status of a sync."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLED = "cancelled"
    FAILED = "failed"
    PENDING_RETRY = "pending_retry"
    COMPLETE = "complete"


class Sync(BaseModel):
    """One pull of one kind of asset."""

    created_at: datetime
    modified_at: datetime | None
    id: str
    status: ConnectionsSyncStatus
    attempt: int
    """The number of its tries; 0: not yet."""
    batch_id: UUID | None
    completed_at: datetime | None
    entity_id: str | None
    error: str | None
    file_id: str | None
    is_initial_sync: bool
    is_one_off: bool
    model_id: str
    """The kind of asset."""
    pagination_state: dict[str, Any]
    started_at: datetime | None
    timerange_end: datetime | None
    timerange_start: datetime | None
    object: Literal["sync"] = "sync"


# --- routes -----------------------------------------------------------------------------------


@router.post("/connections/{connection_id}/sync")
def request_sync(services: Opened, caller: Caller, connection_id: str) -> list[Sync]:
    """Request a sync of every kind of asset behind a connection, in one batch.

    Each of several projects behind it has syncs of its own, by ``pagination_state.project_id``.
    """
    _, projects = _connection(services, caller, connection_id)
    for project in projects:
        authorise(caller, project, Role.WRITER)
    trigger, batch_id = Trigger(requested_by=caller.id), uuid4()
    return [
        # As the product's page shows the response; the next one shows it queued.
        _sync([run]).model_copy(update={"status": ConnectionsSyncStatus.SCHEDULED})
        for project in projects
        for run in services.runs.request_kinds(
            project.id,
            [kind.name for kind in project.kinds.kinds],
            trigger=trigger,
            batch_id=batch_id,
        )
    ]


@router.get("/connections/{connection_id}/syncs")
def list_syncs(
    services: Opened,
    caller: Caller,
    connection_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> list[Sync]:
    """List the syncs of a connection, the newest first."""
    connection, projects = _connection(services, caller, connection_id)
    shown = RunFilter(
        connection_id=connection.id,
        project_ids=tuple(project.id for project in projects),
        of_one_kind=True,
        latest_attempts=True,
    )
    page = services.runs.page(shown, limit=limit, offset=offset)
    return [_of_attempt(services.runs, run) for run in page.runs]


@router.get("/syncs/{sync_id}")
def get_sync(services: Opened, caller: Caller, sync_id: str) -> Sync:
    """Return a sync."""
    return _of_attempt(services.runs, _find(services, caller, sync_id, Role.READER))


@router.post("/syncs/{sync_id}/cancel")
def cancel_sync(services: Opened, caller: Caller, sync_id: str) -> Sync:
    """Cancel a sync; one that has ended, or was cancelled, stays as it is."""
    run = _find(services, caller, sync_id, Role.WRITER)
    last = services.runs.attempts(run.id)[-1]
    cancelled = services.runs.cancel(last.id, by=str(caller.id))
    return _of_attempt(services.runs, cancelled)


# --- runs as syncs ----------------------------------------------------------------------------


def _find(services: Services, caller: Principal, sync_id: str, needed: Role) -> Run:
    run_id = access.parse_id(sync_id, "sync")
    return access.run_of_one_kind(services, caller, run_id, needed, "sync")


def _connection(
    services: Services, caller: Principal, connection_id: str
) -> tuple[Connection, tuple[Project, ...]]:
    return access.connection(services, caller, access.parse_id(connection_id, "connection"))


def _of_attempt(runs: Runs, run: Run) -> Sync:
    """Return the sync that a run is an attempt at."""
    alone = run.attempts.previous_id is None and run.attempts.next_id is None
    return _sync([run] if alone else runs.attempts(run.id))


def _sync(attempts: Sequence[Run]) -> Sync:
    first, last = attempts[0], attempts[-1]
    kind = last.request.kind
    assert kind is not None, "a sync is of one kind"
    return Sync(
        created_at=first.created_at,
        modified_at=None if last.updated_at == first.created_at else last.updated_at,
        id=str(first.id),
        status=_status(last),
        attempt=last.tries,
        batch_id=first.batch_id,
        completed_at=last.completed_at,
        entity_id=None,
        error=_error(attempts),
        file_id=None,
        is_initial_sync=first.is_initial,
        is_one_off=first.trigger.schedule_id is None,
        model_id=kind,
        pagination_state={
            "project_id": str(last.project_id),
            "phase": str(last.state),
            "target_revision": last.target_revision,
            "merged": last.merged,
        },
        started_at=first.started_at or last.started_at,
        timerange_end=last.target_committed_at,
        timerange_start=last.base_committed_at,
    )


_STATUSES = {
    RunState.QUEUED: ConnectionsSyncStatus.QUEUED,
    RunState.SUCCEEDED: ConnectionsSyncStatus.COMPLETE,
    RunState.CANCELLED: ConnectionsSyncStatus.CANCELLED,
    RunState.FAILED: ConnectionsSyncStatus.FAILED,
}


def _status(run: Run) -> ConnectionsSyncStatus:
    """Return the status of a sync from its last attempt."""
    if run.state is RunState.QUEUED and run.trigger.by is TriggeredBy.AUTO_RESUME:
        return ConnectionsSyncStatus.PENDING_RETRY
    return _STATUSES.get(run.state, ConnectionsSyncStatus.RUNNING)


def _error(attempts: Sequence[Run]) -> str | None:
    """Return why the sync failed, or why it waits for its next attempt."""
    run = attempts[-1]
    if _status(run) is ConnectionsSyncStatus.PENDING_RETRY:
        run = attempts[-2]
    return run.error.message if run.error and run.state is RunState.FAILED else None


DIALECT = Dialect(
    tag="Connections",
    description="Syncs of one kind of asset each, by connection.",
    router=router,
    prefixes=(_PREFIX,),
)
