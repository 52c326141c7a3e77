"""Durable runs in real processes: killed in each phase, stalled, shut down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG, Workers, runs_elsewhere, workers
from tests.server.runs.runner import BOUNDARIES, Runner
from towline.remotes.windows import Window
from towline_server.projects.domain import Project
from towline_server.runs.domain import RunRequest, WindowCount
from towline_server.runs.service import Runs
from towline_server.runs.states import Outcome, ReasonCode, RunState


@pytest.fixture
def processes(tenant: GitTenant, database_url: str) -> Iterator[Workers]:
    with workers(tenant, database_url) as made:
        yield made


@pytest.fixture
def runs(tenant: GitTenant) -> Runs:
    return runs_elsewhere(tenant)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_killed_run_goes_on(
    boundary: str, tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    asked = runs.request(project.id)
    worker = processes.start(stop_at=boundary)
    assert worker.hear_stop() == asked.id
    worker.kill()
    committed = boundary == "ended"
    assert tenant.contents(project) == ({"a": b"1", "b": b"1"} if committed else {})
    processes.start()
    run = runs.wait(asked.id, LONG)
    assert (run.id, run.state, run.attempts.number) == (asked.id, RunState.SUCCEEDED, 1)
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}
    assert (run.pull, tenant.pulls(project)) == (1, 1)
    again = runs.wait(runs.request(project.id).id, LONG)
    assert again.outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("boundary", ["applying", "ended"])
def test_a_run_by_windows_that_was_killed_goes_on(
    boundary: str, tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    """The worker is killed in the second of three windows, and between it and the third."""
    Runner(tenant).worker().execute(runs.request(project.id).id)
    made = [tenant.commit(a=b"%d" % number, b=b"1") for number in (2, 3, 4)]
    asked = runs.request(project.id, RunRequest(window=Window(commits=1)))
    worker = processes.start(stop_at=boundary)
    worker.hear_stop()
    worker.go()
    worker.hear_stop()
    worker.kill()
    assert tenant.contents(project)["a"] == (b"3" if boundary == "ended" else b"2")
    processes.start()
    run = runs.wait(asked.id, LONG)
    assert (run.state, run.windows) == (RunState.SUCCEEDED, WindowCount(pulled=3, left=0))
    log = tenant.store(project).log()
    assert [pull.summary.revision for pull in log[:3]][::-1] == made
    assert len(log) == 4


def test_another_worker_takes_over(
    tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    asked = runs.request(project.id)
    first = processes.start(stop_at="applying")
    first.hear_stop()
    first.kill()
    Runner(tenant).lapse()
    processes.start(folder="two")
    run = runs.wait(asked.id, LONG)
    assert (run.attempts.number, run.attempts.previous_id) == (2, asked.id)
    assert run.state is RunState.SUCCEEDED
    lost = runs.get(asked.id)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert lost.will_be_retried
    assert [each.id for each in runs.attempts(run.id)] == [asked.id, run.id]
    assert tenant.pulls(project) == 1


def test_a_stalled_worker_changes_nothing_when_it_wakes(
    tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    asked = runs.request(project.id)
    first = processes.start(stop_at="applying")
    first.hear_stop()
    first.freeze()
    Runner(tenant).lapse()
    processes.start(folder="two")
    run = runs.wait(asked.id, LONG)
    assert run.attempts.number == 2
    tenant.edit(project, "a", b"edited since")
    first.thaw()
    first.go()
    first.shut_down()
    assert tenant.contents(project) == {"a": b"edited since", "b": b"1"}
    assert tenant.pulls(project) == 1
    assert runs.get(asked.id).reason_code is ReasonCode.HEARTBEAT_TIMEOUT


def test_a_shutdown_releases_runs(
    tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    asked = runs.request(project.id)
    first = processes.start(stop_at="comparing")
    first.hear_stop()
    assert first.child.stdin is not None
    first.go()
    first.shut_down()
    run = runs.get(asked.id)
    processes.start(folder="two")
    last = runs.wait(asked.id, LONG)
    assert last.state is RunState.SUCCEEDED
    if run.reason_code is not None:
        assert run.reason_code is ReasonCode.WORKER_SHUTDOWN
        assert last.attempts.auto_resumes == 0
    assert tenant.pulls(project) == 1


def test_a_run_that_keeps_losing_its_executor_ends(
    tenant: GitTenant, processes: Workers, runs: Runs, project: Project
):
    asked = runs.request(project.id)
    for number in range(2):
        worker = processes.start(
            folder=str(number), stop_at="comparing", max_auto_resume_attempts=1
        )
        worker.hear_stop()
        worker.kill()
        Runner(tenant).lapse()
    processes.start(folder="last", max_auto_resume_attempts=1)
    run = runs.wait(asked.id, LONG)
    assert (run.state, run.attempts.number) == (RunState.FAILED, 2)
    assert tenant.contents(project) == {}
