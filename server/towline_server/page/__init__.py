"""What browsers get at ``/``, ``/docs`` and below ``/ui``, rendered here, without a build step.

A module a part of it. Each parses, authorises, calls the services that the native API calls, and
renders a template; forms work without scripts, and htmx only saves reloading.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends

from towline_server.web.dialect import Dialect

from . import (
    assets,
    audit,
    bundle,
    conflicts,
    connections,
    history,
    oidc,
    people,
    plans,
    project_settings,
    projects,
    reference,
    runs,
    schedules,
    sign_in,
    webhooks,
)
from .failures import render
from .visitor import checked_form

_router = APIRouter(include_in_schema=False, dependencies=[Depends(checked_form)])
for _module in (
    bundle,
    sign_in,
    oidc,
    projects,
    assets,
    conflicts,
    plans,
    runs,
    history,
    schedules,
    project_settings,
    connections,
    webhooks,
    people,
    audit,
    reference,
):
    _router.include_router(_module.router)

DIALECT = Dialect(
    tag="page",
    description="Pages for browsers.",
    router=_router,
    prefixes=("/", "/docs", "/ui"),
    render=render,
    head=("/", "/docs", "/ui"),
    is_documented=False,
)

__all__ = ["DIALECT"]
