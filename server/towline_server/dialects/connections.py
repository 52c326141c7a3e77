"""Connections: syncs of one kind each, asked for by the connection that their project pulls from.

A sync is what all attempts at it try: it has the first attempt's id, and the last one's state.
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
from towline_server.runs.domain import Origin, Run, TriggeredBy
from towline_server.runs.service import Runs
from towline_server.runs.states import RunState
from towline_server.runs.tables import RunFilter
from towline_server.services import Services, services_of
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import problems

_PREFIX = "/v2/integrations"
_FORMS = (Form.BEARER_JWT, Form.BEARER_KEY)
_SYNC = "sync"

router = APIRouter(
    prefix=_PREFIX,
    route_class=idempotent(*_FORMS),
    responses=problems(),
)

Caller = Annotated[Principal, Depends(authenticated(*_FORMS))]
Opened = Annotated[Services, Depends(services_of)]


class SyncStatus(StrEnum):
    """How a sync stands."""

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
    status: SyncStatus
    attempt: int
    """How often it was tried; 0: not yet."""
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

    Of several projects behind it each has syncs of its own: ``pagination_state.project_id`` tells
    which.
    """
    wanted = access.parse_id(connection_id, "connection")
    _, projects = access.connection(services, caller, wanted)
    for project in projects:
        authorise(caller, project, Role.WRITER)
    origin, batch_id = Origin(requested_by=caller.id), uuid4()
    return [
        # As the product's page shows the answer; whoever looks again sees it queued.
        _sync([run]).model_copy(update={"status": SyncStatus.SCHEDULED})
        for project in projects
        for run in services.runs.request_kinds(
            project.id,
            [kind.name for kind in project.kinds.kinds],
            origin=origin,
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
    wanted = access.parse_id(connection_id, "connection")
    _, projects = access.connection(services, caller, wanted)
    shown = RunFilter(
        connection_id=wanted,
        project_ids=tuple(project.id for project in projects),
        of_one_kind=True,
        latest_attempts=True,
    )
    page = services.runs.page(shown, limit=limit, offset=offset)
    return [_of_attempt(services.runs, run) for run in page.runs]


@router.get("/syncs/{sync_id}")
def get_sync(services: Opened, caller: Caller, sync_id: str) -> Sync:
    """Look at a sync."""
    run = access.run_of_one_kind(
        services, caller, access.parse_id(sync_id, _SYNC), Role.READER, _SYNC
    )
    return _of_attempt(services.runs, run)


@router.post("/syncs/{sync_id}/cancel")
def cancel_sync(services: Opened, caller: Caller, sync_id: str) -> Sync:
    """Cancel a sync; one that has ended, or was cancelled, stays as it is."""
    run = access.run_of_one_kind(
        services, caller, access.parse_id(sync_id, _SYNC), Role.WRITER, _SYNC
    )
    last = services.runs.attempts(run.id)[-1]
    cancelled = services.runs.cancel(last.id, by=str(caller.id))
    return _of_attempt(services.runs, cancelled)


# --- runs as syncs ----------------------------------------------------------------------------


def _find(services: Services, caller: Principal, sync_id: str, needed: Role) -> Run:
    run_id = access.parse_id(sync_id, _SYNC)
    return access.run_of_one_kind(services, caller, run_id, needed, _SYNC)


def _of_attempt(runs: Runs, run: Run) -> Sync:
    """The sync that a run is an attempt at, as it stands now."""
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
        is_one_off=first.origin.schedule_id is None,
        model_id=kind,
        pagination_state=_position(last),
        started_at=first.started_at or last.started_at,
        timerange_end=last.target_committed_at,
        timerange_start=last.base_committed_at,
    )


def _status(run: Run) -> SyncStatus:
    """The status of a sync whose last attempt this is."""
    match run.state:
        case RunState.SUCCEEDED:
            return SyncStatus.COMPLETE
        case RunState.CANCELLED:
            return SyncStatus.CANCELLED
        case RunState.FAILED:
            return SyncStatus.FAILED
        case RunState.QUEUED:
            again = run.origin.by is TriggeredBy.AUTO_RESUME
            return SyncStatus.PENDING_RETRY if again else SyncStatus.QUEUED
        case _:
            return SyncStatus.RUNNING


def _error(attempts: Sequence[Run]) -> str | None:
    """Why the sync failed; while it waits to be tried again, why it has to be."""
    run = attempts[-1]
    if _status(run) is SyncStatus.PENDING_RETRY:
        run = attempts[-2]
    return run.error.message if run.error and run.state is RunState.FAILED else None


def _position(run: Run) -> dict[str, Any]:
    """Which project is synced, and from where that goes on, should its executor be lost."""
    return {
        "project_id": str(run.project_id),
        "phase": str(run.state),
        "target_revision": run.target_revision,
    }


DIALECT = Dialect(
    tag="Connections",
    description="Syncs of one kind of asset each, by connection.",
    router=router,
    prefixes=(_PREFIX,),
)
