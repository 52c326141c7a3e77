"""One attempt: where it may go, how long it may take, and what it makes of the answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.certificates import CertificateAuthority
from tests.server.webhooks.receiver import Receiver, Reply, receiving
from tests.server.webhooks.tenant_webhooks import LOOPBACK
from towline_server.addresses import AddressPolicy
from towline_server.webhooks.domain import Result
from towline_server.webhooks.sending import Answer, Sender

SENDER = Sender(policy=LOOPBACK)


def _send(url: str, sender: Sender = SENDER, **headers: str) -> Answer:
    return sender.send(url, {"webhook-id": "msg_1", **headers}, b'{"type":"ping"}')


def test_a_message_arrives_as_json(receiver: Receiver):
    assert _send(receiver.url("/hook?key=a%20b")) == Answer(result=Result.DELIVERED, status=204)
    [received] = receiver.requests
    assert (received.path, received.body) == ("/hook?key=a%20b", b'{"type":"ping"}')
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["webhook-id"] == "msg_1"


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.DELIVERED),
        (299, Result.DELIVERED),
        (304, Result.REFUSED),
        (404, Result.REFUSED),
        (500, Result.REFUSED),
    ],
)
def test_success_is_a_status_from_200_to_299(receiver: Receiver, status: int, result: Result):
    receiver.answer(Reply(status, {"Retry-After": "7"}))
    assert _send(receiver.url()) == Answer(result=result, status=status, retry_after="7")


def test_redirects_are_not_followed(receiver: Receiver):
    receiver.answer(Reply(307, {"Location": receiver.url("/elsewhere")}))
    assert _send(receiver.url()).result is Result.REFUSED
    assert [each.path for each in receiver.requests] == ["/hook"]


def test_no_proxy_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert _send(receiver.url()).result is Result.DELIVERED


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433"])
def test_an_address_that_is_not_public_is_not_connected_to(receiver: Receiver, host: str):
    sender = Sender(policy=AddressPolicy())
    assert _send(receiver.url(host=host), sender) == Answer(result=Result.ADDRESS_REFUSED)
    assert receiver.requests == []


def test_a_name_is_judged_by_the_address_that_is_connected_to(receiver: Receiver):
    asked = []

    def lookup(host: str, port: int) -> list[str]:
        # Another answer each time, as who rebinds a name gives.
        asked.append(host)
        return ["192.0.2.1", "127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    sender = replace(SENDER, lookup=lookup)
    assert _send(receiver.url(host="hooks.example"), sender).result is Result.DELIVERED
    assert asked == ["hooks.example"]
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"
    again = _send(receiver.url(host="hooks.example"), sender)
    assert again == Answer(result=Result.ADDRESS_REFUSED)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 63 + ".invalid"])
def test_a_host_that_is_not_there_is_unreachable(host: str):
    def lookup(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    sender = replace(SENDER, lookup=lookup)
    assert _send(f"http://{host}/", sender) == Answer(result=Result.UNREACHABLE)


def test_a_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert _send(f"http://127.0.0.1:{port}/") == Answer(result=Result.UNREACHABLE)


def test_the_next_address_is_tried(receiver: Receiver):
    sender = replace(SENDER, lookup=lambda *_: ["127.0.0.9", "127.0.0.1"])
    assert _send(receiver.url(host="two.example"), sender).result is Result.DELIVERED


# --- answers that are none ----------------------------------------------------------------------


@contextmanager
def _listening(respond: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Something that is no receiver, in the block."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                respond(line, done)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def _silent(line: socket.socket, done: threading.Event) -> None:
    done.wait()


def _dripping(first: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """An answer that goes on and on."""

    def respond(line: socket.socket, done: threading.Event) -> None:
        line.recv(65536)
        line.sendall(first)
        while not done.wait(0.02):
            try:
                line.sendall(drop)
            except OSError:
                return

    return respond


_HTTP = _dripping(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n")
_TLS = _dripping(b"\x16\x03\x03\x3f\xff", b"\x02")
"""A record of TLS."""


@pytest.mark.parametrize(
    ("scheme", "respond"), [("http", _silent), ("http", _HTTP), ("https", _TLS)]
)
def test_a_slow_receiver_is_cut_off(
    scheme: str, respond: Callable[[socket.socket, threading.Event], None]
):
    with _listening(respond) as place:
        sender = replace(SENDER, seconds=0.3)
        assert _send(f"{scheme}://{place}/", sender) == Answer(result=Result.TIMED_OUT)


@pytest.mark.parametrize(
    ("answer", "result"),
    [(b"SSH-2.0-hello\r\n\r\n", Result.NOT_HTTP), (b"", Result.NOT_HTTP)],
)
def test_what_is_no_http_is_reported(answer: bytes, result: Result):
    def respond(line: socket.socket, _done: threading.Event) -> None:
        line.recv(65536)
        line.sendall(answer)

    with _listening(respond) as place:
        assert _send(f"http://{place}/").result is result


def test_of_the_answer_no_body_is_read():
    sent = []

    def respond(line: socket.socket, done: threading.Event) -> None:
        line.recv(65536)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        line.settimeout(60)
        try:
            while not done.is_set():
                sent.append(line.send(b"x" * 65536))
        except OSError:
            sent.append(0)

    with _listening(respond) as place:
        assert _send(f"http://{place}/").result is Result.DELIVERED
    # What the kernel takes unread, and no more.
    assert sum(sent) < 64 * 1024 * 1024


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who signs the certificate of a receiver at 127.0.0.1."""
    return CertificateAuthority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture
def safe_receiver(authority: CertificateAuthority) -> Iterator[Receiver]:
    with receiving(authority.context()) as made:
        yield made


def test_an_untrusted_certificate_is_refused(safe_receiver: Receiver):
    assert _send(safe_receiver.url()) == Answer(result=Result.TLS_FAILED)
    assert safe_receiver.requests == []


def test_a_trusted_certificate_is_for_its_host_alone(
    safe_receiver: Receiver, authority: CertificateAuthority
):
    trusted = ssl.create_default_context(cafile=str(authority.file))
    sender = replace(SENDER, tls=trusted, lookup=lambda *_: ["127.0.0.1"])
    assert _send(safe_receiver.url(), sender).result is Result.DELIVERED
    other = _send(safe_receiver.url(host="other.example"), sender)
    assert other == Answer(result=Result.TLS_FAILED)
