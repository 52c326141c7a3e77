"""Runs that a real Prefect has executed: the contract of backends, and what is Prefect's own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.databases import open_database
from tests.server.prefect_server import PrefectProcess, PrefectServer, running_prefect
from tests.server.runs.backend_contract import BackendContract
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.prefect_harness import PrefectHarness
from tests.server.serving import LONG
from towline.testing.git_server import GitServer
from towline_server.projects.domain import Project
from towline_server.runs.domain import BackendName, RemoteState, Run
from towline_server.runs.states import Outcome, ReasonCode, RunState

pytestmark = pytest.mark.services

LEASE = 9
"""Seconds of the lease of an executor that is killed; it starts in less on a loaded machine."""


@pytest.fixture(scope="module")
def prefect() -> Iterator[PrefectServer]:
    with running_prefect() as server:
        yield server


@pytest.fixture(scope="module")
def worker(prefect: PrefectServer) -> Iterator[PrefectProcess]:
    with prefect.worker("towline") as worker:
        yield worker


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """The database of `tenant`."""
    return postgres_url


@pytest.fixture
def harness(
    tenant: GitTenant, database_url: str, prefect: PrefectServer, worker: PrefectProcess
) -> Iterator[PrefectHarness]:
    harness = PrefectHarness(tenant, database_url, prefect, worker)
    yield harness
    harness.close()


class TestPrefect(BackendContract):
    """Processes that a worker starts."""


def request(harness: PrefectHarness, project: Project) -> Run:
    return harness.runs.request(project.id, backend=BackendName.PREFECT)


def test_a_run_shows_what_prefect_has_of_it(harness: PrefectHarness, project: Project):
    run = request(harness, project)
    with harness.paused(run.id, "applying"):
        harness.look()
        there = harness.remote(run.id)
        assert (there.state, there.details["type"]) == (RemoteState.RUNNING, "RUNNING")
        page = f"http://127.0.0.1:{harness.server.port}/runs/flow-run/{there.ref}"
        assert there.url == page
    harness.await_state(run.id, "COMPLETED")
    harness.look()
    assert harness.remote(run.id).status["state"] == "ended"
    assert harness.flow_run(run.id)["name"] == str(run.id)
    pool = harness.server.call("GET", "/work_pools/towline")
    assert pool["type"] == "process"


@pytest.mark.parametrize("phase", ["fetching", "applying"])
def test_a_cancel_in_prefect_cancels_the_run(phase: str, harness: PrefectHarness, project: Project):
    run = request(harness, project)
    with harness.paused(run.id, phase):
        harness.propose(run.id, "CANCELLING")
        for each in harness.runs.follow(run.id, LONG):
            if each.is_cancelling:
                break
    ended = harness.ended(run.id)
    assert (ended.state, ended.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
    assert ended.cancellation is not None
    assert ended.cancellation.by == "prefect"
    assert harness.runs.attempts(run.id)[1:] == ()
    harness.await_state(run.id, "CANCELLED")


def test_a_cancel_in_prefect_cancels_a_run_that_waits(harness: PrefectHarness, project: Project):
    harness.pool = "of no worker"
    run = request(harness, project)
    harness.pass_on(run.id, harness.passing_on(harness.command()))
    harness.propose(run.id, "CANCELLING")
    harness.look()
    assert harness.runs.get(run.id).state is RunState.CANCELLED


def test_a_cancelled_run_is_cancelled_in_prefect(harness: PrefectHarness, project: Project):
    harness.pool = "of no worker"
    run = request(harness, project)
    harness.pass_on(run.id, harness.passing_on(harness.command()))
    harness.runs.cancel(run.id)
    harness.look()
    harness.await_state(run.id, "CANCELLED")


def test_a_worker_that_leaves_hands_its_run_back(harness: PrefectHarness, project: Project):
    run = request(harness, project)
    with harness.paused(run.id, "comparing") as paused:
        paused.send_signal(signal.SIGTERM)
    left = harness.ended(run.id)
    assert (left.state, left.reason_code) == (RunState.FAILED, ReasonCode.WORKER_SHUTDOWN)
    harness.await_state(run.id, "FAILED")
    assert left.attempts.next_id is not None
    assert harness.execute(left.attempts.next_id).outcome is Outcome.CHANGED


def test_a_killed_worker_is_taken_over_when_the_lease_has_expired(
    harness: PrefectHarness, tenant: GitTenant, project: Project
):
    with harness.server.worker("doomed") as worker:
        doomed = PrefectHarness(
            tenant, harness.url, harness.server, worker, pool="doomed", lease_seconds=LEASE
        )
        run = request(doomed, project)
        with doomed.paused(run.id, "applying"):
            doomed.await_state(run.id, "RUNNING")
            worker.kill()
        while not harness.runs.get(run.id).is_terminal:
            harness.runner.reaper.sweep()
        doomed.close()
    lost = harness.runs.get(run.id)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert lost.completed_at is not None
    assert lost.executor.heartbeat_at is not None
    waited = lost.completed_at - lost.executor.heartbeat_at
    assert timedelta(seconds=LEASE) < waited <= timedelta(seconds=LEASE + 5)
    assert harness.flow_run(run.id)["state_type"] == "RUNNING", "Prefect does not notice"
    harness.look()
    assert harness.flow_run(run.id)["state_type"] == "FAILED"
    assert lost.attempts.next_id is not None
    taken = harness.execute(lost.attempts.next_id)
    assert (taken.outcome, taken.attempts.number, taken.pull) == (Outcome.CHANGED, 2, 1)


def test_a_worker_that_never_starts_the_command_is_given_up(
    harness: PrefectHarness, project: Project
):
    harness.pool = "of no worker"
    harness.backend = harness.passing_on(harness.command(), pending_seconds=1)
    run = request(harness, project)
    harness.pass_on(run.id, harness.backend)
    harness.propose(run.id, "PENDING")
    while not harness.runs.get(run.id).is_terminal:
        harness.look()
    lost = harness.runs.get(run.id)
    assert lost.reason_code is ReasonCode.HEARTBEAT_TIMEOUT
    assert lost.attempts.next_id is not None


def test_a_retry_in_prefect_of_a_run_that_has_ended_changes_nothing(
    harness: PrefectHarness, project: Project
):
    run = harness.execute(request(harness, project).id)
    harness.await_state(run.id, "COMPLETED")
    harness.propose(run.id, "SCHEDULED")
    harness.worker.hear("is not executed here: ended")
    harness.await_state(run.id, "COMPLETED")
    assert harness.runs.attempts(run.id) == (harness.runs.attempts(run.id)[0],)
    assert harness.runs.get(run.id).updated_at == run.updated_at


def test_a_run_is_executed_over_sqlite(
    sqlite_url: str,
    git_server: GitServer,
    tmp_path: Path,
    prefect: PrefectServer,
    worker: PrefectProcess,
):
    database = open_database(sqlite_url)
    tenant = GitTenant(database, git_server, tmp_path)
    tenant.commit(a=b"1")
    harness = PrefectHarness(tenant, sqlite_url, prefect, worker)
    assert harness.execute(request(harness, tenant.project()).id).outcome is Outcome.CHANGED
    harness.close()
    database.close()


def test_what_is_requested_while_prefect_is_away_is_executed_when_it_is_back(
    harness: PrefectHarness, project: Project
):
    harness.server.stop()
    run = request(harness, project)
    harness.backend.follow_due()
    assert (harness.runs.get(run.id).state, harness.runs.get(run.id).executor.remote) == (
        RunState.QUEUED,
        None,
    )
    harness.server.start()
    with harness.server.worker("towline"):
        assert harness.execute(run.id).outcome is Outcome.CHANGED
