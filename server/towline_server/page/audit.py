"""``/ui/audit``: who did what in the tenant, when and from where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.api.audit import JSON_LINES, json_lines
from towline_server.audit.log import Action
from towline_server.audit.reading import CURSOR_PATTERN, AuditEvent, AuditFilter, events

from .paging import ROWS
from .rendering import HEADERS, query
from .visitor import SignedIn

router = APIRouter(prefix="/ui/audit")

T = TypeVar("T")


@frozen
class AuditQuery:
    """Which events are shown: those that fit every field that is set."""

    action: Annotated[str, Query(max_length=100)] = ""
    actor: Annotated[str, Query(max_length=36)] = ""
    """An identity's id."""
    subject: Annotated[str, Query(max_length=1024)] = ""
    """The id or path of what was changed."""
    since: Annotated[str, Query(max_length=10)] = ""
    """A day, as 2026-01-05."""
    after: Annotated[str, Query(pattern=f"{CURSOR_PATTERN}|^$")] = ""
    """The cursor of the event before the first one."""

    def of(self, tenant_id: UUID) -> AuditFilter:
        """Return the filter for a tenant. Raises InvalidValue."""
        return AuditFilter(
            tenant_id=tenant_id,
            action=_read(Action, self.action, "action", "is not an action of the log"),
            actor=_read(UUID, self.actor, "actor", "is not an id"),
            subject=self.subject or None,
            since=_read(_day, self.since, "since", "is not a day, such as 2026-01-05"),
            after=self.after or None,
        )


@router.get("")
def list_events(
    request: Request, visitor: SignedIn, wanted: Annotated[AuditQuery, Depends()]
) -> Response:
    """List what was done in the tenant, newest first, a page at a time."""
    visitor.administer_tenant()
    problem, found = "", tuple[AuditEvent, ...]()
    try:
        chosen = wanted.of(visitor.caller.tenant_id)
        with visitor.reading() as session:
            found = events(session, chosen, ROWS + 1)
    except InvalidValue as error:
        problem = str(error)
    given = dict(request.query_params)
    return visitor.page(
        "audit.html",
        events=found[:ROWS],
        older=query(given, after=found[ROWS - 1].cursor) if len(found) > ROWS else None,
        newest=query(given, after=None) if wanted.after else None,
        download=query(given, after=None),
        actions=list(Action),
        wanted=wanted,
        problem=problem,
        status=422 if problem else 200,
    )


@router.get("/lines")
def download(visitor: SignedIn, wanted: Annotated[AuditQuery, Depends()]) -> Response:
    """Send the events that fit, newest first, each a line of JSON."""
    visitor.administer_tenant()
    chosen = wanted.of(visitor.caller.tenant_id)
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="audit.jsonl"'}
    lines: Iterator[str] = json_lines(visitor, chosen)
    return StreamingResponse(lines, media_type=JSON_LINES, headers=headers)


def _read(parse: Callable[[str], T], text: str, field: str, problem: str) -> T | None:
    try:
        return parse(text) if text else None
    except ValueError:
        raise InvalidValue(field=field, problem=problem) from None


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
