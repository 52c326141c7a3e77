"""Whether the process lives, and whether it can serve: for supervisors and load balancers."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from towline_server import disk
from towline_server.db import is_current
from towline_server.db.failures import FAILURES, is_full
from towline_server.errors import Unavailable
from towline_server.services import services_of

from .refusals import refusals

router = APIRouter(tags=["operations"], responses=refusals(400))


class Health(BaseModel):
    """The answer of both."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Answer as long as the process can."""
    return Health()


@router.get("/readyz", responses=refusals(503))
def readyz(request: Request) -> Health:
    """Answer 200 if requests can be served now, else 503."""
    try:
        with services_of(request).database.reading() as session:
            current = is_current(session.connection())
    except FAILURES as error:
        full = "the database's disk is full" if is_full(error) else "the database cannot be reached"
        raise Unavailable(problem=full) from None
    if not current:
        # Another version has migrated it meanwhile: what this one would read or write is unknown.
        raise Unavailable(problem="the database's tables are those of another version")
    if disk.is_full(services_of(request).settings.data_dir):
        raise Unavailable(problem="the disk of data_dir is full")
    if stalled := services_of(request).stalled:
        raise Unavailable(problem=f"standing still: {', '.join(stalled)}")
    return Health()
