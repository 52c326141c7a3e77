"""``/``: the projects that a visitor sees, each with its state."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import ColumnElement
from starlette.responses import Response

from towline_server.projects.service import Projects
from towline_server.projects.tables import ProjectRow
from towline_server.runs.overview import overviews

from .paging import ROWS, PageNumber, Pages
from .visitor import SignedIn

router = APIRouter()

Search = Annotated[str, Query(max_length=255)]


@router.get("/")
def list_projects(
    request: Request, visitor: SignedIn, q: Search = "", page: PageNumber = 1
) -> Response:
    """List the projects whose path has a text."""
    conditions: list[ColumnElement[bool]] = []
    if q:
        conditions.append(ProjectRow.path.icontains(q, autoescape=True))
    with visitor.reading() as session:
        projects = Projects(session)
        total = projects.count_visible_to(visitor.caller, conditions=conditions)
        pages = Pages(request=request, number=page, total=total)
        found = projects.visible_to(
            visitor.caller, limit=ROWS, offset=pages.offset, conditions=conditions
        )
        listed = overviews(session, found)
    return visitor.page("projects.html", listed=listed, pages=pages, q=q)
