"""SnapLogic's Git operations on projects, in the words of its public API."""

from fastapi import APIRouter

from towline_server.web.dialect import Dialect

from . import checkout, discarding, pulling, spaces, tracking
from .answers import render
from .callers import FORMS

PREFIX = "/api/1/rest/public"

_router = APIRouter(prefix=PREFIX)
for _part in (pulling, checkout, spaces, discarding, tracking):
    _router.include_router(_part.router)

DIALECT = Dialect(
    tag="SnapLogic",
    description="Git operations on projects: pull, check out, discard, look at, untrack.",
    router=_router,
    prefixes=(PREFIX,),
    render=render,
)

__all__ = ["DIALECT", "FORMS", "PREFIX"]
