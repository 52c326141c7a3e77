"""Speaks HTTP for dulwich: bounded in time, stoppable, no redirects, counted."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from towline.errors import Cancelled, RedirectRefused, RemoteTimeout, RemoteUnavailable
from towline.remotes.fetcher import FetchRequest, Redirected
from towline.remotes.git_failures import CUT, SILENT, http_error, untrusted
from towline.remotes.incoming import Incoming
from towline.remotes.url import RemoteUrl

T = TypeVar("T")
_POLL_SECONDS = 0.1
_LEFT_OVER = 65536


class HttpTransport:
    """One conversation over HTTP with one origin; a context manager.

    A thread beside it shuts the socket when the caller asks to stop, or when the time is over.
    """

    def __init__(self, talk: FetchRequest, environment: Mapping[str, str]) -> None:
        self.talk = talk
        self._environment = environment
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self.incoming = Incoming(talk)
        self.cause: Exception | None = None
        """Why this side ended the conversation, if it did: all that follows is of no account."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._guard, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._drop()

    def request(
        self, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        """Ask; the answer has status 200, its content is still to be read by `read`.

        Raises:
            RemoteError: any other status, no connection, or silence.
            Redirected: it is a redirect.
        """
        if RemoteUrl.parse(url.partition("?")[0]).origin != self.talk.url.origin:
            raise RedirectRefused(url=self.talk.url.shown, detail="it sends elsewhere for content")
        response = self._bounded(lambda: self._ask(url, headers, body))
        self._response = response
        location = response.headers.get("Location")
        if 300 <= response.status < 400 and location:
            raise Redirected(location)
        if response.status != http.client.OK:
            retry_after = response.headers.get("Retry-After")
            raise http_error(response.status, self.talk, retry_after)
        return response

    def read(self, size: int | None = None) -> bytes:
        """The next bytes of the last answer; all that is left without a size."""
        response = self._response
        assert response is not None, "there is an answer to read"
        data = self._bounded(lambda: response.read(size))
        self.incoming.add(data)
        return data

    def _ask(
        self, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        connection = self._connected()
        target = urlsplit(url)
        path = target.path + (f"?{target.query}" if target.query else "")
        sent = {"User-Agent": "git/towline", "Accept-Encoding": "identity", **headers}
        if self.talk.credential is not None:
            sent["Authorization"] = self.talk.credential.basic
        self.talk.traffic.requests += 1
        connection.request("GET" if body is None else "POST", path, body=body, headers=sent)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        if self._response is not None:
            self._response.read(_LEFT_OVER)  # those who stop at a flush leave the last chunk's end
            if not self._response.isclosed():
                self._drop()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> http.client.HTTPConnection:
        url, limits = self.talk.url, self.talk.limits
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            authorities = self._environment.get("GIT_SSL_CAINFO") or self._environment.get(
                "SSL_CERT_FILE"
            )
            connection = http.client.HTTPSConnection(
                url.host,
                url.port,
                timeout=limits.connect_seconds,
                context=ssl.create_default_context(cafile=authorities),
            )
        else:
            connection = http.client.HTTPConnection(
                url.host, url.port, timeout=limits.connect_seconds
            )
        connection.connect()
        connection.sock.settimeout(limits.idle_seconds)
        self._socket = connection.sock
        return connection

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._response = self._socket = None

    def _bounded(self, action: Callable[[], T]) -> T:
        """Carry out an action, and tell every way to fail as what it is."""
        self.talk.check()
        shown = self.talk.url.shown
        try:
            result = action()
        except TimeoutError:
            raise self.cause or RemoteTimeout(url=shown, detail=SILENT) from None
        except ssl.SSLError as error:
            raise self.cause or untrusted(str(error.reason), self.talk) from None
        except http.client.HTTPException:
            raise self.cause or RemoteUnavailable(url=shown, detail=CUT) from None
        except (OSError, ValueError) as error:
            detail = self.talk.cleaned(getattr(error, "strerror", None) or CUT)
            raise self.cause or RemoteUnavailable(url=shown, detail=detail) from None
        if self.cause is not None:  # a socket that was shut reads as a proper end
            raise self.cause
        return result

    def _guard(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            try:
                self.talk.check()
            except (Cancelled, RemoteTimeout) as cause:
                self.cause = cause
            if self.cause is not None and self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                return
