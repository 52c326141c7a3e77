"""The routes of the Syncs API, and its envelope for refusals."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from towline.errors import InvalidValue
from towline_server.auth.roles import Principal, Role
from towline_server.dialects.models import Opened
from towline_server.errors import NotFound
from towline_server.problems import Failure
from towline_server.projects.asset_events import AssetEvents
from towline_server.projects.domain import Provider
from towline_server.runs.domain import Run, RunMode
from towline_server.runs.listing import RunFilter
from towline_server.runs.tables import children_of
from towline_server.services import Services
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import HEADER, idempotent
from towline_server.web.schemas import PlainText

from .catalog import KnownProvider, catalog
from .domain import RefusedSync, SyncStatus
from .requests import CancelBody, SyncChanges, SyncCreate, TriggerBody
from .responses import Catalog, Refusal, RunList, RunOut, SyncList, SyncOut
from .rows import sync_gauges
from .service import SyncFilter, Syncs

PREFIX = "/api/v1/syncs"
_FORMS = (Form.BEARER_JWT, Form.BEARER_KEY, Form.X_API_KEY, Form.COOKIE)

router = APIRouter(
    prefix=PREFIX,
    route_class=idempotent(*_FORMS),
    responses={status: {"model": Refusal} for status in (401, 403, 404, 409, 413, 422, 429)},
)

Caller = Annotated[Principal, Depends(authenticated(*_FORMS))]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
_OPTIONAL = Body(default=None)


async def _syncs(services: Opened, caller: Caller) -> Syncs:
    return Syncs(services, caller)


Mine = Annotated[Syncs, Depends(_syncs)]


# --- runs and catalogs: before the routes whose first word is any sync's id ---------------------


@router.get("/providers/{provider}/catalog")
def get_sync_provider_catalog(services: Opened, caller: Caller, provider: KnownProvider) -> Catalog:
    """Return what can be pulled from a sort of Git host; other sorts have no catalog."""
    if provider not in tuple(Provider):
        raise NotFound(what="provider")
    return catalog(services, caller, Provider(provider))


@router.get("/runs/{run_id}")
def get_sync_run(services: Opened, caller: Caller, run_id: UUID) -> RunOut:
    """Return a run."""
    return _render_run(services, _run(services, caller, run_id, Role.READER))


@router.post("/runs/{run_id}/cancel")
def cancel_sync_run(
    services: Opened, caller: Caller, run_id: UUID, body: CancelBody | None = _OPTIONAL
) -> RunOut:
    """Cancel a run; one that has ended, or is being cancelled, stays as it is."""
    run = _run(services, caller, run_id, Role.WRITER)
    reason = None if body is None else body.reason
    return _render_run(services, services.runs.cancel(run.id, by=str(caller.id), reason=reason))


@router.post("/runs/{run_id}/retry")
def retry_sync_run(
    services: Opened, caller: Caller, run_id: UUID, body: TriggerBody | None = _OPTIONAL
) -> RunOut:
    """Make a new attempt at a run that has ended; a second request returns the same one."""
    run = _run(services, caller, run_id, Role.WRITER)
    mode = None if body is None else body.run_mode
    return _render_new_run(services, services.runs.retry(run.id, mode=mode, requested_by=caller.id))


# --- syncs ------------------------------------------------------------------------------------


@router.get("")
def list_syncs(
    syncs: Mine,
    q: Annotated[PlainText | None, Query(description="Part of the name or the slug.")] = None,
    status: Annotated[list[SyncStatus] | None, Query()] = None,
    provider: Annotated[list[KnownProvider] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Offset = 0,
) -> SyncList:
    """List the syncs that the caller sees, newest first."""
    wanted = SyncFilter(q=q, statuses=status or (), providers=provider or ())
    found, total = syncs.page(wanted, limit=limit, offset=offset)
    return SyncList(
        syncs=[SyncOut.of(sync) for sync in found],
        total=total,
        limit=limit,
        offset=offset,
        has_next=offset + len(found) < total,
    )


@router.post("", status_code=201)
def create_sync(syncs: Mine, body: SyncCreate, response: Response) -> SyncOut:
    """Create a sync; a draft may leave open which project it is for."""
    made = syncs.create(body.connection_id, body.definition())
    response.headers["Location"] = f"{PREFIX}/{made.id}"
    return SyncOut.of(made)


@router.get("/{sync_id}")
def get_sync(syncs: Mine, sync_id: UUID) -> SyncOut:
    """Return a sync."""
    return SyncOut.of(syncs.get(sync_id))


@router.patch("/{sync_id}")
def update_sync(syncs: Mine, sync_id: UUID, body: SyncChanges) -> SyncOut:
    """Change a sync; null gives a field its default."""
    return SyncOut.of(syncs.change(sync_id, body.changes()))


@router.delete("/{sync_id}", status_code=204)
def delete_sync(syncs: Mine, sync_id: UUID) -> None:
    """Delete a sync; its runs stay."""
    syncs.delete(sync_id)


@router.post("/{sync_id}/trigger")
def trigger_sync(
    services: Opened, syncs: Mine, sync_id: UUID, body: TriggerBody | None = _OPTIONAL
) -> RunOut:
    """Request a run of a sync."""
    mode = (body.run_mode if body else None) or RunMode.INCREMENTAL
    return _render_new_run(services, syncs.trigger(sync_id, mode))


@router.get("/{sync_id}/runs")
def list_sync_runs(
    services: Opened,
    syncs: Mine,
    sync_id: UUID,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    offset: Offset = 0,
) -> RunList:
    """List the runs of a sync, newest first; the parts of a run are not listed by themselves."""
    wanted = RunFilter(sync_id=syncs.get(sync_id).id, top_level=True)
    page = services.runs.page(wanted, limit=limit, offset=offset)
    return RunList(
        runs=[_render_listed_run(services, run) for run in page.runs],
        total=page.total,
        limit=limit,
        offset=offset,
        has_next=page.has_next,
    )


def _run(services: Services, caller: Principal, run_id: UUID, needed: Role) -> Run:
    """Return a run of a sync, if the caller has the role; other runs are not found."""
    found = services.runs.find(run_id)
    if found is None or found.trigger.sync_id is None:
        raise NotFound(what="run")
    access.project(services, caller, found.project_id, needed, "run")
    return found


def _details(services: Services, run: Run) -> dict[str, Any]:
    """Return what is shown of a run by itself: its parts, and the events that it appended."""
    with services.database.reading() as session:
        parts = [row.id for row in session.scalars(children_of(run.id))] if run.is_parent else []
        found = AssetEvents(session, run.project_id).appended(
            parts or [run.id], since=run.created_at, until=run.completed_at
        )
    details: dict[str, Any] = {"runs": [str(part) for part in parts]} if parts else {}
    if found is not None:
        details["events"] = dict(zip(("appended", "first", "last"), found, strict=True))
    return details


def _render_new_run(services: Services, run: Run) -> RunOut:
    """Render a run that was just requested, with the reference of its backend."""
    return _render_run(services, services.runs.get(run.id))


def _render_run(services: Services, run: Run) -> RunOut:
    shown = _render_listed_run(services, run)
    return shown.model_copy(update={"summary": shown.summary | _details(services, run)})


def _render_listed_run(services: Services, run: Run) -> RunOut:
    return RunOut.of_run(run, services.settings.max_auto_resume_attempts)


# --- refusals ---------------------------------------------------------------------------------


def render(_request: Request, failure: Failure) -> Response:
    """Render a failure: a list of what is wrong, and where."""
    # What FastAPI refuses as malformed, and what the domain refuses, have one status here.
    status = 422 if failure.status == 400 else failure.status
    return JSONResponse({"detail": _detail(failure)}, status_code=status)


def _detail(failure: Failure) -> list[dict[str, Any]]:
    if failure.issues:
        return [dict(issue) for issue in failure.issues]
    if failure.code == RefusedSync.code:
        return [dict(problem) for problem in failure.data["problems"]]
    loc: list[str] = []
    if failure.code == InvalidValue.code:
        field = str(failure.data["field"])
        loc = ["header", field] if field == HEADER else ["body", *field.split(".")]
    return [{"loc": loc, "msg": failure.message, "type": failure.code}]


DIALECT = Dialect(
    tag="Syncs",
    description="Named definitions of pulls, their runs, and what can be pulled.",
    router=router,
    prefixes=(PREFIX,),
    render=render,
    gauges=sync_gauges,
)
