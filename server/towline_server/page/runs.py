"""``/ui/runs``: runs as lists, and one as it goes, over server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from towline_server.api.events import QUIET, changes, stream
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.domain import Run, RunMode, Trigger, TriggeredBy
from towline_server.runs.listing import RunFilter
from towline_server.runs.states import ACTIVE, RunState

from .entries import EntryFilter, Wanted, entries_of
from .paging import ROWS, PageNumber, Pages
from .pull_forms import chosen, request_of
from .rendering import fragment
from .visitor import Sent, SignedIn, Visitor, go

router = APIRouter()


def _state(state: Annotated[str, Query(max_length=40)] = "") -> RunState | None:
    """Return the state of a query; of an empty one, or one that is none, no state."""
    return RunState(state) if state in list(RunState) else None


InState = Annotated[RunState | None, Depends(_state)]


@router.get("/ui/runs")
def list_runs(
    request: Request, visitor: SignedIn, state: InState, page: PageNumber = 1
) -> Response:
    """List the runs of every project that the visitor sees, newest first."""
    caller = visitor.caller
    ids = tuple(caller.project_roles) if caller.tenant_role is None else None
    wanted = RunFilter(
        tenant_id=caller.tenant_id, project_ids=ids, states=None if state is None else (state,)
    )
    return _list(request, visitor, wanted, page)


@router.get("/ui/projects/{project_id}/runs")
def list_project_runs(
    request: Request, visitor: SignedIn, project_id: UUID, state: InState, page: PageNumber = 1
) -> Response:
    """List the runs of a project, newest first."""
    project = visitor.project(project_id, Role.READER)
    wanted = RunFilter(project_id=project.id, states=None if state is None else (state,))
    return _list(request, visitor, wanted, page, project)


def _list(
    request: Request,
    visitor: Visitor,
    wanted: RunFilter,
    number: int,
    project: Project | None = None,
) -> Response:
    found = visitor.services.runs.page(wanted, limit=ROWS, offset=(number - 1) * ROWS)
    pages = Pages(request=request, number=number, total=found.total)
    return visitor.page(
        "runs.html",
        project=project,
        runs=found.runs,
        pages=pages,
        state=wanted.states[0] if wanted.states else "",
        states=list(RunState),
        paths=visitor.project_paths({run.project_id for run in found.runs}),
    )


@router.post("/ui/projects/{project_id}/runs")
def request_run(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Request a run, and show it."""
    project = visitor.project(project_id, Role.WRITER)
    mode = chosen(form, "mode", RunMode) or RunMode.INCREMENTAL
    trigger = Trigger(by=TriggeredBy.MANUAL, requested_by=visitor.caller.id)
    run = visitor.services.runs.request(project.id, request_of(form, mode), trigger=trigger)
    return go(f"/ui/runs/{run.id}")


@router.get("/ui/runs/{run_id}")
def show_run(visitor: SignedIn, run_id: UUID, wanted: Wanted) -> Response:
    """Show a run as it is; a browser with scripts follows it."""
    run = visitor.run(run_id, Role.READER)
    project = visitor.project(run.project_id, Role.READER)
    return visitor.page("run.html", project=project, **_shown(visitor, run, wanted))


@router.get("/ui/runs/{run_id}/events")
def follow_run(request: Request, visitor: SignedIn, run_id: UUID) -> StreamingResponse:
    """Follow a run: each event is its page's part as it is then."""
    run = visitor.run(run_id, Role.READER)
    project = visitor.project(run.project_id, Role.READER)
    return stream(_events(visitor, run, project, EntryFilter(request)))


async def _events(
    visitor: Visitor, run: Run, project: Project, wanted: EntryFilter
) -> AsyncIterator[str]:
    async for change in changes(visitor.services.followers, run):
        if change is None:
            yield QUIET
            continue
        # The attempts are on the page itself: no statement is sent for an event.
        values = {**visitor.values(project), **_of(change.run, wanted), "attempts": ()}
        lines = fragment("run_now.html", values).splitlines()
        yield "event: run\n" + "".join(f"data: {line}\n" for line in lines) + "\n"
        if change.run.is_terminal:
            yield "event: ended\ndata: \n\n"


def _shown(visitor: Visitor, run: Run, wanted: EntryFilter) -> dict[str, Any]:
    attempts = visitor.services.runs.attempts(run.id)
    return {**_of(run, wanted), "attempts": attempts if len(attempts) > 1 else ()}


def _of(run: Run, wanted: EntryFilter) -> dict[str, Any]:
    return {
        "run": run,
        "phases": ACTIVE,
        "report": run.report,
        "entries": None if run.report is None else entries_of(run.report, wanted),
        "differences": (
            None if run.pull is None else f"/ui/projects/{run.project_id}/history/{run.pull}/diff"
        ),
    }


@router.post("/ui/runs/{run_id}/cancel")
def cancel_run(visitor: SignedIn, run_id: UUID) -> Response:
    """Ask a run to stop before its commit point."""
    run = visitor.run(run_id, Role.WRITER)
    visitor.services.runs.cancel(run.id, by=str(visitor.caller.id))
    return go(f"/ui/runs/{run_id}")


@router.post("/ui/runs/{run_id}/retry")
def retry_run(visitor: SignedIn, run_id: UUID) -> Response:
    """Make a new attempt at what a run that has ended tried, and show it."""
    run = visitor.run(run_id, Role.WRITER)
    again = visitor.services.runs.retry(run.id, requested_by=visitor.caller.id)
    return go(f"/ui/runs/{again.id}")
