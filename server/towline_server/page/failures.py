"""Failures as pages: who is not signed in is sent to sign in, and comes back."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from towline_server.problems import Failure, request_id_of

from .rendering import page
from .visitor import came_from, go, here, local, sign_in_address

_REDIRECT = "HX-Redirect"
"""What htmx follows with the whole page."""


def render(request: Request, failure: Failure) -> Response:
    """Render a failure as a page."""
    if failure.code == "unauthenticated":
        return _sign_in(request)
    values = {
        "failure": failure,
        "title": HTTPStatus(failure.status).phrase,
        "request_id": request_id_of(request),
        "back": came_from(request),
    }
    return page("failure.html", values, failure.status)


def _sign_in(request: Request) -> Response:
    if request.headers.get("hx-request") == "true":
        shown = request.headers.get("hx-current-url", "")
        at = local("/" + shown.split("://", 1)[-1].partition("/")[2])
        return Response(status_code=401, headers={_REDIRECT: sign_in_address(at)})
    return go(sign_in_address(here(request)))
