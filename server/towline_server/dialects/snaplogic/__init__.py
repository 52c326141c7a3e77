"""SnapLogic's Git operations on projects, in the words of its public API."""

from fastapi import APIRouter

from towline_server.web.dialect import Dialect

from . import pulls, status
from .access import FORMS
from .responses import ERRORS, render

PREFIX = "/api/1/rest/public"

_router = APIRouter(prefix=PREFIX, responses=ERRORS)
for _part in (pulls, status):
    _router.include_router(_part.router)

DIALECT = Dialect(
    tag="SnapLogic",
    description="Git operations on projects: pull, check out, discard, look at, untrack.",
    router=_router,
    prefixes=(PREFIX,),
    render=render,
)

__all__ = ["DIALECT", "FORMS", "PREFIX"]
