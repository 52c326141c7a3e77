"""Processes that execute runs: beside the one that answers, and by themselves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from uuid import UUID

import httpx2
import pytest

from tests.server.descendants import await_end, descendants
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import runs_elsewhere
from tests.server.serving import LONG, ServerProcess, admin_key, client_of, serving, settings_file
from towline.testing.git_server import StaysSilent
from towline_server.errors import InvalidSettings, WorkerShutdown
from towline_server.runs.domain import Run
from towline_server.runs.service import Runs
from towline_server.runs.states import Outcome, RunState
from towline_server.settings import Settings
from towline_server.worker_metrics import showing_metrics

V1 = "/api/towline/v1"
COMMAND = "towline_server.commands.work"


@pytest.fixture
def runs(tenant: GitTenant) -> Runs:
    tenant.commit(a=b"1")
    return runs_elsewhere(tenant)


@pytest.fixture
def server(tenant: GitTenant, runs: Runs, database_url: str) -> Iterator[ServerProcess]:
    """A server with two workers, each of which executes one run at a time."""
    file = settings_file(tenant, database_url, runs_at_once=1)
    with serving(["--settings", str(file), "--port", "0", "--workers", "2"]) as server:
        yield server


def workers(server: ServerProcess) -> dict[int, str]:
    """Handles of the workers, by their command lines."""
    found = descendants(server.child.pid)
    for handle in [each for each, command in found.items() if COMMAND not in command]:
        del found[handle]
        os.close(handle)
    return found


def follow(runs: Runs, run: Run, state: RunState) -> Run:
    """The run, once it is in a state."""
    return next(each for each in runs.follow(run.id, LONG) if each.state is state)


def test_the_workers_of_a_server_execute_its_runs(
    tenant: GitTenant, runs: Runs, server: ServerProcess
):
    headers = {"X-API-Key": admin_key(tenant)}
    with client_of(server) as client:
        url = f"{V1}/projects/{tenant.project().id}/runs"
        answer = client.post(url, headers=headers, json={})
        assert answer.status_code == 202
    assert runs.wait(UUID(answer.json()["id"]), LONG).outcome is Outcome.CHANGED
    tenant.server.trouble = StaysSilent()
    asked = [runs.request(tenant.project().id) for _ in range(2)]
    executed = [follow(runs, run, RunState.FETCHING) for run in asked]
    assert len({run.executor.id for run in executed}) == 2
    children = workers(server)
    assert len(children) == 2
    assert server.end() == 0
    await_end(children)
    for run in map(runs.get, [run.id for run in asked]):
        assert run.error is not None
        assert run.error.code == WorkerShutdown.code


def shown(client: httpx2.Client, line: str) -> bool:
    """Whether the metrics come to have a line: a process counts after it has committed."""
    deadline = time.monotonic() + LONG
    while line not in client.get("/metrics").text.splitlines():
        if time.monotonic() > deadline:
            return False
    return True


def test_a_server_counts_what_its_workers_do(tenant: GitTenant, runs: Runs, server: ServerProcess):
    with client_of(server) as client:
        assert runs.wait(runs.request(tenant.project().id).id, LONG).outcome is Outcome.CHANGED
        assert shown(client, 'towline_runs_ended_total{reason="",state="succeeded"} 1.0')
        assert shown(client, "towline_fetches_total 1.0")
        assert shown(client, 'towline_slots{what="towline-fetch"} 8.0'), "four of each worker"


def test_a_worker_that_was_killed_is_replaced(tenant: GitTenant, runs: Runs, server: ServerProcess):
    server.hear("listening")
    first = runs.wait(runs.request(tenant.project().id).id, LONG)
    assert first.outcome is Outcome.CHANGED
    killed = workers(server)
    for handle in killed:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    await_end(killed)
    second = runs.wait(runs.request(tenant.project().id).id, LONG)
    assert second.outcome is Outcome.CHANGED
    assert server.end() == 0


def test_workers_leave_with_a_server_that_is_killed(runs: Runs, server: ServerProcess):
    server.hear("listening")
    children = workers(server)
    server.kill()
    await_end(children)


def test_a_worker_on_another_machine_needs_the_database_alone(
    tenant: GitTenant, runs: Runs, database_url: str
):
    file = settings_file(tenant, database_url)
    with serving(["--settings", str(file)], command="work") as worker:
        run = runs.wait(runs.request(tenant.project().id).id, LONG)
        assert run.outcome is Outcome.CHANGED
        assert worker.end() == 0


def test_a_worker_answers_for_its_metrics_and_its_health(
    tenant: GitTenant, runs: Runs, database_url: str
):
    file = settings_file(tenant, database_url, metrics_token="of the tests")
    arguments = ["--settings", str(file), "--metrics-address", "127.0.0.1:0"]
    with serving(arguments, command="work") as worker, client_of(worker) as client:
        assert runs.wait(runs.request(tenant.project().id).id, LONG).outcome is Outcome.CHANGED
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/metrics").status_code == 401
        answer = client.get("/metrics", headers={"Authorization": "Bearer of the tests"})
        assert "towline_fetches_total 1.0" in answer.text
        assert client.get("/").status_code == 404
        assert worker.end() == 0


@pytest.mark.parametrize("address", ["0.0.0.0:9090", "9090", "127.0.0.1:x", "127.0.0.1:99999"])
def test_an_address_of_metrics_that_is_refused(settings: Settings, address: str):
    with (
        pytest.raises(InvalidSettings, match="--metrics-address"),
        showing_metrics(address, settings),
    ):
        pass
