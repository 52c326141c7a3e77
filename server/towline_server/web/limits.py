"""Limits of size and rate: how large a body may be, and how often a caller may send a request."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towline.limits import MIB
from towline_server.errors import BodyTooLarge, TooManyRequests, Unavailable
from towline_server.recent import Recent
from towline_server.settings import Settings

from .dialect import under

UNLIMITED = frozenset({"/healthz", "/metrics", "/readyz"})
_LIMITS = "rate_limits"
"""Where a request's state has its policies: for each name its parameters, and what is left."""
_LARGE = MIB
_LARGE_AT_ONCE = 32
"""How many bodies of more than `_LARGE` bytes are received at once."""


class BodyLimit:
    """Reads a request's body up to a bound, before the application does.

    Where ``streams`` is true, the body is bounded as its route reads it.
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
        """Yield a receiver of the same messages that refuses more bytes than allowed."""
        size, large = 0, False

        async def bounded() -> Message:
            nonlocal size, large
            message = await receive()
            size += len(message.get("body", b""))
            if size > allowed:
                raise BodyTooLarge(allowed=allowed)
            if size > _LARGE and not large:
                if self._large >= _LARGE_AT_ONCE:
                    raise Unavailable(problem="too many large bodies at once; try again later")
                self._large += 1
                large = True
            return message

        try:
            yield bounded
        finally:
            self._large -= large


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receiver of the body, then of what else comes: a disconnect."""
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
    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    _buckets: Recent[str, tuple[float, float]] = field(init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        self._buckets = Recent(self.most)

    def take(self, name: str) -> float:
        """Take one, and return how many are left of ``burst``.

        Raises:
            TooManyRequests: the bucket is empty.
        """
        if self.per_second == 0:
            return self.burst
        now = self.clock()
        with self._lock:
            left, since = self._buckets.get(name, (float(self.burst), now))
            left = min(float(self.burst), left + (now - since) * self.per_second)
            self._buckets[name] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise TooManyRequests(retry_after=max(1, round((1 - left) / self.per_second)))
        return left - 1


class RateLimit:
    """Bounds how often one credential, and one address, may send a request."""

    def __init__(self, app: ASGIApp, credentials: TokenBuckets, addresses: TokenBuckets) -> None:
        self._app = app
        self._credentials = credentials
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            TooManyRequests: a bucket is empty.
        """
        if scope["path"] not in UNLIMITED:
            _take(scope, "address", self._addresses, address_of(scope))
            if (name := _credential_digest(Headers(scope=scope))) is not None:
                _take(scope, "credential", self._credentials, name)
        await self._app(scope, receive, send)


def _take(scope: Scope, policy: str, buckets: TokenBuckets, name: str) -> None:
    """Take one from a bucket, and note for `add_rate_limits` what is left."""
    per_second, burst, left = buckets.per_second, buckets.burst, 0.0
    try:
        left = buckets.take(name)
    finally:
        if per_second:
            full, refilled = burst / per_second, (burst - left) / per_second
            limits = scope.setdefault("state", {}).setdefault(_LIMITS, {})
            limits[policy] = (
                f"q={burst};w={math.ceil(full)}",
                f"r={int(left)};t={math.ceil(refilled)}",
            )


def add_rate_limits(scope: Scope, headers: MutableHeaders) -> None:
    """Add what `RateLimit` allows to an answer: ``RateLimit-Policy`` and ``RateLimit``.

    Their form is that of draft-ietf-httpapi-ratelimit-headers-10: of each policy the quota ``q``
    and the seconds ``w`` that refill it, and how many requests remain (``r``; ``t`` seconds until
    the quota is whole again).
    """
    if found := scope.get("state", {}).get(_LIMITS):
        named = {f'"{name}"': limit for name, limit in sorted(found.items())}
        headers["RateLimit-Policy"] = ", ".join(f"{n};{p}" for n, (p, _) in named.items())
        headers["RateLimit"] = ", ".join(f"{n};{s}" for n, (_, s) in named.items())


def address_of(scope: Scope) -> str:
    """Return the caller's address."""
    client = scope.get("client")
    return client[0] if client else ""


def _credential_digest(headers: Headers) -> str | None:
    """Return a name for the credential of a request, valid or not."""
    for header in ("authorization", "x-api-key", "nected-api-key", "cookie"):
        if value := headers.get(header):
            return hashlib.sha256(f"{header}\0{value}".encode()).hexdigest()
    return None


class RequestLimits:
    """The limits of requests under settings that may change.

    ``work`` are the paths where external executors hand in their plans, ``streamed`` the prefixes
    below which routes read bodies as they come.
    """

    def __init__(
        self, settings: Settings, work: Collection[str] = (), streamed: Collection[str] = ()
    ) -> None:
        self.credentials = TokenBuckets(settings.rate_per_second, settings.rate_burst)
        self.addresses = TokenBuckets(settings.address_rate_per_second, settings.address_rate_burst)
        self._settings = settings
        self._work = work
        self._streamed = dict.fromkeys(streamed, True)

    def streams(self, scope: Scope) -> bool:
        """Return whether the route reads the body as it comes."""
        return under(self._streamed, scope["path"], default=False)

    def body(self, scope: Scope) -> int:
        """Return how many bytes a request's body may have."""
        if scope["path"] in self._work:
            return self._settings.work_body_bytes
        if self.streams(scope):
            return self._settings.hook_body_bytes
        put = scope["method"] == "PUT"
        return self._settings.asset_body_bytes if put else self._settings.body_bytes

    def change(self, settings: Settings) -> None:
        """Apply other settings from now on; buckets are not refilled."""
        self._settings = settings
        self.credentials.per_second = settings.rate_per_second
        self.credentials.burst = settings.rate_burst
        self.addresses.per_second = settings.address_rate_per_second
        self.addresses.burst = settings.address_rate_burst
