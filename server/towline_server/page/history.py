"""``/ui/projects/{id}/history``: the pulls of a project, what each changed, and undo."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from towline.codec import decode
from towline.model import AssetState
from towline.plan import LISTED
from towline.report import report_json
from towline_server.auth.roles import Role
from towline_server.errors import existing
from towline_server.projects.log import History, PastPull
from towline_server.web.waiting import waiting

from .assets import AssetIdQuery
from .comparing import change_page
from .entries import Wanted, entries_of
from .paging import ROWS, PageNumber, Pages
from .visitor import SignedIn, Visitor, go

router = APIRouter(prefix="/ui/projects/{project_id}/history")

Number = Annotated[int, Path(ge=1, le=2**53)]


@router.get("")
def list_pulls(
    request: Request, visitor: SignedIn, project_id: UUID, page: PageNumber = 1
) -> Response:
    """List the pulls of a project, newest first."""
    project = visitor.project(project_id, Role.READER)
    with visitor.reading() as session:
        found, total = History(session, project.id).page(limit=ROWS, offset=(page - 1) * ROWS)
    pages = Pages(request=request, number=page, total=total)
    return visitor.page("history.html", project=project, pulls=found, pages=pages)


@router.get("/{number}")
def show_pull(visitor: SignedIn, project_id: UUID, number: Number, wanted: Wanted) -> Response:
    """Show what a pull did."""
    project = visitor.project(project_id, Role.READER)
    pull, report = _found(visitor, project.id, number)
    return visitor.page(
        "pull.html",
        project=project,
        pull=pull,
        report=report,
        entries=entries_of(report, wanted),
        differences=f"/ui/projects/{project.id}/history/{number}/diff",
    )


@router.get("/{number}/diff")
@waiting
def show_difference(
    visitor: SignedIn, project_id: UUID, number: Number, asset_id: AssetIdQuery
) -> Response:
    """Show what a pull changed in one asset."""
    project = visitor.project(project_id, Role.READER)
    pull, report = _found(visitor, project.id, number)
    every = (item for name in LISTED for item in report[str(name)])
    item = existing(next((e for e in every if e["asset_id"] == asset_id), None), "asset")
    back = f"/ui/projects/{project.id}/history/{number}"
    states = [
        None if item[name] is None else decode(AssetState, item[name], name)
        for name in ("before", "after")
    ]
    return change_page(visitor, project, item["path"], back, states, revision=pull.revision)


@router.get("/{number}/undo")
def preview_undo(visitor: SignedIn, project_id: UUID, number: Number, wanted: Wanted) -> Response:
    """Show what undoing a pull would do, with the button that does it."""
    project = visitor.project(project_id, Role.WRITER)
    pull, _ = _found(visitor, project.id, number)
    report = report_json(visitor.services.plans.undo_report(project.id, number))
    return visitor.page(
        "undo.html",
        project=project,
        pull=pull,
        report=report,
        entries=entries_of(report, wanted),
        differences=None,
    )


@router.post("/{number}/undo")
def undo(visitor: SignedIn, project_id: UUID, number: Number) -> Response:
    """Undo a pull, and show the undo, which is one of the log itself."""
    project = visitor.project(project_id, Role.WRITER)
    done = visitor.services.plans.undo(project.id, number)
    address = f"/ui/projects/{project_id}/history"
    return go(address if done.pull is None else f"{address}/{done.pull}")


def _found(visitor: Visitor, project_id: UUID, number: int) -> tuple[PastPull, dict[str, Any]]:
    with visitor.reading() as session:
        pull = History(session, project_id).get(number)
    return pull, pull.report or {}
