"""What surrounds every request, as plain ASGI."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.control_plane import Clock
from towline.limits import MIB
from towline_server.errors import BodyTooLarge, TooManyRequests, Unavailable
from towline_server.web.dialect import render_of
from towline_server.web.limits import BodyLimit, RateLimit, TokenBuckets, add_rate_limits
from towline_server.web.middleware import Failures, RequestLog, ResponseHeaders


def _scope(path="/x", method="POST", headers=(), client=("192.0.2.1", 1)):
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
        "client": client,
        "server": ("test", 80),
        "scheme": "http",
    }


def _headers(start):
    return {name.decode(): value.decode() for name, value in start["headers"]}


def _call(app, scope, *parts: bytes):
    """What the application sends for a request whose body comes in these parts."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts or (b"",))
    ]
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


async def _echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


# --- body limit -------------------------------------------------------------------------------


def test_a_body_within_the_limit_is_received_whole():
    app = BodyLimit(_echo, allowed=lambda _: 6)
    assert _call(app, _scope(), b"abc", b"", b"def")[1]["body"] == b"abcdef"
    assert _call(app, _scope())[1]["body"] == b""


@pytest.mark.parametrize("parts", [(b"abcdefg",), (b"abc", b"defg"), (b"a",) * 7])
def test_a_longer_body_is_refused_before_the_application_sees_it(parts):
    async def unreached(scope, receive, send):
        raise AssertionError

    with pytest.raises(BodyTooLarge) as refused:
        _call(BodyLimit(unreached, allowed=lambda _: 6), _scope(), *parts)
    assert refused.value.allowed == 6


@pytest.mark.parametrize("announced", ["7", "9" * 30])
def test_a_longer_body_is_refused_when_it_is_announced(announced):
    scope = _scope(headers=[("content-length", announced)])
    with pytest.raises(BodyTooLarge):
        _call(BodyLimit(_echo, allowed=lambda _: 6), scope, b"")


def test_a_body_that_is_not_all_sent_reaches_no_application():
    async def unreached(scope, receive, send):
        raise AssertionError

    async def gone():
        return {"type": "http.disconnect"}

    async def silent(message):
        raise AssertionError

    asyncio.run(BodyLimit(unreached, allowed=lambda _: 6)(_scope(), gone, silent))


@pytest.mark.parametrize("streams", [False, True])
def test_large_bodies_are_bounded_in_number(streams):
    limit = BodyLimit(_echo, allowed=lambda _: 2 * MIB, streams=lambda _: streams)
    large = b"x" * (MIB + 1)

    async def drive():
        here = asyncio.Event()

        async def one(body):
            parts = [{"type": "http.request", "body": body, "more_body": True}]

            async def receive():
                if not parts:
                    await here.wait()
                    return {"type": "http.request", "body": b"", "more_body": False}
                return parts.pop()

            async def send(message):
                pass

            await limit(_scope(), receive, send)

        tasks = [asyncio.create_task(one(large)) for _ in range(32)]
        refused, small = (asyncio.create_task(one(body)) for body in (large, b"x"))
        await asyncio.wait([refused])
        here.set()
        for task in (*tasks, small):
            await task
        await one(large)
        return refused.exception()

    assert isinstance(asyncio.run(drive()), Unavailable)


# --- rate limit -------------------------------------------------------------------------------


def test_a_bucket_has_its_burst_and_fills_again():
    clock = Clock()
    buckets = TokenBuckets(2.0, 3, clock)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooManyRequests) as refused:
        buckets.take("a")
    assert refused.value.retry_after == 1
    buckets.take("b")
    clock.move(0.5)
    buckets.take("a")
    with pytest.raises(TooManyRequests):
        buckets.take("a")
    clock.move(3600)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooManyRequests):
        buckets.take("a")


def test_no_rate_is_no_limit_and_names_are_bounded():
    free = TokenBuckets(0, 1, Clock())
    for _ in range(9):
        free.take("a")
    small = TokenBuckets(1.0, 1, Clock(), most=2)
    for name in "abcdef":
        small.take(name)
    assert len(small._buckets) == 2


HEADERS = ["Authorization", "X-API-Key", "Nected-API-Key", "Cookie"]


@pytest.mark.parametrize("header", HEADERS)
def test_each_credential_has_a_bucket(header):
    clock = Clock()
    app = RateLimit(_echo, TokenBuckets(1.0, 1, clock), TokenBuckets(0, 1, clock))
    _call(app, _scope(headers=[(header, "one")]))
    _call(app, _scope(headers=[(header, "two")]))
    with pytest.raises(TooManyRequests):
        _call(app, _scope(headers=[(header, "one")]))


def test_each_address_has_a_bucket_whatever_its_credentials():
    clock = Clock()
    app = RateLimit(_echo, TokenBuckets(0, 1, clock), TokenBuckets(1.0, 2, clock))
    for key in ("one", "two"):
        _call(app, _scope(headers=[("X-API-Key", key)]))
    with pytest.raises(TooManyRequests):
        _call(app, _scope(headers=[("X-API-Key", "three")]))
    _call(app, _scope(client=("192.0.2.2", 1)))
    for _ in range(5):
        _call(app, _scope("/healthz"))


def test_no_bucket_is_named_by_a_credential():
    credentials = TokenBuckets(1.0, 5, Clock())
    app = RateLimit(_echo, credentials, TokenBuckets(0, 1, Clock()))
    _call(app, _scope(headers=[("X-API-Key", "hush-hush")]))
    assert len(credentials._buckets) == 1
    assert "hush" not in str(credentials._buckets)


def test_each_response_says_what_is_left():
    clock = Clock()
    limited = RateLimit(_echo, TokenBuckets(2.0, 5, clock), TokenBuckets(1.0, 100, clock))
    app = ResponseHeaders(Failures(limited, render=render_of([])), add_rate_limits)
    credential = {"headers": [("X-API-Key", "one")]}
    headers = _headers(_call(app, _scope(**credential))[0])
    assert headers["ratelimit-policy"] == '"address";q=100;w=100, "credential";q=5;w=3'
    assert headers["ratelimit"] == '"address";r=99;t=1, "credential";r=4;t=1'
    for _ in range(4):
        _call(app, _scope(**credential))
    refused = _call(app, _scope(**credential))[0]
    assert refused["status"] == 429
    assert _headers(refused)["ratelimit"] == '"address";r=94;t=6, "credential";r=0;t=3'
    assert "ratelimit" not in _headers(_call(app, _scope("/healthz"))[0])


# --- failures and log -------------------------------------------------------------------------


def test_a_failure_that_no_handler_caught_is_rendered():
    async def broken(scope, receive, send):
        raise ValueError("secret")

    start, body = _call(Failures(broken, render=render_of([])), _scope())
    assert start["status"] == 500
    assert b"secret" not in body["body"]


def test_a_failure_after_the_answer_began_is_passed_on():
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        _call(Failures(broken, render=render_of([])), _scope())


@pytest.mark.parametrize(
    ("given", "accepted"),
    [("demo-request.1", True), ("short", False), ("x" * 65, False), ("with space", False)],
)
def test_a_request_id_is_accepted_if_it_is_valid_and_else_made(given, accepted):
    start = _call(RequestLog(_echo, {}), _scope(headers=[("X-Request-Id", given)]))[0]
    ids = [value.decode() for name, value in start["headers"] if name == b"x-request-id"]
    assert len(ids) == 1
    assert (ids[0] == given) is accepted


def test_the_log_has_path_and_status_and_no_query_or_header(caplog):
    scope = _scope("/path", headers=[("Authorization", "Bearer hush-hush")])
    scope["query_string"] = b"token=hush-hush"
    with caplog.at_level(logging.DEBUG):
        _call(RequestLog(_echo, {}, clock=Clock()), scope, b"hush-hush")
    record = next(r for r in caplog.records if r.name == "towline_server.requests")
    logged = vars(record)
    assert (logged["method"], logged["path"], logged["status"]) == ("POST", "/path", 200)
    assert logged["milliseconds"] == 0
    assert "hush" not in str(logged)
