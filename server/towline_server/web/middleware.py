"""What surrounds every request: its id, its line in the log, failures, how often, how much.

All of it is plain ASGI; the order here is from the outermost in.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from asyncio import CancelledError
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towline.errors import InvalidValue
from towline.limits import MIB
from towline_server import logs
from towline_server.auth.clock import Clock, monotonic
from towline_server.errors import BodyTooLarge, TooManyRequests, Unavailable
from towline_server.problems import failure_of

from .envelopes import Envelopes

REQUEST_ID = "X-Request-Id"
UNLIMITED = frozenset({"/healthz", "/metrics", "/readyz"})
_log = logging.getLogger("towline_server.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestLog:
    """Gives each request an id (the caller's, if it is fit to be one) and a line in the log."""

    def __init__(self, app: ASGIApp, clock: Clock = time.perf_counter) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._id(Headers(scope=scope).get(REQUEST_ID, ""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        began = self._clock()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with logs.about(request_id=request_id):
            try:
                await self._app(scope, receive, with_id)
            finally:
                # Neither query nor headers nor body: any of them may hold a secret.
                about = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "milliseconds": round((self._clock() - began) * 1000, 1),
                }
                level = logging.DEBUG if scope["path"] in UNLIMITED else logging.INFO
                _log.log(level, "request", extra=about)

    @staticmethod
    def _id(given: str) -> str:
        return given if _REQUEST_ID.fullmatch(given) else str(uuid4())


class Failures:
    """Answers whatever no handler has answered, in the envelope of the path."""

    def __init__(self, app: ASGIApp, envelopes: Envelopes) -> None:
        self._app = app
        self._envelopes = envelopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
            await self._envelopes.render(Request(scope), failure_of(stops))(scope, receive, send)
        except Exception as error:
            failure = failure_of(error)
            if failure.status >= 500:
                _log.exception("request failed", exc_info=error)
            if started:
                raise
            response = self._envelopes.render(Request(scope), failure)
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
        if scope["type"] == "http":
            for field, raw in (("path", scope.get("raw_path")), ("query", scope["query_string"])):
                try:
                    unquote_to_bytes(raw or b"").decode()
                except UnicodeDecodeError:
                    raise InvalidValue(field=field, problem="is not UTF-8 when decoded") from None
        await self._app(scope, receive, send)


_LARGE = MIB
_LARGE_AT_ONCE = 32
"""Bodies of more than `_LARGE` bytes that are taken side by side: any caller may send one."""


class BodyLimit:
    """Reads a request's body up to a bound before anything else looks at it.

    What ``streams`` is bounded as its route reads it.
    """

    def __init__(
        self,
        app: ASGIApp,
        allowed: Callable[[Scope], int],
        streams: Callable[[Scope], bool] = lambda _: False,
    ) -> None:
        self._app = app
        self._allowed = allowed
        self._streams = streams
        self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            BodyTooLarge: it announces or sends more than is allowed.
            Unavailable: it is large, and so are too many others.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowed = self._allowed(scope)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > allowed:
            raise BodyTooLarge(allowed=allowed)
        with self._bounded(receive, allowed) as bounded:
            if self._streams(scope):
                with suppress(ClientDisconnect):
                    await self._app(scope, bounded, send)
                return
            parts, more = [], True
            while more:
                message = await bounded()
                if message["type"] == "http.disconnect":
                    return
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            await self._app(scope, _replay(b"".join(parts), receive), send)

    @contextmanager
    def _bounded(self, receive: Receive, allowed: int) -> Iterator[Receive]:
        """The same messages, up to so many bytes in all, while the request is under way."""
        size, large = 0, False

        async def bounded() -> Message:
            nonlocal size, large
            message = await receive()
            size += len(message.get("body", b""))
            if size > allowed:
                raise BodyTooLarge(allowed=allowed)
            if size > _LARGE and not large:
                if self._large >= _LARGE_AT_ONCE:
                    raise Unavailable(problem="too many large bodies arrive now; try again later")
                self._large += 1
                large = True
            return message

        try:
            yield bounded
        finally:
            self._large -= large


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, then whatever else comes: the caller's leaving."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


@dataclass(slots=True)
class TokenBuckets:
    """A bucket for each name: ``burst`` at once, ``per_second`` sustained; 0 means no limit."""

    per_second: float
    burst: int
    clock: Clock = monotonic
    most: int = 10_000
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def take(self, name: str) -> None:
        """Take one.

        Raises:
            TooManyRequests: the bucket is empty.
        """
        if self.per_second == 0:
            return
        now = self.clock()
        with self._lock:
            left, since = self._buckets.pop(name, (float(self.burst), now))
            left = min(float(self.burst), left + (now - since) * self.per_second)
            self._buckets[name] = (left - 1 if left >= 1 else left, now)
            while len(self._buckets) > self.most:
                self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyRequests(retry_after=max(1, round((1 - left) / self.per_second)))


class RateLimit:
    """Bounds how often one credential, and one address, may ask."""

    def __init__(self, app: ASGIApp, credentials: TokenBuckets, addresses: TokenBuckets) -> None:
        self._app = app
        self._credentials = credentials
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            TooManyRequests: a bucket is empty.
        """
        if scope["type"] == "http" and scope["path"] not in UNLIMITED:
            self._addresses.take(address_of(scope))
            if (name := _credential_digest(Headers(scope=scope))) is not None:
                self._credentials.take(name)
        await self._app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """The caller's address."""
    client = scope.get("client")
    return client[0] if client else ""


def _credential_digest(headers: Headers) -> str | None:
    """A name for the credential that the request carries; it need not be a good one."""
    for header in ("authorization", "x-api-key", "nected-api-key", "cookie"):
        if value := headers.get(header):
            return hashlib.sha256(f"{header}\0{value}".encode()).hexdigest()
    return None
