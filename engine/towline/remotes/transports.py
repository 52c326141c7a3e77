"""The transports for dulwich, HTTP and ssh: within time limits, cancellable, without redirects."""

from __future__ import annotations

import http.client
import os
import select
import shlex
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar
from urllib.parse import urlsplit

from towline.errors import Cancelled, RedirectRefused, RemoteTimeout, RemoteUnavailable
from towline.remotes.fetcher import ADVERTISED, FetchRequest, PackTooLarge, Redirected
from towline.remotes.git_failures import CUT, SILENT, http_error, untrusted
from towline.remotes.git_process import closed_environment, restrict
from towline.remotes.ssh import SshLog, ssh_options
from towline.remotes.url import RemoteUrl, Scheme

T = TypeVar("T")
_POLL_SECONDS = 0.1
_MESSAGE_BYTES = 65536
_UNREAD_BYTES = 65536
_TAIL_BYTES = 4096


@dataclass
class Incoming:
    """Counts and bounds the bytes that a remote sends, before the pack and in all."""

    request: FetchRequest
    tail: bytes = b""
    """The last bytes."""
    count: int = 0
    progress: bytes = b""
    """The end of the remote's progress messages, sent beside the pack."""
    is_pack: bool = False
    """Whether the pack has begun, after the refs and the negotiation."""

    def add(self, data: bytes) -> None:
        """Count bytes.

        Raises:
            LimitExceeded: the refs exceed the limit.
            PackTooLarge: the whole response exceeds the limits.
        """
        self.count += len(data)
        self.request.traffic.bytes_down += len(data)
        self.tail = (self.tail + data)[-_TAIL_BYTES:]
        limits = self.request.limits
        if not self.is_pack and self.count > limits.refs_bytes:
            raise limits.exceeded("refs_bytes", self.count, ADVERTISED)
        if self.count > limits.refs_bytes + limits.pack_bytes:
            raise PackTooLarge

    def add_progress(self, data: bytes) -> None:
        """Store the end of the progress messages."""
        self.progress = (self.progress + data)[-_TAIL_BYTES:]

    @property
    def refusal(self) -> str | None:
        """The message of an ERR packet, if one came last: dulwich ignores it in protocol 2."""
        _, found, message = self.tail.partition(b"ERR ")
        return message.decode("utf-8", "replace") if found else None


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

    def __exit__(self, *exc: object) -> None:
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
            raise self.request.error(RedirectRefused, "it refers to another origin")
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
            # A reader that stops at a flush packet leaves the end of the last chunk.
            self._response.read(_UNREAD_BYTES)
            if not self._response.isclosed():
                self._drop()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> http.client.HTTPConnection:
        url, limits, environment = self.request.url, self.request.limits, self._environment
        connect: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if url.scheme is Scheme.HTTPS:
            authorities = environment.get("GIT_SSL_CAINFO") or environment.get("SSL_CERT_FILE")
            context = ssl.create_default_context(cafile=authorities)
            connect = partial(http.client.HTTPSConnection, context=context)
        connection = connect(url.host, url.port, timeout=limits.connect_seconds)
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
        try:
            result = action()
        except TimeoutError:
            raise self.cause or self.request.error(RemoteTimeout, SILENT) from None
        except ssl.SSLError as error:
            raise self.cause or untrusted(str(error.reason), self.request) from None
        except http.client.HTTPException:
            raise self.cause or self.request.error(RemoteUnavailable, CUT) from None
        except (OSError, ValueError) as error:
            detail = self.request.cleaned(getattr(error, "strerror", None) or CUT)
            raise self.cause or self.request.error(RemoteUnavailable, detail) from None
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


class SshTransport:
    """An ssh process that runs git-upload-pack at the remote."""

    def __init__(self, request: FetchRequest, environment: Mapping[str, str], log: SshLog) -> None:
        self._request = request
        self._log = log
        self.incoming = Incoming(request)
        self.cause: Exception | None = None
        """Why this side ended the connection, if it did."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._child = subprocess.Popen(
            _command(request, environment, log),
            env={**closed_environment(environment), "GIT_PROTOCOL": "version=2"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        restrict(self._child.pid, request.limits)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout.fileno()

    def read(self, size: int) -> bytes:
        """Return this many bytes, or fewer at the end.

        Raises:
            RemoteTimeout: it is silent, or the time is over.
            Cancelled: the caller cancelled.
        """
        got = bytearray()
        while len(got) < size:
            try:
                self._wait()
            except (Cancelled, RemoteTimeout) as cause:
                self.cause = cause
                raise
            data = os.read(self._stdout, size - len(got))
            if not data:
                break
            got += data
        self.incoming.add(bytes(got))
        return bytes(got)

    def write(self, data: bytes) -> int:
        """Send bytes."""
        with suppress(BrokenPipeError):  # the next read finds the end
            self._stdin.write(data)
            self._stdin.flush()
        return len(data)

    def can_read(self) -> bool:
        """Return whether a read would not block."""
        return bool(select.select([self._stdout], [], [], 0)[0])

    def log(self) -> str:
        """Return the messages of ssh."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        return self._log.read()

    def messages(self) -> str:
        """Return the remote's standard error."""
        self._errors.seek(0)
        return self._errors.read(_MESSAGE_BYTES).decode("utf-8", "replace")

    def close(self) -> None:
        """End the child process."""
        with suppress(OSError):
            self._stdin.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child.terminate()
        self._child.wait()
        self._errors.close()

    def _wait(self) -> None:
        limits, since = self._request.limits, time.monotonic()
        while not select.select([self._stdout], [], [], _POLL_SECONDS)[0]:
            self._request.check()
            if time.monotonic() - since > limits.idle_seconds:
                detail = f"silent for {limits.idle_seconds} s"
                raise self._request.error(RemoteTimeout, detail)


def _command(request: FetchRequest, environment: Mapping[str, str], log: SshLog) -> list[str]:
    url = request.url
    program = shlex.split(environment.get("GIT_SSH_COMMAND") or "ssh")
    options = [*ssh_options(request.limits), "SendEnv=GIT_PROTOCOL"]
    flags = [flag for option in options for flag in ("-o", option)]
    port = ["-p", str(url.port)] if url.port is not None else []
    place = f"{url.user}@{url.host}" if url.user else url.host
    # As in git: ssh://host/~user/repo is in that user's home.
    path = url.path[1:] if url.path.startswith("/~") else url.path
    command = f"git-upload-pack {shlex.quote(path)}"
    return [*program, "-v", "-E", log.path, *flags, *port, place, command]
