"""``/projects/{id}/pulls``: what was pulled, and undo."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from towline.records import PlanKind
from towline_server.projects.log import History
from towline_server.web.schemas import WHOLE, problems

from .access import Context, NativeRoute, ProjectForReader, ProjectForWriter
from .models import AppliedModel, Body, Flag, Model, Page, ReportModel, Window

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

_MOST = 2**53
"""What JSON holds to the digit everywhere (RFC 8259, 6)."""


class UndoBody(Body):
    """Which pull to take back: the last one not taken back, unless one is named."""

    pull: Annotated[int, Field(ge=1, le=_MOST), WHOLE] | None = None
    dry_run: Flag = False


class PullSummary(Model):
    """One applied plan."""

    number: int
    kind: PlanKind
    base: str | None
    revision: str | None
    at: datetime | None
    undoes: int | None
    """The number of the pull that it took back."""
    undone: bool
    is_retained: bool
    """Whether undoing it may be tried."""


class PullModel(PullSummary):
    """One applied plan, and its report."""

    report: ReportModel


@router.get("/pulls")
def list_pulls(context: Context, project: ProjectForReader, window: Window) -> Page[PullSummary]:
    """The project's log, newest first."""
    with context.reading() as session:
        found, total = History(session, project.id).page(limit=window.limit, offset=window.offset)
    return window.page(PullSummary, found, total)


@router.get("/pulls/{number}")
def get_pull(
    context: Context, project: ProjectForReader, number: Annotated[int, Path(ge=1, le=_MOST)]
) -> PullModel:
    """One pull, and what it did."""
    with context.reading() as session:
        return PullModel.of(History(session, project.id).get(number))


@router.post("/undo", responses=problems(409))
def undo(context: Context, project: ProjectForWriter, body: UndoBody | None = None) -> AppliedModel:
    """Undo a pull. Later edits are not overwritten, and the undo is added to the log."""
    wanted, plans = body or UndoBody(), context.services.plans
    if wanted.dry_run:
        return AppliedModel.of(plans.undo_report(project.id, wanted.pull))
    return AppliedModel.of(plans.undo(project.id, wanted.pull))
