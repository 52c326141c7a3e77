"""``/runs/{id}/events``: the progress of a run as server-sent events, to its end.

A stream holds neither a thread nor a session (`towline_server.runs.followers`). A server that stops
ends its streams at once; a client that reconnects follows the run on the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from towline_server.runs.domain import Run
from towline_server.runs.followers import Followers, RunChange

from .access import Context, NativeRoute, RunForReader
from .runs import RunModel, RunSummary

router = APIRouter(route_class=NativeRoute)

EVENT_STREAM = "text/event-stream"
STREAM_SECONDS = 600.0
"""A stream ends then. A client that reconnects, as browsers do, is authorised again."""
QUIET_SECONDS = 15.0
"""After how long without news a comment shows proxies that the stream is alive."""
QUIET = ": still here\n\n"


def stream_content(events: dict[str, Any], about_id: str) -> dict[str, Any]:
    """Return the content of a stream in the OpenAPI document.

    Before OpenAPI 3.2 its schema describes each event.
    """
    event = {
        "type": "object",
        "properties": {
            "event": events,
            "id": {"type": "string", "description": about_id},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
        "required": ["event", "id", "data"],
    }
    return {EVENT_STREAM: {"schema": event}}


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "`progress` events, each with the run's state; then one `ended` event with its"
            " report. If another attempt replaces a lost run, the stream goes on with it."
        ),
        "content": stream_content(
            {"enum": ["progress", "ended"]}, "The run's id, and when it changed."
        ),
    },
}


@router.get("/runs/{run_id}/events", response_class=StreamingResponse, responses=_STREAM)
def follow_run(context: Context, run: RunForReader) -> StreamingResponse:
    """Follow a run to its end."""
    events = _events(context.services.followers, run)
    return stream(events)


def stream(events: AsyncIterator[str]) -> StreamingResponse:
    """Return a response of events, which no proxy shall hold back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)


async def _events(followers: Followers, run: Run) -> AsyncIterator[str]:
    async for change in changes(followers, run):
        yield QUIET if change is None else _event(change)


async def changes(followers: Followers, run: Run) -> AsyncIterator[RunChange | None]:
    """Yield each change of a run to its end, and None where there was none for a while."""
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    with followers.following(run) as follower:
        while not follower.is_over and asyncio.get_running_loop().time() < ends_at:
            change = await follower.next(QUIET_SECONDS)
            if change is not None:
                yield change
                if change.run.is_terminal:
                    return
            elif not follower.is_over:
                yield None


@lru_cache(maxsize=64)
def _event(change: RunChange) -> str:
    """Return an event; that of a change is one text for all who follow the run."""
    run = change.run
    if run.is_terminal:
        name, data = "ended", RunModel.of(run).model_dump_json()
    else:
        name, data = "progress", RunSummary.of(run).model_dump_json()
    return f"event: {name}\nid: {run.id}/{run.updated_at.isoformat()}\ndata: {data}\n\n"
