"""The native API, ``/api/towline/v1``: everything the control plane can do, a module a resource."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from towline_server.problems import Failure, problem
from towline_server.web.dialect import Dialect
from towline_server.web.schemas import known_query, problems

from . import (
    admin,
    asset_events,
    assets,
    audit,
    conflicts,
    connections,
    events,
    plans,
    projects,
    pulls,
    push_hooks,
    resolutions,
    runs,
    schedules,
    webhooks,
    work,
)

PREFIX = "/api/towline/v1"


def _render(request: Request, failure: Failure) -> Response:
    """Problem details; an If-Match that failed is 412, as HTTP has it."""
    if failure.code == "asset_changed":
        failure = replace(failure, status=412)
    return problem(request, failure)


def _router() -> APIRouter:
    router = APIRouter()
    for module in (
        projects,
        connections,
        assets,
        asset_events,
        plans,
        conflicts,
        resolutions,
        pulls,
        runs,
        events,
        schedules,
        webhooks,
        work,
        admin,
        audit,
    ):
        router.include_router(
            module.router,
            prefix=PREFIX,
            dependencies=[Depends(known_query)],
            responses=problems(),
        )
    router.include_router(push_hooks.router)
    return router


DIALECT = Dialect(
    tag="native",
    description="towline's own API; errors are RFC 9457 problem details.",
    router=_router(),
    prefixes=(PREFIX, "/hooks"),
    render=_render,
    head=(PREFIX,),
    streamed="/hooks",
    gauges=webhooks.gauges,
    work=frozenset({f"{PREFIX}/work/complete"}),
)

__all__ = ["DIALECT", "PREFIX"]
