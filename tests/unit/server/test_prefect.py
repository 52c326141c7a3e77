"""The client of Prefect, over answers that a test gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from towline_server.errors import OrchestratorUnavailable
from towline_server.orchestrator_settings import PrefectSettings
from towline_server.runs.domain import RemoteState
from towline_server.runs.prefect.orchestrator import PrefectOrchestrator

API = "https://prefect.example/api"
SECRET = "a-secret-of-the-tests"


def orchestrator(
    answer: Callable[[httpx2.Request], httpx2.Response], **settings: Any
) -> PrefectOrchestrator:
    transport = httpx2.MockTransport(answer)
    return PrefectOrchestrator(PrefectSettings(api_url=API, **settings), transport=transport)


def flow_run(state: str = "RUNNING") -> httpx2.Response:
    now = datetime.now(UTC).isoformat()
    return httpx2.Response(
        200, json={"id": str(uuid4()), "state": {"type": state, "name": "N", "timestamp": now}}
    )


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"api_key": SECRET}, f"Bearer {SECRET}"),
        ({"auth_string": "a:b"}, "Basic YTpi"),
    ],
)
def test_the_credential_of_the_settings_is_sent(settings: dict[str, str], header: str | None):
    sent = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers.get("authorization"))
        return flow_run()

    assert orchestrator(answer, **settings).find(str(uuid4())) is not None
    assert sent == [header]


@pytest.mark.parametrize("trouble", ["401", "500", "no JSON", "no flow run", "no connection"])
def test_a_problem_is_one_error_without_the_credential(trouble: str):
    def answer(request: httpx2.Request) -> httpx2.Response:
        match trouble:
            case "no connection":
                raise httpx2.ConnectError(f"no route for {request.headers}")
            case "no JSON":
                return httpx2.Response(200, text=SECRET)
            case "no flow run":
                return httpx2.Response(200, json={"id": SECRET})
            case _:
                return httpx2.Response(int(trouble), text=SECRET)

    with pytest.raises(OrchestratorUnavailable, match="Prefect cannot be used now") as raised:
        orchestrator(answer, api_key=SECRET).find(str(uuid4()))
    assert SECRET not in repr(raised.value) + str(raised.value.data())


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("SCHEDULED", RemoteState.RUNNING),
        ("PENDING", RemoteState.RUNNING),
        ("PAUSED", RemoteState.RUNNING),
        ("COMPLETED", RemoteState.ENDED),
        ("CANCELLING", RemoteState.CANCELLING),
        ("CANCELLED", RemoteState.CANCELLED),
        ("FAILED", RemoteState.FAILED),
        ("CRASHED", RemoteState.FAILED),
    ],
)
def test_each_state_of_a_flow_run_is_understood(state: str, expected: RemoteState):
    found = orchestrator(lambda _: flow_run(state)).find(str(uuid4()))
    assert found is not None
    assert (found.state, found.details["type"]) == (expected, state)
    assert found.url == f"https://prefect.example/runs/flow-run/{found.ref}"


def test_a_deployment_that_was_deleted_is_made_again():
    """Two servers may make the work pool at once, too."""
    there: set[str] = set()
    made: list[tuple[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api")
        if request.method == "GET":
            return httpx2.Response(404)
        if path == "/work_pools/":
            return httpx2.Response(409, json={"detail": "it exists"})
        if not path.endswith("/create_flow_run"):
            new = str(uuid4())
            there.add(f"/deployments/{new}/create_flow_run")
            return httpx2.Response(201, json={"id": new})
        if path not in there:
            return httpx2.Response(404)
        made.append((path, request.read()))
        return flow_run("SCHEDULED")

    prefect = orchestrator(answer, command="towline work")
    run_id = UUID(int=1)
    prefect.start(run_id)
    there.clear()
    prefect.start(run_id)
    (first, body), (second, again) = made
    assert first != second
    assert body == again
    assert f"towline work --backend prefect {run_id}".encode() in body


def test_a_run_that_prefect_does_not_have_is_none():
    prefect = orchestrator(lambda _: httpx2.Response(404))
    assert prefect.find(str(uuid4())) is None
    prefect.cancel(str(uuid4()))
