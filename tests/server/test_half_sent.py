"""Requests that are sent in part hold no server: they are closed in time, and for others."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.server.serving import LONG, client_of, serving

pytestmark = pytest.mark.slow

HEADERS = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
BODY = b"PUT /content HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"
_LIMIT = 1024


def begun(url: httpx2.URL, sent: bytes) -> socket.socket:
    """A connection that has sent this much."""
    connection = socket.create_connection((url.host, url.port), timeout=LONG)
    connection.sendall(sent)
    return connection


def test_the_server_answers_beside_more_of_them_than_it_has_descriptors(
    tmp_path: Path,
):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with serving(["--data-dir", str(tmp_path), "--port", "0"]) as server:
        resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE, (_LIMIT // 2, _LIMIT))
        with client_of(server) as client, ExitStack() as stack:
            for number in range(1100):
                stack.enter_context(begun(client.base_url, (HEADERS, BODY)[number % 2]))
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
        assert server.end() == 0
    assert not [line for line in server.lines if line.get("level") == "error"]


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (HEADERS, b"HTTP/1.1 408 "), (BODY, b"HTTP/1.1 408 ")]
)
def test_they_are_closed_in_time(tmp_path: Path, sent: bytes, answer: bytes):
    soon = {"TOWLINE_HEADER_SECONDS": "1", "TOWLINE_BODY_SECONDS": "1"}
    with (
        serving(["--data-dir", str(tmp_path), "--port", "0"], **soon) as server,
        client_of(server) as client,
        begun(client.base_url, sent) as connection,
    ):
        received = b"".join(iter(lambda: connection.recv(4096), b""))
        assert received.startswith(answer)
        assert bool(received) is bool(answer)
        assert client.get("/healthz").status_code == 200
