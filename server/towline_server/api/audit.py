"""``/admin/audit``: the audit log, a page at a time or as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from towline.frozen import frozen
from towline_server.audit.log import Action
from towline_server.audit.reading import CURSOR_PATTERN, AuditFilter, events, every_event

from .access import RequestContext
from .admin import AdminRoute, Context
from .models import Model, Moment, Text

router = APIRouter(prefix="/admin/audit", route_class=AdminRoute)

JSON_LINES = "application/x-ndjson"


class AuditEventModel(Model):
    """Something that was done, and by whom."""

    id: UUID
    cursor: str
    """What `after` takes, to read on from here."""
    at: datetime
    tenant_id: UUID | None
    """null: no tenant's."""
    project_id: UUID | None
    action: Action
    subject: str | None
    """The id of what was changed, or its path."""
    detail: dict[str, Any]
    """Names and choices; never a secret or a content."""
    actor_kind: str
    """``user``, ``service_account``, ``api_key``, ``operator`` (its token), ``shell`` (`towline
    admin`), ``git_host`` (a push webhook), ``anonymous``."""
    actor_id: UUID | None
    actor_name: str
    credential: str | None
    """What proved who it is: ``password``, ``key``, ``token``, ``session``, ``oidc``,
    ``operator_token``, ``signature``."""
    address: str | None
    request_id: str | None


class AuditPage(Model):
    """Some events of the audit log."""

    items: list[AuditEventModel]
    next_cursor: str | None
    """What `after` takes, for the next page; null: this is the last one."""


@frozen(kw_only=True)
class _AuditQuery(AuditFilter):
    since: Moment | None = None
    subject: Text | None = None
    order: Literal["newest", "oldest"] = "newest"
    after: Annotated[str | None, StringConstraints(pattern=CURSOR_PATTERN)] = None
    limit: Annotated[int, Query(ge=1, le=500)] = 50


_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"A page; with `Accept: {JSON_LINES}` every event, each a line of JSON.",
        "content": {JSON_LINES: {"schema": {"type": "string"}}},
    },
}


@router.get("", response_model=AuditPage, responses=_LINES)
def read_audit_log(
    request: Request, context: Context, wanted: Annotated[_AuditQuery, Depends()]
) -> AuditPage | StreamingResponse:
    """The audit log, newest first; the operator's token reads that of every tenant."""
    if wanted.tenant_id is not None:
        context.tenant(wanted.tenant_id)
    elif not context.is_operator:
        context.administer_tenant()
        wanted = replace(wanted, tenant_id=context.caller.tenant_id)
    if JSON_LINES in request.headers.get("accept", ""):
        return StreamingResponse(json_lines(context, wanted), media_type=JSON_LINES)
    with context.reading() as session:
        found = events(session, wanted, wanted.limit + 1)
    items = [AuditEventModel.of(each) for each in found[: wanted.limit]]
    return AuditPage(
        items=items, next_cursor=items[-1].cursor if len(found) > wanted.limit else None
    )


def json_lines(context: RequestContext, wanted: AuditFilter) -> Iterator[str]:
    """Yield every event that fits, each as a line of JSON. Raises InvalidValue."""
    for each in every_event(context.services.database, wanted):
        yield AuditEventModel.of(each).model_dump_json() + "\n"
