"""What every operation of the native API does alike: unknown queries, HEAD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from anyio import to_thread

from tests.server.api.client import V1, ApiClient, code_of
from towline_server.app import create_app
from towline_server.settings import Settings

OPERATIONS = [
    (method.upper(), path)
    for path, operations in create_app(Settings.defaults()).openapi()["paths"].items()
    for method in operations
    if path.startswith(V1)
]


def test_no_operation_takes_a_query_that_it_does_not_know(api: ApiClient):
    for method, path in OPERATIONS:
        url = "/".join(str(uuid4()) if part[0] == "{" else part for part in path[1:].split("/"))
        answer = api.ask(method, f"/{url}?limt=1&fetch=true")
        assert code_of(answer) == (422, "invalid_request"), (method, path)
        assert "limt" in {each["loc"][-1] for each in answer.json()["errors"]}, (method, path)
        anonymous = api.client.request(method, f"/{url}?limt=1")
        assert code_of(anonymous)[0] == 401, (method, path)


def test_the_known_parameters_are_listed_beside_an_unknown_one(api: ApiClient):
    [error] = api.ask("GET", f"{V1}/runs?kind=bills&limit=1").json()["errors"]
    assert error["loc"] == ["query", "kind"]
    assert "limit, offset, state" in error["msg"]


def test_head_is_answered_where_get_is(api: ApiClient):
    api.put("a", b"123")
    for url in (f"{V1}/projects", api.url, f"{api.url}/content/a", f"{api.url}/content/b"):
        read, head = api.ask("GET", url), api.ask("HEAD", url)
        assert (head.status_code, head.content) == (read.status_code, b""), url
        same = ("content-type", "content-length", "etag")
        assert [head.headers.get(name) for name in same] == [
            read.headers.get(name) for name in same
        ], url
    assert api.client.head("/healthz").status_code == 200
    assert api.client.head(f"{V1}/projects").status_code == 401


@pytest.mark.parametrize("path", ["/api/1/rest/public/project/untrack/a/b/c", f"{V1}/work/claim"])
def test_head_changes_nothing(api: ApiClient, path: str):
    assert api.ask("HEAD", path).status_code in (404, 405)


def test_head_does_not_follow_a_run(api: ApiClient):
    run = api.runner.runs.request(api.project.id)
    head = api.ask("HEAD", f"{V1}/runs/{run.id}/events")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert head.content == b""
    assert not api.runner.runs.get(UUID(str(run.id))).is_terminal


def test_what_waits_for_nothing_takes_no_thread(api: ApiClient, monkeypatch: pytest.MonkeyPatch):
    """Each way to a thread and back costs more than such a function."""
    taken: list[object] = []
    run_sync = to_thread.run_sync

    async def counted(function: Callable[..., object], *rest: Any, **options: Any) -> object:
        taken.append(function)
        return await run_sync(function, *rest, **options)

    monkeypatch.setattr(to_thread, "run_sync", counted)
    assert api.ask("POST", f"{api.url}/runs", json={}).status_code == 202
    assert len(taken) == 4, "the caller, their project, the run, the answer"
