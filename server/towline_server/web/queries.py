"""Queries that name what an operation does not take: refused, as a typo would else be ignored."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


def known_query(request: Request) -> None:
    """A dependency: every parameter of the query is one of the operation's.

    Raises:
        RequestValidationError: one is not.
    """
    route: APIRoute = request.scope["route"]
    taken = set(_parameters(route.dependant))
    unknown = [name for name in request.query_params if name not in taken]
    if unknown:
        words = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
        msg = f"is no parameter of this operation; {words}"
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": msg, "type": "extra_forbidden"} for name in unknown]
        )


def _parameters(dependant: Dependant) -> Iterator[str]:
    """The query parameters of an operation and of all that it depends on."""
    for parameter in dependant.query_params:
        yield parameter.alias
    for each in dependant.dependencies:
        yield from _parameters(each)
