"""Runs that Temporal has executed, on a real server and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.server.otlp_collector import collecting
from tests.server.runs.backend_contract import BackendContract, rows
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.runs.temporal_harness import TemporalHarness, await_until
from tests.temporal import TemporalServer
from towline_server import telemetry
from towline_server.errors import OrchestratorUnavailable
from towline_server.orchestrator_settings import TemporalSettings
from towline_server.projects.domain import Project
from towline_server.runs.bounds import AtOnce
from towline_server.runs.domain import RemoteRun, RemoteState, Run, RunMode, RunRequest
from towline_server.runs.states import Outcome, ReasonCode, RunState
from towline_server.runs.steps import Progress, RunStep
from towline_server.runs.temporal.orchestrator import TemporalOrchestrator
from towline_server.runs.temporal.workflow import RunWorkflow

HISTORIES = Path(__file__).parent / "histories"


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """The database of `tenant`."""
    return postgres_url


@pytest.fixture
def harness(
    runner: Runner, database_url: str, temporal_server: TemporalServer
) -> Iterator[TemporalHarness]:
    made = TemporalHarness(runner, database_url, temporal_server.address)
    yield made
    made.close()


@pytest.mark.services
class TestTemporal(BackendContract):
    """The contract of backends."""


def request(harness: TemporalHarness, project: Project, **changes: Any) -> Run:
    return harness.runs.request(project.id, RunRequest(**changes), backend=harness.name)


def remote(harness: TemporalHarness, run: Run, state: RemoteState) -> RemoteRun:
    """The run at Temporal, once it is in a state there."""

    def looked() -> bool:
        found = harness.orchestrator.find(str(run.id))
        return found is not None and found.state is state

    await_until(looked, f"the workflow is {state}")
    found = harness.orchestrator.find(str(run.id))
    assert found is not None
    return found


def save(harness: TemporalHarness, run: Run, name: str) -> None:
    """Record a workflow's history, where ``RECORD_HISTORIES`` asks for it."""
    if not os.environ.get("RECORD_HISTORIES"):
        return

    async def fetched() -> WorkflowHistory:
        client = await harness.client()
        return await client.get_workflow_handle(str(run.id)).fetch_history()

    text = asyncio.run(fetched()).to_json()
    text = re.sub(r'"\d+@[^"]*"', '"worker"', text)  # the process and its machine
    (HISTORIES / f"{name}.json").write_text(text + "\n")


# --- on a real server ---------------------------------------------------------------------------


@pytest.mark.services
def test_a_run_is_the_workflow_that_has_its_id(harness: TemporalHarness, project: Project):
    run = harness.execute(request(harness, project).id)
    found = remote(harness, run, RemoteState.ENDED)
    assert (found.ref, found.details["status"]) == (str(run.id), "COMPLETED")
    execution = found.details["run_id"]
    page = f"namespaces/default/workflows/{run.id}/{execution}/history"
    assert found.url == f"https://temporal.example/{page}"
    await_until(lambda: _looked(harness, run), "the end is written")
    assert harness.orchestrator.start(run.id).state is RemoteState.ENDED, "it starts once"
    save(harness, run, "pulled")


def _looked(harness: TemporalHarness, run: Run) -> bool:
    harness.backend.follow_due()
    stored = harness.runs.get(run.id).executor.remote
    return stored is not None and stored.state is RemoteState.ENDED


@pytest.mark.services
def test_a_dry_run_ends_without_the_last_step(harness: TemporalHarness, project: Project):
    run = harness.execute(request(harness, project, mode=RunMode.DRY_RUN).id)
    assert run.outcome is Outcome.CHANGED
    remote(harness, run, RemoteState.ENDED)
    save(harness, run, "dry-run")


@pytest.mark.services
def test_a_second_workflow_of_a_run_does_nothing(
    harness: TemporalHarness, tenant: GitTenant, project: Project
):
    run = harness.execute(request(harness, project).id)
    before = rows(tenant)
    assert asyncio.run(harness.workflow_again(run.id)) == "succeeded"
    assert rows(tenant) == before


@pytest.mark.services
@pytest.mark.parametrize("phase", ["queued", "fetching", "comparing", "applying"])
def test_a_workflow_that_is_cancelled_cancels_its_run(
    phase: str, harness: TemporalHarness, tenant: GitTenant, project: Project
):
    run = request(harness, project)

    def cancel_there() -> None:
        harness.orchestrator.cancel(str(run.id))

    if phase == "queued":
        harness.backend.follow_due()
        cancel_there()
        harness.two()
    else:
        with harness.paused(run.id, phase) as paused:
            assert remote(harness, run, RemoteState.RUNNING).details["activity"] != "cancel"
            cancel_there()
            await_until(lambda: harness.runs.get(run.id).is_cancelling, "the run is to stop")
            paused.go()
    ended = remote(harness, run, RemoteState.CANCELLED)
    assert ended.details["status"] == "CANCELED"
    found = harness.runs.get(run.id)
    assert (found.state, found.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
    assert found.cancellation is not None
    assert found.cancellation.by == "temporal"
    assert tenant.pulls(project) == 0
    save(harness, run, f"cancelled-{phase}")


@pytest.mark.services
@pytest.mark.parametrize("phase", ["queued", "comparing"])
def test_a_run_that_is_cancelled_cancels_its_workflow(
    phase: str, harness: TemporalHarness, project: Project
):
    run = request(harness, project)
    if phase == "queued":
        harness.backend.follow_due()
        harness.runs.cancel(run.id)
        harness.backend.follow_due()
        harness.two()
        remote(harness, run, RemoteState.CANCELLED)
    else:
        with harness.paused(run.id, phase) as paused:
            harness.runs.cancel(run.id)
            harness.backend.follow_due()
            paused.go()
            # Its step may have ended before it was asked to stop.
            await_until(lambda: _is_over(harness, run), "the workflow ends")
    assert harness.runs.get(run.id).state is RunState.CANCELLED


@pytest.mark.services
def test_the_next_step_is_done_by_another_worker_where_the_first_is_gone(
    harness: TemporalHarness, tenant: GitTenant, project: Project
):
    run = request(harness, project)
    with harness.paused(run.id, "comparing") as paused:
        harness.lose()
        again = harness.runs.get(run.id).attempts.next_id
        assert again is not None
        assert harness.execute(again).outcome is Outcome.CHANGED
        paused.go()
    remote(harness, run, RemoteState.ENDED)
    assert tenant.pulls(project) == 1
    save(harness, run, "lost")


@pytest.mark.services
def test_a_tenant_has_its_part_of_a_worker_alone(
    harness: TemporalHarness, tenant: GitTenant, project: Project
):
    harness.at_once = AtOnce(total=2, tenant=1, host=2)
    first, other = (
        request(harness, project),
        GitTenant(tenant.database, tenant.server, tenant.folder),
    )
    with harness.paused(first.id, "comparing") as paused:
        second = request(harness, tenant.project())
        elsewhere = request(harness, other.project())
        harness.backend.follow_due()
        await_until(lambda: harness.runs.get(elsewhere.id).is_terminal, "another tenant's ends")
        assert paused.threads.temporal.steps.do(second.id, RunStep.FETCH) is Progress.WAITS
        assert harness.runs.get(second.id).state is RunState.QUEUED
    await_until(lambda: harness.runs.get(second.id).is_terminal, "its turn comes")


@pytest.mark.services
def test_a_host_has_its_part_of_a_worker_alone(
    harness: TemporalHarness, tenant: GitTenant, project: Project
):
    harness.at_once = AtOnce(total=2, tenant=2, host=1)
    first = request(harness, project)
    with harness.paused(first.id, "comparing") as paused:
        second = request(harness, tenant.project())
        harness.backend.follow_due()
        assert paused.threads.temporal.steps.do(second.id, RunStep.FETCH) is Progress.WAITS
        assert harness.runs.get(second.id).state is RunState.QUEUED
    await_until(lambda: harness.runs.get(second.id).is_terminal, "its turn comes")


@pytest.mark.services
def test_a_run_is_a_trace_of_its_own(
    harness: TemporalHarness, project: Project, monkeypatch: pytest.MonkeyPatch
):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with telemetry.sending(tuple):
            ended = harness.execute(request(harness, project).id)
            await_until(lambda: harness.two().temporal.steps.is_idle, "its steps end")
    [run] = [each for each in collector.spans if each.name == "run"]
    about = {each.key: each.value.string_value for each in run.attributes}
    assert about == {"run_id": str(ended.id), "project_id": str(project.id)}
    assert run.parent_span_id == b""
    steps = [each.name for each in collector.children(run)]
    assert [each for each in steps if each.islower()] == ["fetch", "compare", "apply"]
    [fetch] = [each for each in collector.spans if each.name == "git fetch"]
    assert fetch.trace_id == run.trace_id


def test_a_server_that_is_not_there_is_named(tmp_path: Path):
    away = TemporalOrchestrator(TemporalSettings(address="127.0.0.1:1"))
    with pytest.raises(OrchestratorUnavailable) as refused:
        away.find("none")
    assert "Temporal cannot be used now" in refused.value.message
    away.close()


def _is_over(harness: TemporalHarness, run: Run) -> bool:
    found = harness.orchestrator.find(str(run.id))
    return found is not None and found.state.is_terminal


# --- histories ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
def test_workflows_of_earlier_versions_go_on(file: Path):
    history = WorkflowHistory.from_json(file.stem, file.read_text())
    asyncio.run(Replayer(workflows=[RunWorkflow]).replay_workflow(history))


def test_a_change_of_what_a_workflow_does_is_seen(monkeypatch: pytest.MonkeyPatch):
    [pulled] = HISTORIES.glob("pulled.json")
    text = pulled.read_text().replace('"name": "compare"', '"name": "merge"')
    history = WorkflowHistory.from_json("pulled", text)
    with pytest.raises(Exception, match=r"Nondeterminism|nondeterministic"):
        asyncio.run(Replayer(workflows=[RunWorkflow]).replay_workflow(history))
