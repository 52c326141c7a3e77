"""``/projects/{id}/events``: what pulls changed of the kinds whose changes a sync appends.

A page of JSON; or, for ``Accept: text/event-stream``, server-sent events without an end. A stream
holds neither a thread nor a session (`towline_server.runs.event_followers`); a server that stops
ends its streams at once, and a client that reconnects goes on behind the last event that it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from towline.frozen import frozen
from towline_server.errors import NotFound, existing
from towline_server.projects.asset_events import (
    AssetChange,
    AssetEvent,
    AssetEvents,
    EventFilter,
)
from towline_server.runs.event_followers import EventFollowers

from .access import Context, NativeRoute, ProjectForReader
from .assets import CONTENT, content_response
from .events import EVENT_STREAM, QUIET, QUIET_SECONDS, STREAM_SECONDS, stream, stream_content
from .models import Model, Moment, StateModel, Text

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

_MOST = 2**53
"""What JSON holds to the digit everywhere (RFC 8259, 6)."""


class AssetEventModel(Model):
    """One change of one asset by one pull."""

    sequence: int
    """Grows by one with each event of the project; no number is used twice."""
    pull: int
    undoes: int | None
    """The number of the pull that this one took back."""
    run_id: UUID | None
    """Null: a stored plan was applied, or a pull undone."""
    at: datetime
    asset_id: str
    kind: str
    change: AssetChange
    path: str
    """Where the asset is after it, or was before it was deleted."""
    renamed_from: str | None
    merged: bool
    before: StateModel | None
    after: StateModel | None


class AssetEventPage(Model):
    """Some events, in their order."""

    items: list[AssetEventModel]
    cursor: int
    """What to ask for next."""
    has_next: bool
    """Whether more were appended by now."""
    oldest: int | None
    """The sequence of the oldest event that is stored; a cursor that is more than one below it may
    have missed some."""


@frozen
class _EventQuery:
    cursor: Annotated[
        int, Query(ge=0, le=_MOST, description="only events after the one with this sequence")
    ] = 0
    limit: Annotated[
        int | None,
        Query(ge=1, le=500, description="events a page (default 50); a stream ends after as many"),
    ] = None
    kind: Annotated[Text | None, Query()] = None
    path: Annotated[
        Text | None, Query(description="the asset's path, before or after the change")
    ] = None
    since: Annotated[Moment | None, Query()] = None

    @property
    def filter(self) -> EventFilter:
        return EventFilter(kind=self.kind, path=self.path, since=self.since)


_LIST: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; or a stream of `change` events, each with one of its items.",
        "content": stream_content({"const": "change"}, "The event's sequence."),
    },
}


@router.get("/events", response_model=AssetEventPage, responses=_LIST)
def list_asset_events(
    context: Context,
    project: ProjectForReader,
    wanted: Annotated[_EventQuery, Depends()],
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[str, Header(include_in_schema=False)] = "",
) -> AssetEventPage | StreamingResponse:
    """The changes that pulls made to assets of kinds with `append_event`."""
    if EVENT_STREAM in accept:
        after = int(last_event_id) if _is_sequence(last_event_id) else wanted.cursor
        followers = context.services.event_followers
        found = _events(followers, project.id, wanted.filter, after, wanted.limit)
        return stream(found)
    with context.reading() as session:
        events = AssetEvents(session, project.id)
        page = events.page(wanted.filter, after=wanted.cursor, limit=wanted.limit or 50)
        oldest = events.oldest()
    return AssetEventPage(
        items=[AssetEventModel.of(event) for event in page.events],
        cursor=page.last,
        has_next=page.has_next,
        oldest=oldest,
    )


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MOST))


@router.get("/events/{sequence}/{side}", response_class=Response, responses=CONTENT)
def read_asset_event(
    context: Context,
    project: ProjectForReader,
    sequence: Annotated[int, Path(ge=1, le=_MOST)],
    side: Literal["before", "after"],
) -> Response:
    """The bytes of an asset before a change, or after it."""
    with context.reading() as session:
        events = AssetEvents(session, project.id)
        event = events.get(sequence)
        state = existing(event.before if side == "before" else event.after, "asset")
        content = events.content(state.digest)
    return content_response(state.digest, content)


async def _events(
    followers: EventFollowers,
    project_id: UUID,
    wanted: EventFilter,
    after: int,
    limit: int | None = None,
) -> AsyncIterator[str]:
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    with followers.following(project_id) as follower:
        while not follower.is_over and asyncio.get_running_loop().time() < ends_at:
            page = await follower.next(after, QUIET_SECONDS)
            if page is None:
                if not follower.is_over:
                    yield QUIET
                continue
            if page.after > after:
                try:
                    page = await run_in_threadpool(followers.read, project_id, wanted, after)
                except NotFound:
                    return
            fitting = [each for each in page.events if each.sequence > after and wanted.fits(each)]
            for event in fitting[:limit]:
                yield _event(event)
                limit = None if limit is None else limit - 1
            if limit == 0:
                return
            after = page.last


@lru_cache(maxsize=1000)
def _event(event: AssetEvent) -> str:
    """Return an event; it is one text for all who follow the project."""
    data = AssetEventModel.of(event).model_dump_json()
    return f"event: change\nid: {event.sequence}\ndata: {data}\n\n"
