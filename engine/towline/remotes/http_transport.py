"""The HTTP transport for dulwich: within time limits, cancellable, without redirects."""

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
from towline.remotes.fetcher import FetchRequest, Incoming, Redirected
from towline.remotes.git_failures import CUT, SILENT, http_error, untrusted
from towline.remotes.url import RemoteUrl

T = TypeVar("T")
_POLL_SECONDS = 0.1
_UNREAD_BYTES = 65536


class HttpTransport:
    """An HTTP connection to one origin; a context manager.

    A thread closes the socket when the caller cancels, or when the time is over.
    """

    def __init__(self, request: FetchRequest, environment: Mapping[str, str]) -> None:
        self.request = request
        self._environment = environment
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self.incoming = Incoming(request)
        self.cause: Exception | None = None
        """Why this side closed the connection, if it did; errors that follow are a consequence."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()
        self._drop()

    def send(
        self, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        """Send a request, and return its response of status 200; `read` reads the content.

        Raises:
            RemoteError: any other status, no connection, or no response in time.
            Redirected: it is a redirect.
        """
        if RemoteUrl.parse(url.partition("?")[0]).origin != self.request.url.origin:
            shown = self.request.url.shown
            raise RedirectRefused(url=shown, detail="it refers to another origin")
        response = self._run(lambda: self._exchange(url, headers, body))
        self._response = response
        location = response.headers.get("Location")
        if 300 <= response.status < 400 and location:
            raise Redirected(location)
        if response.status != http.client.OK:
            retry_after = response.headers.get("Retry-After")
            raise http_error(response.status, self.request, retry_after)
        return response

    def read(self, size: int | None = None) -> bytes:
        """Return the next bytes of the response; without a size, all that are left."""
        response = self._response
        assert response is not None, "send() comes first"
        data = self._run(lambda: response.read(size))
        self.incoming.add(data)
        return data

    def _exchange(
        self, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        connection = self._connected()
        target = urlsplit(url)
        path = target.path + (f"?{target.query}" if target.query else "")
        sent = {"User-Agent": "git/towline", "Accept-Encoding": "identity", **headers}
        if self.request.credential is not None:
            sent["Authorization"] = self.request.credential.basic
        self.request.traffic.requests += 1
        connection.request("GET" if body is None else "POST", path, body=body, headers=sent)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        if self._response is not None:
            self._response.read(
                _UNREAD_BYTES
            )  # who stops at a flush packet leaves the end of the last chunk
            if not self._response.isclosed():
                self._drop()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> http.client.HTTPConnection:
        url, limits, environment = self.request.url, self.request.limits, self._environment
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            authorities = environment.get("GIT_SSL_CAINFO") or environment.get("SSL_CERT_FILE")
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

    def _run(self, action: Callable[[], T]) -> T:
        """Run an action on the connection; its exceptions become typed errors."""
        self.request.check()
        shown = self.request.url.shown
        try:
            result = action()
        except TimeoutError:
            raise self.cause or RemoteTimeout(url=shown, detail=SILENT) from None
        except ssl.SSLError as error:
            raise self.cause or untrusted(str(error.reason), self.request) from None
        except http.client.HTTPException:
            raise self.cause or RemoteUnavailable(url=shown, detail=CUT) from None
        except (OSError, ValueError) as error:
            detail = self.request.cleaned(getattr(error, "strerror", None) or CUT)
            raise self.cause or RemoteUnavailable(url=shown, detail=detail) from None
        if self.cause is not None:  # a closed socket reads as the end of the content
            raise self.cause
        return result

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            try:
                self.request.check()
            except (Cancelled, RemoteTimeout) as cause:
                self.cause = cause
            if self.cause is not None and self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                return
