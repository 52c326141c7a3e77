"""What may be asked of a path: the methods of all of its routes, not of the first one alone."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.routing import BaseRoute, Match

from towline_server.problems import Failure

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def with_methods(request: Request, failure: Failure) -> Failure:
    """A refused method's failure, telling every method that the path takes."""
    if failure.status != 405:
        return failure
    routes = request.app.router.routes
    taken = [method for method in _METHODS if _takes(routes, request, method)]
    return replace(failure, headers={**failure.headers, "Allow": ", ".join(taken)})


def _takes(routes: list[BaseRoute], request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
