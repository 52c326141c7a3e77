"""What brings a project up to date: the page's own operation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from towline.errors import InvalidValue
from towline.options import OnConflict, Resolutions
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.domain import Run, RunRequest
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import ASSET_ID, PlainText, described, of_format, parse
from towline_server.web.waiting import check_idle, ended

from .answers import ERRORS, PullAnswer, answer
from .callers import FORMS, Asked, Asking, Path

router = APIRouter(route_class=idempotent(*FORMS))


class LeftOver(StrEnum):
    """What becomes of conflicts that the request does not settle."""

    SKIP = "skip"
    REFUSE = "refuse"


Policy = Annotated[LeftOver, Query(description="What becomes of conflicts that are left over.")]


class NoBody(BaseModel):
    """Nothing: an empty object, or no body at all."""

    model_config = ConfigDict(extra="forbid")


AssetIds = Annotated[
    list[Annotated[PlainText, of_format(ASSET_ID, minLength=1, maxLength=255)]],
    # It is told which ids they are.
    Field(json_schema_extra={"uniqueItems": True}),
]


class PullBody(BaseModel):
    """The sides that were chosen for single assets."""

    model_config = ConfigDict(extra="forbid", strict=True)

    use_theirs: AssetIds = Field(default=[], description="Asset ids to overwrite.")
    use_ours: AssetIds = Field(default=[], description="Asset ids to keep unchanged.")

    def resolutions(self) -> Resolutions:
        """The same, once no id is named twice.

        Raises:
            InvalidValue, ConflictingResolutions: one is.
        """
        for field, ids in (("use_theirs", self.use_theirs), ("use_ours", self.use_ours)):
            doubled = sorted({each for each in ids if ids.count(each) > 1})
            if doubled:
                raise InvalidValue(field=field, problem=f"names {', '.join(doubled)} twice")
        return Resolutions(use_theirs=frozenset(self.use_theirs), use_ours=frozenset(self.use_ours))


@router.post(
    "/project/pull/{org}/{space}/{project}",
    summary="Pull project files",
    response_model=PullAnswer,
    responses=ERRORS,
    openapi_extra=described(PullBody, required=False),
)
async def pull(asked: Asking, path: Path, on_conflict: Policy = LeftOver.SKIP) -> Response:
    """Update the project with the latest files from its Git repository."""
    run = await run_in_threadpool(_pull, asked, path, on_conflict)
    return answer(asked.request, await ended(asked.services, run))


def _pull(asked: Asked, path: str, left_over: LeftOver) -> Run:
    project = asked.project(path, Role.WRITER)
    resolutions = parse(PullBody, asked.body).resolutions()
    _ = project.bound
    wanted = RunRequest(resolutions=resolutions, on_conflict=OnConflict(left_over))
    return start(asked, project, wanted)


def start(asked: Asked, project: Project, wanted: RunRequest) -> Run:
    """Ask for a run of a project on which no other one works.

    Raises:
        ProjectBusy: another one does.
    """
    runs = asked.services.runs
    check_idle(runs, project.id)
    return runs.request(project.id, wanted, origin=asked.origin)
