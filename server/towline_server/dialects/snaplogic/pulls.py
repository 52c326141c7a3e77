"""The operations that pull: pull, check out, discard changes, and pull every project of a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline.errors import InvalidValue, RefNotFound, TowlineError
from towline.model import AssetId, AssetPath
from towline.names import path_problem
from towline.options import OnConflict, Resolutions, Selection
from towline.ports import Snapshot
from towline.records import AssetRecord
from towline_server.auth.roles import Role, authorise
from towline_server.errors import Ambiguous, NotFound
from towline_server.problems import failure_of
from towline_server.projects.domain import Binding, Connection, Project
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore
from towline_server.runs.domain import Run, RunRequest
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import (
    ASSET_ID,
    ASSET_PATH,
    GIT_REF,
    PlainText,
    body_schema,
    of_format,
    parse,
)
from towline_server.web.waiting import check_idle, wait_for_run

from .access import FORMS, Context, GitRequest, Path
from .responses import (
    ErrorAnswer,
    PullAnswer,
    SpaceAnswer,
    answer,
    envelope,
    refusal,
    refused,
)

router = APIRouter(route_class=idempotent(*FORMS))


class LeftOver(StrEnum):
    """What becomes of conflicts that the request does not settle."""

    SKIP = "skip"
    REFUSE = "refuse"


Policy = Annotated[LeftOver, Query(description="What becomes of conflicts that are left over.")]


class EmptyBody(BaseModel):
    """Nothing: an empty object, or no body at all."""

    model_config = ConfigDict(extra="forbid")


AssetIds = Annotated[
    list[Annotated[PlainText, of_format(ASSET_ID, minLength=1, maxLength=255)]],
    # The schema excludes duplicates, which are refused with their names.
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
    openapi_extra=body_schema(PullBody, required=False),
)
async def pull(context: Context, path: Path, on_conflict: Policy = LeftOver.SKIP) -> Response:
    """Update the project with the latest files from its Git repository."""
    run = await run_in_threadpool(_pull, context, path, on_conflict)
    return answer(context.request, await wait_for_run(context.services, run))


def _pull(context: GitRequest, path: str, left_over: LeftOver) -> Run:
    project = context.project(path, Role.WRITER)
    resolutions = parse(PullBody, context.body).resolutions()
    _ = project.bound
    wanted = RunRequest(resolutions=resolutions, on_conflict=OnConflict(left_over))
    return start(context, project, wanted)


def start(context: GitRequest, project: Project, wanted: RunRequest) -> Run:
    """Request a run of a project that no other run is pulling.

    Raises:
        ProjectBusy: another one is.
    """
    runs = context.services.runs
    check_idle(runs, project.id)
    return runs.request(project.id, wanted, trigger=context.trigger)


_WHAT = "repository"


class CheckoutBody(BaseModel):
    """What to check out, and what to give up for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    repo: PlainText | None = Field(
        default=None,
        description="The repository: its connection's name, its URL, or OWNER/NAME. "
        "Without it, the one that the project is associated with.",
    )
    ref: Annotated[str, of_format(GIT_REF)] = Field(
        default="heads/main", description="heads/BRANCH or tags/TAG."
    )
    hard_reset: bool = Field(default=False, description="Discard what was modified here.")
    discard_untracked_file: bool = Field(default=False, description="Discard untracked assets.")


@router.post(
    "/project/checkout/{org}/{space}/{project}",
    summary="Check out project files from Git",
    response_model=PullAnswer,
    openapi_extra=body_schema(CheckoutBody, required=False),
)
async def checkout(context: Context, path: Path, on_conflict: Policy = LeftOver.SKIP) -> Response:
    """Check out a branch or a tag for the project.

    Another ref needs write access; another repository needs an administrator of the project who
    sees the repository's connection.
    """
    run = await run_in_threadpool(_check_out, context, path, on_conflict)
    run = await wait_for_run(context.services, run)
    # The ref is in the request, not in the project.
    return answer(context.request, run, of_caller={RefNotFound.code})


def _check_out(context: GitRequest, path: str, left_over: LeftOver) -> Run:
    project = context.project(path, Role.WRITER)
    body = parse(CheckoutBody, context.body)
    wanted = RunRequest(
        on_conflict=OnConflict(left_over),
        reset=body.hard_reset,
        clean=body.discard_untracked_file,
        checkout=_binding(context, project, body),
    )
    return start(context, project, wanted)


def _binding(context: GitRequest, project: Project, body: CheckoutBody) -> Binding:
    if body.repo is None:
        return replace(project.bound, ref=body.ref)
    with context.services.database.reading() as session:
        connections = context.services.connections(session)
        if project.binding is not None:
            bound = connections.get(project.binding.connection_id)
            if bound is not None and body.repo in _names(bound):
                return replace(project.binding, ref=body.ref)
        # A caller who binds a project to a repository can read all of it.
        authorise(context.caller, project, Role.ADMIN)
        every = connections.of_tenant(context.caller.tenant_id)
        seen = [each for each in every if context.caller.tenant_role is not None]
        return Binding(connection_id=_find_connection(seen, body.repo).id, ref=body.ref)


def _find_connection(connections: Sequence[Connection], repo: str) -> Connection:
    """Return the connection that a text names; one with that name goes before others.

    Raises:
        NotFound: it names none.
        Ambiguous: it names several.
    """
    found = [each for each in connections if each.name == repo]
    found = found or [each for each in connections if repo in _names(each)]
    if len(found) > 1:
        raise Ambiguous(what=_WHAT)
    if not found:
        raise NotFound(what=_WHAT)
    return found[0]


def _names(connection: Connection) -> frozenset[str]:
    """Return what names a connection: its name, its URL, the path in it, with .git or without."""
    url = connection.url
    spelled = (url.address, url.path.strip("/"))
    return frozenset({connection.name, *spelled, *(each.removesuffix(".git") for each in spelled)})


class DiscardBody(BaseModel):
    """The assets to restore."""

    model_config = ConfigDict(extra="forbid", strict=True)

    asset_path_list: list[Annotated[PlainText, of_format(ASSET_PATH)]] = Field(
        min_length=1, description="Paths within the project, or with the project's before them."
    )


@router.post(
    "/project/discard_changes/{org}/{space}/{project}",
    summary="Discard local changes to assets",
    response_model=PullAnswer,
    openapi_extra=body_schema(DiscardBody, required=True),
)
async def discard_changes(context: Context, path: Path) -> Response:
    """Restore each of these assets, as ``git restore`` does; all of them, or none.

    A deleted one returns. One that the repository does not track is an error.
    """
    run = await run_in_threadpool(_discard, context, path)
    if not isinstance(run, Run):
        return refusal(context.request, 400, run)
    return answer(context.request, await wait_for_run(context.services, run))


def _discard(context: GitRequest, path: str) -> Run | Sequence[str]:
    """Return the run, or what is wrong with the paths."""
    project = context.project(path, Role.WRITER)
    body = parse(DiscardBody, context.body)
    _ = project.bound
    store = SqlStore(context.services.database, project.id)
    with store.snapshot() as ours:
        found = dict(_found(ours, project, body.asset_path_list))
        base = ours.state().base
    if wrong := [f"{path}: {why}" for path, why in found.items() if isinstance(why, str)]:
        return wrong
    ids = frozenset(each.id for each in found.values() if isinstance(each, AssetRecord))
    wanted = RunRequest(
        revision=base,
        resolutions=Resolutions(use_theirs=ids),
        only=Selection(ids=frozenset(AssetId(each) for each in ids)),
    )
    return start(context, project, wanted)


def _found(
    ours: Snapshot, project: Project, paths: Sequence[str]
) -> Iterator[tuple[str, AssetRecord | str]]:
    for path in paths:
        within = AssetPath(path.removeprefix("/").removeprefix(f"{project.path}/"))
        record = ours.at(within) or ours.aligned_at(within)
        if record is None:
            yield path, "there is no such asset"
        elif record.local_only:
            yield path, "the asset is not tracked by Git"
        else:
            yield path, record


@router.post(
    "/project/git-pull/projects/{org}/{space}",
    summary="Pull every project of a space",
    response_model=SpaceAnswer,
)
async def pull_space(
    context: Context, org: str, space: str, on_conflict: Policy = LeftOver.SKIP
) -> Response:
    """Update each project of the space that is associated with a repository.

    Each has an answer of its own, by its path; one that fails keeps no other from its pull.
    """
    started = await run_in_threadpool(_start, context, f"{org}/{space}", on_conflict)
    deadline = monotonic() + context.services.settings.wait_seconds
    outcomes = {
        f"/{path}": await _outcome(context, run, max(0.0, deadline - monotonic()))
        for path, run in started.items()
    }
    return JSONResponse(SpaceAnswer(response_map=outcomes).model_dump(mode="json"))


def _start(
    context: GitRequest, space: str, left_over: LeftOver
) -> Mapping[str, Run | TowlineError]:
    seen = _visible_projects(context, space)
    parse(EmptyBody, context.body)
    wanted = RunRequest(on_conflict=OnConflict(left_over))
    return {each.path: _started(context, each, wanted) for each in seen if each.binding is not None}


def _visible_projects(context: GitRequest, space: str) -> list[Project]:
    every: tuple[Project, ...] = ()
    if path_problem(space) is None:
        with context.services.database.reading() as session:
            every = Projects(session).of_tenant(context.caller.tenant_id, space=space)
    seen = [each for each in every if context.caller.role_on(each.id) is not None]
    if not seen:
        # A space exists by its projects alone.
        raise NotFound(what="project space")
    return seen


def _started(context: GitRequest, project: Project, wanted: RunRequest) -> Run | TowlineError:
    try:
        return start(context, authorise(context.caller, project, Role.WRITER), wanted)
    except TowlineError as error:
        return error


async def _outcome(
    context: GitRequest, run: Run | TowlineError, seconds: float
) -> PullAnswer | ErrorAnswer:
    if isinstance(run, TowlineError):
        return _failed(context.request, run)
    try:
        return envelope(context.request, await wait_for_run(context.services, run, seconds=seconds))
    except TowlineError as error:
        return _failed(context.request, error)


def _failed(request: Request, error: TowlineError) -> ErrorAnswer:
    failure = failure_of(error)
    return refused(request, failure.status, [failure.message])
