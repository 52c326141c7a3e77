"""Every project of a space at once."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline.errors import TowlineError
from towline.names import path_problem
from towline.options import OnConflict
from towline_server.auth.roles import Role, authorise
from towline_server.errors import NotFound
from towline_server.problems import failure_of
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import Run, RunRequest
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import parse
from towline_server.web.waiting import ended

from .answers import ERRORS, ErrorAnswer, PullAnswer, SpaceAnswer, envelope, refused
from .callers import FORMS, Asked, Asking
from .pulling import LeftOver, NoBody, Policy, start

router = APIRouter(route_class=idempotent(*FORMS))


@router.post(
    "/project/git-pull/projects/{org}/{space}",
    summary="Pull every project of a space",
    response_model=SpaceAnswer,
    responses=ERRORS,
)
async def pull_space(
    asked: Asking, org: str, space: str, on_conflict: Policy = LeftOver.SKIP
) -> Response:
    """Update each project of the space that is associated with a repository.

    Each has an answer of its own, by its path; one that fails keeps no other from its pull.
    """
    started = await run_in_threadpool(_start, asked, f"{org}/{space}", on_conflict)
    deadline = monotonic() + asked.services.settings.wait_seconds
    told = {
        f"/{path}": await _told(asked, run, max(0.0, deadline - monotonic()))
        for path, run in started.items()
    }
    return JSONResponse(SpaceAnswer(response_map=told).model_dump(mode="json"))


def _start(asked: Asked, space: str, left_over: LeftOver) -> Mapping[str, Run | TowlineError]:
    seen = _seen(asked, space)
    parse(NoBody, asked.body)
    wanted = RunRequest(on_conflict=OnConflict(left_over))
    return {each.path: _started(asked, each, wanted) for each in seen if each.binding is not None}


def _seen(asked: Asked, space: str) -> list[Project]:
    every: tuple[Project, ...] = ()
    if path_problem(space) is None:
        with asked.services.database.reading() as session:
            every = Projects(session).of_tenant(asked.caller.tenant_id, space=space)
    seen = [each for each in every if asked.caller.role_on(each.id) is not None]
    if not seen:
        # A space is there by its projects alone.
        raise NotFound(what="project space")
    return seen


def _started(asked: Asked, project: Project, wanted: RunRequest) -> Run | TowlineError:
    try:
        return start(asked, authorise(asked.caller, project, Role.WRITER), wanted)
    except TowlineError as error:
        return error


async def _told(asked: Asked, run: Run | TowlineError, seconds: float) -> PullAnswer | ErrorAnswer:
    if isinstance(run, TowlineError):
        return _failed(asked.request, run)
    try:
        return envelope(asked.request, await ended(asked.services, run, seconds=seconds))
    except TowlineError as error:
        return _failed(asked.request, error)


def _failed(request: Request, error: TowlineError) -> ErrorAnswer:
    failure = failure_of(error)
    return refused(request, failure.status, [failure.message])
