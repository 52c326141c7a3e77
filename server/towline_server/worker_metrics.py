"""``/healthz`` and ``/metrics`` of a process that answers nothing else: ``towline work``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from .errors import InvalidSettings
from .metrics import CHALLENGE, REGISTRY, may_read
from .settings import Settings, is_loopback

_LOG = logging.getLogger("towline_server.monitoring")
_IDLE_SECONDS = 10


@contextmanager
def showing_metrics(address: str | None, settings: Settings) -> Iterator[None]:
    """Answer on ``HOST:PORT`` during the block; without an address, do nothing.

    Raises:
        InvalidSettings: the address is malformed or cannot be listened on, or others can reach it
            and ``metrics_token`` is not set.
    """
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")
    token = settings.metrics_token.get_secret_value()
    if not host or not port.isdecimal():
        raise _refused("is HOST:PORT, such as 127.0.0.1:9090")
    if not token and not is_loopback(host):
        raise _refused("needs metrics_token where others can reach it")
    try:
        server = ThreadingHTTPServer((host, int(port)), _handler(token))
    except (OSError, OverflowError) as error:
        raise _refused(f"cannot be listened on: {error}") from None
    threading.Thread(target=server.serve_forever, name="towline-metrics", daemon=True).start()
    _LOG.info("listening", extra={"url": f"http://{host}:{server.server_port}"})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _refused(problem: str) -> InvalidSettings:
    return InvalidSettings(problems=(f"--metrics-address: {problem}",))


def _handler(token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(HTTPStatus.OK, b'{"status":"ok"}', "application/json")
            elif self.path != "/metrics":
                self._answer(HTTPStatus.NOT_FOUND)
            elif not self._may_read():
                self._answer(HTTPStatus.UNAUTHORIZED)
            else:
                self._answer(HTTPStatus.OK, generate_latest(REGISTRY), CONTENT_TYPE_PLAIN_0_0_4)

        def _may_read(self) -> bool:
            # Without a token it listens for this machine alone.
            return may_read(self.headers.get("Authorization", ""), token, is_local=True)

        def _answer(
            self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain; charset=utf-8"
        ) -> None:
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", CHALLENGE)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log no request: a supervisor asks every few seconds."""

    return Handler
