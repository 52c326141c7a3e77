"""``/ui/projects/{id}/schedules``: when runs of a project are requested automatically."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from towline_server.auth.roles import Role
from towline_server.runs.schedules import schedules_of

from .visitor import SignedIn

router = APIRouter(prefix="/ui/projects/{project_id}/schedules")


@router.get("")
def list_schedules(visitor: SignedIn, project_id: UUID) -> Response:
    """List the schedules of a project, with when each fires next."""
    project = visitor.project(project_id, Role.READER)
    with visitor.reading() as session:
        found = schedules_of(session, project.id)
    return visitor.page("schedules.html", project=project, schedules=found)
