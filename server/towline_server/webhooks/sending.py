"""Sends one message to one address, within a time, whatever the other side does.

A tenant names the address, and the server is in its operator's network: the host's name is
resolved here, checked (`towline_server.addresses`), and only a permitted address is connected to.
Redirects are not followed, no proxy is used, and of the answer nothing but status and headers is
read.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field
from datetime import datetime

import httpcore2

from towline.frozen import frozen
from towline_server.addresses import AddressPolicy, Lookup, look_up

from .domain import Result

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new signing secret, as it is shown to its receiver."""
    return _PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, payload: bytes) -> str:
    """Return the signature of one secret, with its version; ``timestamp`` is in seconds."""
    key = b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + payload, "sha256")
    return f"v1,{b64encode(signed).decode()}"


def headers(
    keys: Sequence[str], message_id: str, at: datetime, payload: bytes
) -> Mapping[str, str]:
    """Return the headers of an attempt at a moment; any of the secrets verifies it."""
    timestamp = int(at.timestamp())
    signatures = [signature(key, message_id, timestamp, payload) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


SECONDS = 20.0
"""How long an attempt may take; Standard Webhooks recommends 15 to 30 ("Request timeouts")."""


@frozen(kw_only=True)
class Answer:
    """The answer to an attempt, or why there is none."""

    result: Result
    status: int | None = None
    retry_after: str | None = None
    """The header, as received."""


@frozen(kw_only=True)
class Sender:
    """Sends messages to permitted addresses."""

    policy: AddressPolicy
    seconds: float = SECONDS
    tls: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)
    lookup: Lookup = look_up

    def send(self, url: str, headers: Mapping[str, str], payload: bytes) -> Answer:
        """POST a message; a failure is an answer too."""
        connection = _Connection(self)
        try:
            with connection.cut_in_time():
                return self._post(connection, url, headers, payload)
        except _AddressRefused:
            return Answer(result=Result.ADDRESS_REFUSED)
        except httpcore2.TimeoutException:
            return Answer(result=Result.TIMED_OUT)
        except httpcore2.NetworkError as error:
            if connection.was_cut:
                return Answer(result=Result.TIMED_OUT)
            # The error under it is among its arguments; it is not its cause.
            tls_failed = any(isinstance(each, ssl.SSLError) for each in error.args)
            return Answer(result=Result.TLS_FAILED if tls_failed else Result.UNREACHABLE)
        except httpcore2.ProtocolError:
            return Answer(result=Result.TIMED_OUT if connection.was_cut else Result.NOT_HTTP)

    def _post(
        self, connection: _Connection, url: str, headers: Mapping[str, str], payload: bytes
    ) -> Answer:
        sent: list[tuple[bytes | str, bytes | str]] = [
            ("Content-Type", "application/json"),
            ("User-Agent", "towline"),
            ("Connection", "close"),
            *headers.items(),
        ]
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self.seconds)
        with (
            httpcore2.ConnectionPool(ssl_context=self.tls, network_backend=connection) as pool,
            pool.stream(
                "POST", url, headers=sent, content=payload, extensions={"timeout": timeout}
            ) as answer,
        ):
            found = {name.lower(): value for name, value in answer.headers}
            retry_after = found.get(b"retry-after")
            return Answer(
                result=Result.DELIVERED if 200 <= answer.status < 300 else Result.REFUSED,
                status=answer.status,
                retry_after=None if retry_after is None else retry_after.decode("latin-1"),
            )


class _AddressRefused(Exception):
    """No address of the host may be connected to."""


class _Connection(httpcore2.NetworkBackend):
    """A connection to a permitted address, which is cut when the time is up.

    The time-outs of a socket begin again with each byte: an endpoint that sends one now and then
    would hold the connection for ever.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._ends_at = time.monotonic() + sender.seconds
        self._wire: socket.socket | None = None
        self._lock = threading.Lock()
        self.was_cut = False

    @contextmanager
    def cut_in_time(self) -> Iterator[None]:
        """Cut the connection when the time is up, unless the block has ended."""
        timer = threading.Timer(self._sender.seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                if self._wire is not None:
                    self._wire.close()
                    self._wire = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first permitted address that answers."""
        del timeout
        last: Exception = httpcore2.ConnectError("there is no such host")
        permitted = self._permitted(host, port)
        for tried, address in enumerate(permitted):
            left = self._ends_at - time.monotonic()
            if left <= 0:
                raise httpcore2.ConnectTimeout
            # One that is silent leaves time for those after it.
            share = left / (len(permitted) - tried)
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
                continue
            self._hold(stream)
            return stream
        raise last

    def _permitted(self, host: str, port: int) -> list[str]:
        try:
            found = list(dict.fromkeys(self._sender.lookup(host, port)))
        except (OSError, UnicodeError):
            return []
        permitted = [each for each in found if self._sender.policy.permits(each)]
        if found and not permitted:
            raise _AddressRefused
        return permitted

    def _hold(self, stream: httpcore2.NetworkStream) -> None:
        """Duplicate the socket, so that it can be cut whatever TLS does with the other one."""
        wire: socket.socket = stream.get_extra_info("socket")
        with self._lock:
            self._wire = wire.dup()
        if time.monotonic() >= self._ends_at:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.was_cut = True
            if self._wire is not None:
                with suppress(OSError):
                    self._wire.shutdown(socket.SHUT_RDWR)
