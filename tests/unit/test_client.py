"""The Python client where the server is away, slow, newer or older."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from towline.client import (
    ApiError,
    Client,
    NotFound,
    RateLimited,
    Request,
    Retries,
    Unavailable,
    Unreachable,
    models,
    native,
)
from towline.client.request import retry_after

PROBLEM = {"code": "queue_full", "detail": "too many", "request_id": "1"}
LIST = {"items": [], "total": 0, "limit": 50, "offset": 0, "has_next": False}
RUN = {
    "id": "a0000000-0000-4000-8000-000000000001",
    "project_id": "a0000000-0000-4000-8000-000000000002",
}

Answer = Callable[[httpx2.Request], httpx2.Response]


class Server:
    """Answers requests in turn, and counts them."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: object) -> Client:
        return Client(
            "https://towline.example",
            key="twl_secret",
            transport=httpx2.MockTransport(self),
            sleep=self.pauses.append,
            **options,  # type: ignore[arg-type] # of each test
        )


def answer(status: int, body: object = None, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers=headers)


LOST = httpx2.ConnectError("lost")


def test_what_is_refused_for_now_is_sent_again_after_as_long_as_asked():
    server = Server(
        answer(429, PROBLEM, **{"Retry-After": "7"}),
        answer(503, PROBLEM, **{"Retry-After": "2"}),
        answer(200, LIST),
    )
    with server.client() as client:
        assert client.send(native.list_projects()).items == []
    assert server.pauses == [7, 2]


def test_without_a_time_pauses_grow_and_end():
    server = Server(*[answer(503, PROBLEM)] * 5)
    with server.client() as client, pytest.raises(Unavailable):
        client.send(native.list_projects())
    assert len(server.requests) == 5
    low = [0.25, 0.5, 1, 2]
    assert all(least <= pause <= 2 * least for least, pause in zip(low, server.pauses, strict=True))


def test_a_server_that_asks_for_too_long_is_not_waited_for():
    server = Server(answer(429, PROBLEM, **{"Retry-After": "3600"}))
    with server.client() as client, pytest.raises(RateLimited) as refused:
        client.send(native.list_projects())
    assert refused.value.retry_after == 3600
    assert server.pauses == []


@pytest.mark.parametrize("status", [400, 404, 409, 500, 502, 504])
def test_what_another_try_does_not_change_is_not_sent_again(status: int):
    server = Server(answer(status, PROBLEM))
    with server.client() as client, pytest.raises(ApiError) as refused:
        client.send(native.list_projects())
    assert (refused.value.status, refused.value.code) == (status, "queue_full")
    assert len(server.requests) == 1


def test_a_post_without_an_answer_is_sent_again_under_its_key():
    server = Server(LOST, answer(404, PROBLEM))
    with server.client() as client, pytest.raises(NotFound):
        client.send(native.request_run("p", models.RunBody()))
    keys = [each.headers["idempotency-key"] for each in server.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_post_whose_first_sending_is_still_executed_waits_for_it():
    running = PROBLEM | {"code": "idempotent_request_running"}
    server = Server(LOST, answer(409, running), answer(404, PROBLEM))
    with server.client() as client, pytest.raises(NotFound):
        client.send(native.request_run("p", models.RunBody()))
    assert len(server.requests) == 3


def test_a_deletion_whose_answer_was_lost_is_done_where_nothing_is_left():
    server = Server(LOST, answer(404, PROBLEM), answer(404, PROBLEM))
    with server.client() as client:
        assert client.send(native.delete_connection("c")) is None
        with pytest.raises(NotFound):
            client.send(native.delete_connection("c"))


def test_a_patch_without_an_answer_is_not_sent_again():
    server = Server(LOST)
    with server.client() as client, pytest.raises(Unreachable):
        client.send(native.change_project("p", models.ProjectChange(hidden=True)))
    assert len(server.requests) == 1


def test_retries_are_as_many_as_asked():
    server = Server(LOST)
    with server.client(retries=Retries(times=0)) as client, pytest.raises(Unreachable) as lost:
        client.send(native.list_projects())
    assert "towline.example" in str(lost.value)


def test_only_what_was_set_is_sent():
    server = Server(answer(404, PROBLEM))
    with server.client() as client, pytest.raises(NotFound):
        client.send(native.change_project("p", models.ProjectChange(binding=None)))
    assert json.loads(server.requests[0].content) == {"binding": None}


def test_a_path_and_a_query_are_quoted():
    server = Server(answer(404, PROBLEM), answer(200, LIST))
    with server.client() as client:
        with pytest.raises(NotFound):
            client.send(native.read_path("p", "rules/a b?.json"))
        client.send(native.list_projects(path="a/b c", limit=3))
    first, second = (each.url.raw_path.decode() for each in server.requests)
    assert first == "/api/towline/v1/projects/p/content/rules/a%20b%3F.json"
    assert second.partition("?")[2] in ("path=a%2Fb+c&limit=3", "path=a%2Fb%20c&limit=3")


def test_an_operation_that_is_deprecated_warns_with_its_end():
    dates = {"Deprecation": "@1767225600", "Sunset": "Wed, 01 Jul 2026 00:00:00 GMT"}
    server = Server(answer(200, LIST, **dates))
    with (
        server.client() as client,
        pytest.warns(DeprecationWarning, match="GET /api/towline/v1/projects is deprecated.*2026"),
    ):
        client.send(native.list_projects())


def test_what_no_api_answered_is_an_error_too():
    server = Server(httpx2.Response(418, text="<h1>a proxy</h1>"))
    with server.client() as client, pytest.raises(ApiError) as found:
        client.send(native.list_projects())
    assert (found.value.code, found.value.request_id) == ("http_error", None)


EACH_FORM = pytest.mark.parametrize(
    "request_",
    [native.delete_connection("c"), native.read_path("p", "a"), native.list_projects()],
    ids=["delete", "content", "list"],
)


@EACH_FORM
def test_a_page_of_a_proxy_is_no_success(request_: Request[object]):
    server = Server(httpx2.Response(200, html="<h1>Sign in</h1>"))
    with server.client() as client, pytest.raises(ApiError, match="proxy") as found:
        client.send(request_)
    assert (found.value.status, found.value.code) == (200, "http_error")


def test_an_answer_of_another_form_is_an_error_of_the_api():
    server = Server(answer(200, {"projects": []}))
    with server.client() as client, pytest.raises(ApiError, match="another form"):
        client.send(native.list_projects())


@EACH_FORM
def test_a_redirect_is_no_success(request_: Request[object]):
    server = Server(*[httpx2.Response(302, headers={"Location": "https://elsewhere.example/"})] * 2)
    with server.client() as client:
        with pytest.raises(ApiError) as found:
            client.send(request_)
        with pytest.raises(ApiError):
            list(client.follow(RUN["id"]))
    assert (found.value.status, len(server.requests)) == (302, 2)


def test_no_secret_is_shown():
    server = Server()
    with server.client() as client:
        assert "twl_secret" not in repr(client)
        assert "twl_secret" not in repr(vars(client))
    body = models.UserBody(email="a@b.example", password="hidden password")
    assert "hidden password" not in repr(body)


@pytest.mark.parametrize("url", ["towline.example", "https://user:word@towline.example"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="url: "):
        Client(url)
    with pytest.raises(ValueError, match="not both"):
        Client("https://towline.example", key="a", login=("b", "c"))


def test_both_forms_of_retry_after_are_read():
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "Wed, 01 Jul 2020 00:00:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


# --- streams --------------------------------------------------------------------------------------


def run(state: str, **more: object) -> str:
    """A run as an event has it."""
    values = {
        **RUN,
        "mode": "incremental",
        "backend": "native",
        "triggered_by": "manual",
        "is_initial": False,
        "state": state,
        "progress": 0,
        "is_cancelling": False,
        "attempt": 1,
        "attempt_root_id": RUN["id"],
        "will_be_retried": False,
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
        **more,
    }
    return json.dumps(values)


def stream(*events: tuple[str, str]) -> httpx2.Response:
    text = ": still here\n\n" + "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events)
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_a_run_is_followed_over_streams_that_end_early():
    server = Server(
        stream(("progress", run("queued"))),
        LOST,
        stream(("progress", run("fetching"))),
        stream(("ended", run("succeeded"))),
    )
    with server.client() as client:
        seen = list(client.follow(RUN["id"]))
    assert [each.state for each in seen] == ["queued", "fetching", "succeeded"]
    assert isinstance(seen[-1], models.Run)
    assert len(server.pauses) == 1


def test_a_stream_that_never_begins_is_not_asked_for_ever():
    server = Server(*[stream()] * 5)
    with server.client() as client, pytest.raises(Unreachable):
        client.wait(RUN["id"])
    assert len(server.requests) == 5


def test_a_run_that_is_not_there_is_not_followed():
    server = Server(answer(404, PROBLEM))
    with server.client() as client, pytest.raises(NotFound):
        list(client.follow(RUN["id"]))
