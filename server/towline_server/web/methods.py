"""What may be asked of a path: the methods of all of its routes, and HEAD where GET is."""

from __future__ import annotations

from dataclasses import replace

from anyio import CancelScope
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towline_server.problems import Failure

from .prefixes import under

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def with_methods(request: Request, failure: Failure) -> Failure:
    """A refused method's failure, telling every method that the path takes."""
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
    """Answers HEAD as GET, without the body; a stream ends with its headers."""

    def __init__(self, app: ASGIApp, head: dict[str, bool]) -> None:
        self._app = app
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        heads = scope["type"] == "http" and scope["method"] == "HEAD"
        if not heads or not under(self._head, scope["path"], default=False):
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
