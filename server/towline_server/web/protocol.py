"""Bounded HTTP/1.1 connections: how long a request may take to arrive, how many may be open.

uvicorn waits for ever for the rest of a request that has begun, and accepts connections until no
descriptor is left.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from towline_server import metrics
from towline_server.settings import Settings

_BACKLOG = 128
"""Connections that wait to be accepted; asyncio accepts as many before it looks at any of them."""
_RESERVED = 3 * _BACKLOG
"""Descriptors for all but connections, those included which are accepted or closed this moment."""


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration of a server whose connections are bounded."""

    def __init__(self, app: ASGIApp, settings: Settings, **options: Any) -> None:
        super().__init__(app, http=BoundedProtocol, ws="none", backlog=_BACKLOG, **options)
        self.settings = settings
        self.open = OpenConnections(
            in_all=max(1, min(settings.connections_at_once, _raised_descriptors() - _RESERVED)),
            of_address=settings.address_connections_at_once,
            proxies=settings.trusted_proxies,
        )


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which gives up on requests that do not arrive in time."""

    config: BoundedConfig

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._awaited: type[h11.IDLE] | type[h11.SEND_BODY] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the client has yet to send a request, or the rest of one."""
        return self._awaited is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it where there are too many."""
        super().connection_made(transport)
        if self.config.open.add(self):
            self._watch()
        else:
            self._close(b"503 Service Unavailable", "refused")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.config.open.discard(self)
        self._unset_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def evict(self) -> None:
        """Make room for another connection."""
        metrics.CONNECTIONS_CLOSED.labels("evicted").inc()
        self.transport.abort()

    def _watch(self) -> None:
        """Time what the client has to send next; parts of it do not begin the time again."""
        state = self.conn.their_state
        awaited = state if state in (h11.IDLE, h11.SEND_BODY) else None
        if awaited is self._awaited:
            return
        self._unset_timer()
        self._awaited = awaited
        settings = self.config.settings
        if awaited is not None:
            seconds = settings.header_seconds if awaited is h11.IDLE else settings.body_seconds
            self._timer = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._awaited is h11.IDLE:
            half_sent = bool(self.conn.trailing_data[0])
            self._close(b"408 Request Timeout" if half_sent else b"", "header_timeout")
        else:
            begun = self.cycle.response_started
            self._close(b"" if begun else b"408 Request Timeout", "body_timeout")

    def _close(self, status: bytes, reason: str) -> None:
        """Close the connection, with an answer of this status unless it is empty."""
        metrics.CONNECTIONS_CLOSED.labels(reason).inc()
        if status:
            ends = b"Content-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n"
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + ends)
        self.transport.close()

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OpenConnections:
    """The connections that are open, oldest first, in all and by address.

    Where there are too many, the oldest one whose client has yet to send something makes room.
    ``proxies`` are addresses and networks that send for many: only ``in_all`` bounds them.
    """

    def __init__(self, *, in_all: int, of_address: int, proxies: Sequence[str] = ()) -> None:
        self._in_all = in_all
        self._of_address = of_address
        self._any_proxy = "*" in proxies
        self._proxies = [ip_network(each) for each in proxies if _is_network(each)]
        self._all: dict[BoundedProtocol, str] = {}
        self._of: dict[str, dict[BoundedProtocol, None]] = {}

    def add(self, connection: BoundedProtocol) -> bool:
        """Take a connection; False: there are too many, and all are busy."""
        name = self._name(connection.client[0] if connection.client else "")
        beside = self._of.get(name, {})
        if name and len(beside) >= self._of_address and not self._evict(beside):
            return False
        if len(self._all) >= self._in_all and not self._evict(self._all):
            return False
        self._all[connection] = name
        self._of.setdefault(name, {})[connection] = None
        return True

    def discard(self, connection: BoundedProtocol) -> None:
        """Forget a connection; one that is not here is forgotten already."""
        name = self._all.pop(connection, None)
        if name is not None:
            del self._of[name][connection]
            if not self._of[name]:
                del self._of[name]

    def _evict(self, connections: Iterable[BoundedProtocol]) -> bool:
        oldest = next((each for each in connections if each.is_waiting), None)
        if oldest is None:
            return False
        self.discard(oldest)
        oldest.evict()
        return True

    def _name(self, client: str) -> str:
        """Return what an address counts as: itself, in IPv6 its /64; empty: unbounded."""
        if not client or self._any_proxy:
            return ""
        address = ip_address(client.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._proxies):
            return ""
        if isinstance(address, IPv6Address):
            return str(ip_network((int(address), 64), strict=False))
        return str(address)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _raised_descriptors() -> int:
    """Raise the limit of open descriptors as far as allowed, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A system may refuse what it calls unlimited.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
