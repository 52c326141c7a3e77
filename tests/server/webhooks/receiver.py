"""A receiver of webhooks on loopback: it records requests, and answers as a test asks."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from standardwebhooks.webhooks import Webhook

from tests.loopback import Quiet, http_server


@dataclass(frozen=True)
class Reply:
    """An answer; ``after`` is waited for first."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    after: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """A request to the receiver."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def timestamp(self) -> int:
        return int(self.headers["webhook-timestamp"])

    def verify(self, secret: str) -> object:
        """The event, verified by the scheme's own library."""
        return Webhook(secret).verify(self.body, dict(self.headers))

    def is_signed_with(self, secret: str) -> bool:
        """The same whatever time it is."""
        from datetime import UTC, datetime

        at = datetime.fromtimestamp(self.timestamp, UTC)
        signature = Webhook(secret).sign(self.id, at, self.body.decode())
        return signature in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """What listens."""

    port: int
    scheme: str
    requests: list[Received] = field(default_factory=list)
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    """By path, in order; the last one stays."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(self, *replies: Reply, path: str = "/hook") -> None:
        self.replies[path] = list(replies)

    def take(self, received: Received) -> Reply:
        with self.changed:
            self.requests.append(received)
            self.changed.notify_all()
            waiting = self.replies.get(received.path, [Reply()])
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def wait_for(self, number: int, path: str | None = None, seconds: float = 60) -> list[Received]:
        """The requests to a path, once there are so many."""

        def there() -> list[Received]:
            return [each for each in self.requests if path in (None, each.path)]

        with self.changed:
            assert self.changed.wait_for(lambda: len(there()) >= number, seconds), self.requests
            return there()


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that listens in the block."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(Received(self.path, headers, body))
            if reply.after is not None:
                reply.after.wait()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http_server(Handler, tls) as port:
        receiver = Receiver(port, "http" if tls is None else "https")
        try:
            yield receiver
        finally:
            for replies in receiver.replies.values():
                for reply in replies:
                    if reply.after is not None:
                        reply.after.set()
