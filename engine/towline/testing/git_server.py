"""A smart HTTP server for Git on the loopback, which counts requests and injects faults.

It is ``git http-backend`` behind the standard library's server.
"""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import IO, Any, ClassVar, Self, TypeAlias
from urllib.parse import urlsplit

from towline.frozen import frozen
from towline.remotes.credentials import Credential
from towline.testing.git_repository import CLOSED_ENVIRONMENT


@frozen(kw_only=True)
class Answers:
    """Responds with a status instead of git's response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    on: str = ""
    """Only if ``METHOD /path?query`` or the request's body contains this."""


@frozen(kw_only=True)
class CutsOff:
    """Closes the connection after some bytes of the response."""

    after: int
    on: str = ""


@frozen(kw_only=True)
class StaysSilent:
    """Reads the request and never responds."""

    on: str = ""


@frozen(kw_only=True)
class Streams:
    """Responds with status 200 and an endless body: ``head``, then numbered packets.

    ``packet`` is a packet's text with one ``%d`` in it. With a ``pause``, in seconds, it sends
    single bytes instead, one after each.
    """

    content_type: str
    packet: bytes
    head: bytes = b""
    pause: float = 0
    on: str = ""


Trouble: TypeAlias = Answers | CutsOff | StaysSilent | Streams


@frozen(kw_only=True)
class ReceivedRequest:
    """A request that the server received."""

    method: str
    target: str
    authorization: str | None


@dataclass
class Tally:
    """The requests received, and the bytes sent."""

    requests: list[ReceivedRequest] = field(default_factory=list)
    bytes_sent: int = 0

    def clear(self) -> None:
        """Reset the counts."""
        self.requests.clear()
        self.bytes_sent = 0


def packet(data: bytes) -> bytes:
    """Return a pkt-line."""
    return b"%04x%s" % (len(data) + 4, data)


class GitServer:
    """Serves the repositories below a folder; a context manager.

    ``trouble`` may be changed at any time; ``credential`` is required if given. With ``protocol`` 0
    it is an old server, with ``tls``, a server's context, one for https.
    """

    def __init__(
        self,
        root: Path,
        *,
        credential: Credential | None = None,
        trouble: Trouble | None = None,
        protocol: int = 2,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.root = root
        self.credential = credential
        self.trouble = trouble
        self.protocol = protocol
        self.tls = tls
        self.tally = Tally()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self._server = _HttpServer(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The URL of the root folder."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop, and close every open connection."""
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: GitServer) -> None:
        self.owner = owner
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its thread does the TLS handshake, at the first byte."""
        connection, address = super().get_request()
        if self.owner.tls is not None:
            connection = self.owner.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: connections are closed on purpose."""

    def cut_all(self) -> None:
        with self.owner.lock:
            for connection in self.open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Cut(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer
    _FORWARDED: ClassVar = {
        "Content-Type": "CONTENT_TYPE",
        "Content-Encoding": "HTTP_CONTENT_ENCODING",
        "Git-Protocol": "GIT_PROTOCOL",
    }

    def setup(self) -> None:
        super().setup()
        with self.server.owner.lock:
            self.server.open.add(self.connection)

    def finish(self) -> None:
        with self.server.owner.lock:
            self.server.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def _serve(self, body: bytes) -> None:
        owner = self.server.owner
        authorization = self.headers.get("Authorization")
        with owner.lock:
            owner.tally.requests.append(
                ReceivedRequest(method=self.command, target=self.path, authorization=authorization)
            )
        trouble = owner.trouble
        if trouble is not None and trouble.on.encode() not in self._asked(body):
            trouble = None
        self._left = trouble.after if isinstance(trouble, CutsOff) else None
        if isinstance(trouble, StaysSilent):
            self._wait_for_end()
        elif isinstance(trouble, Streams):
            with suppress(OSError):
                self._stream(trouble)
            self.close_connection = True
        elif isinstance(trouble, Answers):
            self._answer(trouble.status, trouble.headers, trouble.body)
        elif owner.credential is not None and authorization != owner.credential.basic:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="test"'})
        else:
            with suppress(_Cut):
                self._run_backend(body)

    def _wait_for_end(self) -> None:
        with suppress(OSError):
            while self.connection.recv(4096):
                pass
        self.close_connection = True

    def _stream(self, trouble: Streams) -> None:
        self.send_response(200)
        self.send_header("Content-Type", trouble.content_type)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(trouble.head)
        number = 0
        while not self.server.owner.over.wait(trouble.pause):
            packets = [packet(trouble.packet % (number + each)) for each in range(1000)]
            number += 1000
            self.wfile.write(b"x" if trouble.pause else b"".join(packets))
            self.wfile.flush()

    def _asked(self, body: bytes) -> bytes:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return f"{self.command} {self.path}\n".encode() + body

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self._count(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _run_backend(self, body: bytes) -> None:
        command, variables = ["git", "http-backend"], self._variables(len(body))
        ended = subprocess.run(command, input=body, env=variables, capture_output=True, check=False)
        self._relay(BytesIO(ended.stdout))

    def _variables(self, length: int) -> dict[str, str]:
        target = urlsplit(self.path)
        variables = {
            **CLOSED_ENVIRONMENT,
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": target.path,
            "QUERY_STRING": target.query,
            "CONTENT_LENGTH": str(length),
            "REMOTE_ADDR": "127.0.0.1",
        }
        for header, name in self._FORWARDED.items():
            if (value := self.headers.get(header)) is not None:
                variables[name] = value
        if self.server.owner.protocol == 0:
            variables.pop("GIT_PROTOCOL", None)
        return variables

    def _relay(self, answer: IO[bytes]) -> None:
        status, headers = 200, []
        while line := answer.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value.strip()))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while data := answer.read(65536):
            self._send(data)
        self._count(b"0\r\n\r\n")
        self.wfile.flush()

    def _send(self, data: bytes) -> None:
        if self._left is not None and len(data) >= self._left:
            self._count(b"%x\r\n%s" % (len(data), data[: self._left]))
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            raise _Cut
        if self._left is not None:
            self._left -= len(data)
        self._count(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _count(self, data: bytes) -> None:
        with self.server.owner.lock:
            self.server.owner.tally.bytes_sent += len(data)
        self.wfile.write(data)
