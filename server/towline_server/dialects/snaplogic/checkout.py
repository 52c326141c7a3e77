"""Check out: bind the project to a repository and a ref, and pull them, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from towline.errors import RefNotFound
from towline.options import OnConflict
from towline_server.auth.roles import Role, authorise
from towline_server.errors import Ambiguous, NotFound
from towline_server.projects.domain import Binding, Connection, Project
from towline_server.runs.domain import Checkout, Run, RunRequest
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import GIT_REF, PlainText, described, of_format, parse
from towline_server.web.waiting import ended

from .answers import ERRORS, PullAnswer, answer
from .callers import FORMS, Asked, Asking, Path
from .pulling import LeftOver, Policy, start

router = APIRouter(route_class=idempotent(*FORMS))

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
    responses=ERRORS,
    openapi_extra=described(CheckoutBody, required=False),
)
async def checkout(asked: Asking, path: Path, on_conflict: Policy = LeftOver.SKIP) -> Response:
    """Check out a branch or a tag for the project.

    Another ref needs write access; another repository needs an administrator of the project who
    sees the repository's connection.
    """
    run = await run_in_threadpool(_check_out, asked, path, on_conflict)
    run = await ended(asked.services, run)
    # The ref is in the request, not in the project.
    return answer(asked.request, run, of_caller={RefNotFound.code})


def _check_out(asked: Asked, path: str, left_over: LeftOver) -> Run:
    project = asked.project(path, Role.WRITER)
    body = parse(CheckoutBody, asked.body)
    wanted = RunRequest(
        on_conflict=OnConflict(left_over),
        reset=body.hard_reset,
        clean=body.discard_untracked_file,
        checkout=Checkout.of(_binding(asked, project, body)),
    )
    return start(asked, project, wanted)


def _binding(asked: Asked, project: Project, body: CheckoutBody) -> Binding:
    if body.repo is None:
        return replace(project.bound, ref=body.ref)
    with asked.services.database.reading() as session:
        connections = asked.services.connections(session)
        if project.binding is not None:
            standing = connections.get(project.binding.connection_id)
            if standing is not None and body.repo in _names(standing):
                return replace(project.binding, ref=body.ref)
        # Whoever binds a project to a repository reads all of it.
        authorise(asked.caller, project, Role.ADMIN)
        every = connections.of_tenant(asked.caller.tenant_id)
        seen = [each for each in every if asked.caller.tenant_role is not None]
        return Binding(connection_id=_meant(seen, body.repo).id, ref=body.ref)


def _meant(connections: Sequence[Connection], repo: str) -> Connection:
    """The connection that a text means; one that is called so goes before others.

    Raises:
        NotFound: it means none.
        Ambiguous: it means several.
    """
    found = [each for each in connections if each.name == repo]
    found = found or [each for each in connections if repo in _names(each)]
    if len(found) > 1:
        raise Ambiguous(what=_WHAT)
    if not found:
        raise NotFound(what=_WHAT)
    return found[0]


def _names(connection: Connection) -> frozenset[str]:
    """What a connection may be called: its name, its URL, the path in it, with .git or without."""
    url = connection.url
    spelled = (url.shown, url.path.strip("/"))
    return frozenset({connection.name, *spelled, *(each.removesuffix(".git") for each in spelled)})
