"""ASGI middleware: the log, metrics, failures, security headers, HEAD and the Allow header.

`towline_server.app` adds these, and those of `limits`, in order. They get requests alone: the
application passes the lifespan on itself.
"""

from __future__ import annotations

import logging
import re
import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from anyio import CancelScope
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towline.errors import InvalidValue
from towline_server import logs, metrics, telemetry
from towline_server.audit.actor import Actor, acting
from towline_server.errors import Unavailable
from towline_server.problems import Failure, Render, failure_of

from .dialect import under
from .limits import UNLIMITED, address_of

REQUEST_ID = "X-Request-Id"
TRACE = "traceresponse"
OPERATIONS = "operations"
"""Counts the paths of no dialect."""
_log = logging.getLogger("towline_server.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestLog:
    """Gives each request an id (the caller's, if it is valid), a line in the log, and a metric."""

    def __init__(
        self,
        app: ASGIApp,
        dialects: Mapping[str, str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._dialects = dialects
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        method, path = scope["method"], scope["path"]
        status = 500
        began = self._clock()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                if trace is not None:
                    headers[TRACE] = trace
            await send(message)

        with (
            logs.about(request_id=request_id),
            acting(Actor(address=address_of(scope), request_id=request_id)),
            telemetry.server_span(method, Headers(scope=scope)) as span,
        ):
            trace = telemetry.trace_response()
            try:
                await self._app(scope, receive, with_id)
            finally:
                telemetry.request_ended(span, method, _route_of(scope), status)
                seconds = self._clock() - began
                metrics.request_answered(
                    under(self._dialects, path, OPERATIONS), method, status, seconds
                )
                # Neither query nor headers nor body: any of them may hold a secret.
                about = {
                    "method": method,
                    "path": path,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 1),
                }
                level = logging.DEBUG if path in UNLIMITED else logging.INFO
                _log.log(level, "request", extra=about)


def _route_of(scope: Scope) -> str | None:
    """Return the path of a request's route, with the names of its parameters for their values."""
    # The route's own path lacks the prefixes of the routers that include it.
    route = scope.get("fastapi", {}).get("effective_route_context", scope.get("route"))
    path: str | None = getattr(route, "path", None)
    return path


class Failures:
    """Renders what no handler has caught, in the envelope of the path."""

    def __init__(self, app: ASGIApp, render: Render) -> None:
        self._app = app
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except CancelledError:
            # The server stops, and has waited for this request as long as it may.
            if started:
                raise
            stops = Unavailable(problem="the server is stopping; try again later")
            await self._render(Request(scope), failure_of(stops))(scope, receive, send)
        except Exception as error:
            failure = failure_of(error)
            # 502 and 504 are failures of the host of a repository, not of this server.
            if failure.status >= 500 and failure.status not in (502, 504):
                _log.exception("request failed", exc_info=error)
            if started:
                raise
            response = self._render(Request(scope), failure)
            await response(scope, receive, send)


class DecodablePath:
    """Refuses addresses whose percent-encoded bytes are no UTF-8: servers replace those silently.

    Two names that differ would be one, and not the one that the caller wrote.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            InvalidValue: the path or the query is not UTF-8.
        """
        for field, raw in (("path", scope.get("raw_path")), ("query", scope["query_string"])):
            try:
                unquote_to_bytes(raw or b"").decode()
            except UnicodeDecodeError:
                raise InvalidValue(field=field, problem="is not UTF-8 when decoded") from None
        await self._app(scope, receive, send)


_HEADERS = {
    # Responses are for one caller: no cache between may return them to another.
    "Cache-Control": "no-store",
    # No response is a page, even if an asset's bytes are.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


def add_security(scope: Scope, headers: MutableHeaders) -> None:
    """Add the headers above to an answer, except those that its route has set."""
    for name, value in {**_HEADERS, **(_OVER_TLS if scope["scheme"] == "https" else {})}.items():
        headers.setdefault(name, value)


class ResponseHeaders:
    """Adds headers to each response, refusals included; ``adding`` gets the request and them."""

    def __init__(self, app: ASGIApp, *adding: Callable[[Scope, MutableHeaders], None]) -> None:
        self._app = app
        self._adding = adding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                for add in self._adding:
                    add(scope, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, with_headers)


_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def with_methods(request: Request, failure: Failure) -> Failure:
    """Return a failure, if of a refused method with every method that the path has."""
    if failure.status != 405:
        return failure
    routes, head = request.app.router.routes, request.app.state.head
    taken = {method for method in _METHODS if _takes(routes, request, method)}
    if "GET" in taken and under(head, request.scope["path"], default=False):
        taken.add("HEAD")
    return replace(failure, headers={**failure.headers, "Allow": ", ".join(sorted(taken))})


def _takes(routes: list[BaseRoute], request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


class HeadAsGet:
    """Handles HEAD as GET, without the body; a stream ends with its headers."""

    def __init__(self, app: ASGIApp, head: dict[str, bool]) -> None:
        self._app = app
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["method"] != "HEAD" or not under(self._head, scope["path"], default=False):
            await self._app(scope, receive, send)
            return
        answered = False

        async def without_body(message: Message) -> None:
            nonlocal answered
            if message["type"] != "http.response.body":
                await send(message)
            elif not answered:
                answered = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                if message.get("more_body", False):
                    rest.cancel()

        with CancelScope() as rest:
            await self._app({**scope, "method": "GET"}, receive, without_body)
