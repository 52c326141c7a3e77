"""The status of a project's assets in its repository, and the end of tracking."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from towline.model import AssetState
from towline.status import AssetStatus, State
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.web.waiting import check_idle, wait_in_thread

from .access import Context, Path
from .responses import refusal

router = APIRouter()


class GitStatus(StrEnum):
    """The status of an asset."""

    TRACKED = "Tracked"
    MODIFIED_LOCALLY = "Tracked, Modified Locally"
    MODIFIED_REMOTELY = "Tracked, Modified Remotely"
    CONFLICT = "Tracked, Conflict"
    UNTRACKED = "Untracked"
    ADDED = "Added"
    REMOVED = "Removed"


_WORDS: Mapping[State, GitStatus] = {
    State.UNCHANGED: GitStatus.TRACKED,
    State.MODIFIED_HERE: GitStatus.MODIFIED_LOCALLY,
    State.MODIFIED_THERE: GitStatus.MODIFIED_REMOTELY,
    State.BEHIND: GitStatus.MODIFIED_REMOTELY,
    # It has no latest SHA.
    State.DELETED_THERE: GitStatus.MODIFIED_REMOTELY,
    State.CONFLICT: GitStatus.CONFLICT,
    State.LOCAL_ONLY: GitStatus.UNTRACKED,
    State.ADDED_THERE: GitStatus.ADDED,
    State.DELETED_HERE: GitStatus.REMOVED,
}


class Git(BaseModel):
    """An asset in the repository: blob ids, null where it is not."""

    status: GitStatus
    path: str
    current_sha: str | None
    latest_repo_sha: str | None


class Metadata(BaseModel):
    """The metadata of an asset."""

    git: Git


class Entry(BaseModel):
    """One asset of the project or of its repository."""

    name: str
    path: str
    asset_id: str
    asset_type: str
    metadata: Metadata


class Entries(BaseModel):
    """Every asset, by path."""

    entries: list[Entry]


class StatusAnswer(BaseModel):
    """The response with the status of every asset."""

    response_map: Entries
    http_status_code: Literal[200] = 200


class Untracked(BaseModel):
    """The project is associated with no repository any more."""

    status: Literal["untracked"] = "untracked"


class UntrackAnswer(BaseModel):
    """The response to the end of tracking."""

    response_map: Untracked = Untracked()
    http_status_code: Literal[200] = 200


@router.get(
    "/project/repo-status/{org}/{space}/{project}",
    summary="Retrieve the status of the Git repository",
    response_model=StatusAnswer,
)
async def repo_status(context: Context, path: Path) -> Response:
    """Fetch, and return the status of every asset; nothing is changed."""

    def look() -> Response:
        project = context.project(path, Role.READER)
        found = context.services.plans.status(project.id, fresh=True)
        if found.problem:
            return refusal(context.request, 502, [found.problem])
        entries = [_entry(project, each) for each in found.assets]
        response = StatusAnswer(response_map=Entries(entries=entries))
        return JSONResponse(response.model_dump(mode="json"))

    return await wait_in_thread(look)


def _entry(project: Project, asset: AssetStatus) -> Entry:
    base, theirs = asset.states.base, asset.states.theirs
    # Where it is in the repository; a renamed one by its name there.
    there = (theirs or base or asset.states.ours or asset).path
    scope = project.bound.scope
    git = Git(
        status=_WORDS[asset.state],
        path=f"{scope}/{there}" if scope else there,
        current_sha=_sha(base),
        latest_repo_sha=_sha(theirs),
    )
    return Entry(
        name=asset.path.name,
        path=asset.path,
        asset_id=asset.asset_id,
        asset_type=asset.kind,
        metadata=Metadata(git=git),
    )


def _sha(state: AssetState | None) -> str | None:
    return None if state is None else state.digest


@router.get(
    "/project/untrack/{org}/{space}/{project}",
    summary="Stop tracking a project with Git",
    response_model=UntrackAnswer,
)
def untrack(context: Context, path: Path) -> UntrackAnswer:
    """Take the project's association with its repository away; its assets stay."""
    project = context.project(path, Role.ADMIN)
    _ = project.bound
    check_idle(context.services.runs, project.id)
    with context.services.database.writing() as session:
        Projects(session).dissociate(project.id)
    return UntrackAnswer()
