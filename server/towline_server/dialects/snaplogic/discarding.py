"""Discard changes: single assets as the repository had them when the project was last pulled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from towline.model import AssetId, AssetPath
from towline.options import Resolutions, Selection
from towline.records import AssetRecord
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.projects.store import SqlStore
from towline_server.runs.domain import Run, RunRequest
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import ASSET_PATH, PlainText, described, of_format, parse
from towline_server.web.waiting import ended

from .answers import ERRORS, PullAnswer, answer, refusal
from .callers import FORMS, Asked, Asking, Path
from .pulling import start

router = APIRouter(route_class=idempotent(*FORMS))


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
    responses=ERRORS,
    openapi_extra=described(DiscardBody, required=True),
)
async def discard_changes(asked: Asking, path: Path) -> Response:
    """Restore each of these assets, as ``git restore`` does; all of them, or none.

    A deleted one returns. One that the repository does not track is an error.
    """
    run = await run_in_threadpool(_discard, asked, path)
    if not isinstance(run, Run):
        return refusal(asked.request, 400, run)
    return answer(asked.request, await ended(asked.services, run))


def _discard(asked: Asked, path: str) -> Run | Sequence[str]:
    """The run, or what is wrong with the paths."""
    project = asked.project(path, Role.WRITER)
    body = parse(DiscardBody, asked.body)
    _ = project.bound
    store = SqlStore(asked.services.database, project.id)
    found = dict(_found(store, project, body.asset_path_list))
    if wrong := [f"{path}: {why}" for path, why in found.items() if isinstance(why, str)]:
        return wrong
    ids = frozenset(each.id for each in found.values() if isinstance(each, AssetRecord))
    wanted = RunRequest(
        revision=store.state().base,
        resolutions=Resolutions(use_theirs=ids),
        only=Selection(ids=frozenset(AssetId(each) for each in ids)),
    )
    return start(asked, project, wanted)


def _found(
    store: SqlStore, project: Project, paths: Sequence[str]
) -> Iterator[tuple[str, AssetRecord | str]]:
    with store.snapshot() as ours:
        for path in paths:
            within = AssetPath(path.removeprefix("/").removeprefix(f"{project.path}/"))
            record = ours.at(within) or ours.aligned_at(within)
            if record is None:
                yield path, "there is no such asset"
            elif record.local_only:
                yield path, "the asset is not tracked by Git"
            else:
                yield path, record
