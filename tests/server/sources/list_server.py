"""An HTTP server that answers what a test says, and counts what it was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Quiet, http_server


@dataclass
class Answer:
    """An answer; a body that is no bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether the connection ends before the body does."""


@dataclass
class ListServer:
    """Answers by path and query; anything else is 404."""

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Paths and queries, in their order."""
    headers: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def list_server() -> Iterator[ListServer]:
    """Serve on a port of this machine."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            served.headers.append(dict(self.headers))
            answer = served.answers.get(self.path, Answer(status=404))
            raw = isinstance(answer.body, bytes)
            body = answer.body if raw else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body) + answer.cut))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with http_server(Handler) as port:
        served = ListServer(f"http://127.0.0.1:{port}")
        yield served
