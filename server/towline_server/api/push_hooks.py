"""``/hooks/{connection_id}``: where the hosts of repositories report pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from towline_server.projects.push_hooks import HookBody
from towline_server.runs.pushes import Call, Pushes
from towline_server.services import services_of
from towline_server.web.schemas import problems

from .models import Model

router = APIRouter(prefix="/hooks")


class HookModel(Model):
    """What a webhook started."""

    runs: list[UUID]
    """None where it was no push, or no project follows the ref."""


async def _body(request: Request) -> AsyncIterator[HookBody]:
    """A dependency: the body, which `BodyLimit` bounds as it comes."""
    with HookBody() as body:
        async for chunk in request.stream():
            body.write(chunk)
        yield body


@router.post(
    "/{connection_id}",
    status_code=202,
    responses=problems(409, 413),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}
    },
)
def take_webhook(
    request: Request, connection_id: UUID, body: Annotated[HookBody, Depends(_body)]
) -> HookModel:
    """Start a run of every project that follows a pushed ref.

    The call is signed with the connection's webhook secret, as its provider signs: GitHub
    ``X-Hub-Signature-256``, GitLab ``X-Gitlab-Token``, Gitea ``X-Gitea-Signature``, Bitbucket
    ``X-Hub-Signature``. One that comes again is 409, and starts nothing.
    """
    services = services_of(request)
    pushes = Pushes(services.database, services.sealer, services.runs)
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    call = Call(connection_id=connection_id, headers=headers, body=body)
    return HookModel(runs=[run.id for run in pushes.take(call)])
