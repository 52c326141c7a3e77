"""What surrounds even the failures: counting, and headers that hold browsers back.

Plain ASGI, as its neighbours in `middleware`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towline_server import metrics
from towline_server.auth.clock import Clock

from .prefixes import under

OPERATIONS = "operations"
"""The dialect of whatever path no dialect answers."""

_HEADERS = {
    # Answers are of one caller: no cache between shall hand them to another.
    "Cache-Control": "no-store",
    # No answer is a page, whatever bytes an asset holds.
    "Content-Security-PullOptions": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-PullOptions": "same-origin",
    "Referrer-PullOptions": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


class SecurityHeaders:
    """Gives each answer the headers above, but for those that its route has set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = {**_HEADERS, **(_OVER_TLS if scope["scheme"] == "https" else {})}

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, secured)


class Counted:
    """Counts each request under the dialect of its path (`towline_server.metrics`)."""

    def __init__(
        self, app: ASGIApp, dialects: Mapping[str, str], clock: Clock = time.perf_counter
    ) -> None:
        self._app = app
        self._dialects = dialects
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = self._clock()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            dialect = under(self._dialects, scope["path"], OPERATIONS)
            metrics.request_answered(dialect, scope["method"], status, self._clock() - began)
