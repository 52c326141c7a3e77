"""``/runs/{id}/events``: the progress of a run as server-sent events, to its end.

A stream holds neither a thread nor a session: it reads the run when this process is notified of a
change, else twice a second for what another process executes. A server that stops ends its streams
at once; a client that reconnects follows the run on the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Event
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from towline_server.runs.domain import Run
from towline_server.runs.service import Runs
from towline_server.web.schemas import problems

from .access import Context, NativeRoute, RunForReader
from .runs import RunModel, RunSummary

router = APIRouter(route_class=NativeRoute)

STREAM_SECONDS = 600.0
"""A stream ends then. A client that reconnects, as browsers do, is authorised again."""
_LOOK_SECONDS = 0.5
_TICK_SECONDS = 0.1
_QUIET_LOOKS = 30
"""Looks without news after which a comment shows proxies that the stream is alive."""

_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", "ended"]},
        "id": {"type": "string", "description": "The run's id, and when it changed."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "id", "data"],
}
"""In OpenAPI before 3.2 a stream's schema describes each event."""
_STREAM: dict[int | str, dict[str, Any]] = {
    **problems(),
    200: {
        "description": (
            "`progress` events, each with the run as it is; then one `ended` event with its"
            " report. An attempt that replaces a lost one follows in the same stream."
        ),
        "content": {"text/event-stream": {"schema": _EVENT}},
    },
}


@router.get("/runs/{run_id}/events", response_class=StreamingResponse, responses=_STREAM)
def follow_run(request: Request, context: Context, run: RunForReader) -> StreamingResponse:
    """Follow a run to its end."""
    events = _events(context.services.runs, run.id, request.app.state.stopping)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(runs: Runs, run_id: UUID, stopping: Event) -> AsyncIterator[str]:
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    sent, quiet = None, 0
    while asyncio.get_running_loop().time() < ends_at and not stopping.is_set():
        version = runs.version()
        # Follows the attempts that replace a lost one.
        run = await run_in_threadpool(runs.wait, run_id, 0)
        quiet += 1
        if (run.id, run.updated_at) != sent:
            sent, quiet = (run.id, run.updated_at), 0
            yield _event(run)
        elif quiet >= _QUIET_LOOKS:
            quiet = 0
            yield ": still here\n\n"
        if run.is_terminal:
            return
        await _news(runs, version, stopping)


async def _news(runs: Runs, version: int, stopping: Event) -> None:
    """Wait for a change, but no longer than another process's may go unseen."""
    waited = 0.0
    while waited < _LOOK_SECONDS and runs.version() == version and not stopping.is_set():
        await asyncio.sleep(_TICK_SECONDS)
        waited += _TICK_SECONDS


def _event(run: Run) -> str:
    if run.is_terminal:
        name, data = "ended", RunModel.of(run).model_dump_json()
    else:
        name, data = "progress", RunSummary.of(run).model_dump_json()
    return f"event: {name}\nid: {run.id}/{run.updated_at.isoformat()}\ndata: {data}\n\n"
