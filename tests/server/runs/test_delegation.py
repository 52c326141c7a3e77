"""Runs that are passed on to an orchestrator: when, in which order, and what its answers do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.runs.stepped_orchestrator import SteppedOrchestrator
from towline_server.db.clock import sql_now
from towline_server.projects.domain import Project
from towline_server.runs.delegation import OrchestratedBackend
from towline_server.runs.domain import RemoteRun, RemoteState, Run, RunRequest
from towline_server.runs.due import Due, DueWork
from towline_server.runs.service import Runs
from towline_server.runs.states import ReasonCode, RunState
from towline_server.runs.tables import RunRow, find_row
from towline_server.runs.worker import Backends


class Delegated:
    """Runs of an orchestrator; a test says when a server looks."""

    def __init__(self, runner: Runner, **options) -> None:
        self.runner = runner
        self.orchestrator = SteppedOrchestrator()
        database = runner.tenant.database
        self.backend = OrchestratedBackend(self.orchestrator, database, runner.changes, **options)
        self.runs = Runs(database, Backends([self.backend]), changes=runner.changes)

    def request(self, project: Project) -> Run:
        return self.runs.request(project.id, RunRequest(), backend=self.orchestrator.name)

    def look(self) -> None:
        """A server looks at every run that the orchestrator has or may have, be it due or not."""
        self.runner.make_due()
        self.backend.follow_due()

    def remote(self, run: Run) -> RemoteRun:
        found = self.runs.get(run.id).executor.remote
        assert found is not None
        return found

    def is_due(self) -> bool:
        with self.runner.tenant.database.reading() as session:
            return session.query(RunRow).where(RunRow.backend_due_at <= sql_now()).count() > 0

    def execute(self, run: Run) -> Run:
        assert self.runner.worker().execute(run.id) is None
        return self.runs.get(run.id)


@pytest.fixture
def delegated(runner: Runner) -> Delegated:
    return Delegated(runner)


def test_a_run_is_given_once_and_its_end_is_written(delegated: Delegated, project: Project):
    run = delegated.request(project)
    assert run.executor.remote is None
    delegated.backend.follow_due()
    delegated.backend.follow_due()
    assert delegated.orchestrator.starts == [run.id]
    assert delegated.remote(run).url == f"https://orchestrator.example/{run.id}"
    assert delegated.remote(run).status == {"state": "running"}
    assert delegated.execute(run).state is RunState.SUCCEEDED
    delegated.orchestrator.end(delegated.remote(run).ref, RemoteState.ENDED)
    delegated.backend.follow_due()
    assert delegated.remote(run).state is RemoteState.ENDED
    looks = delegated.orchestrator.looks
    delegated.look()
    assert delegated.orchestrator.looks == looks, "it is never asked again"


def test_what_was_queued_while_it_was_away_is_given_when_it_is_back(
    delegated: Delegated, tenant: GitTenant, project: Project
):
    delegated.orchestrator.away = True
    runs = [delegated.request(project), delegated.request(tenant.project())]
    delegated.backend.follow_due()
    assert delegated.orchestrator.starts == []
    assert delegated.is_due(), "the next look finds them"
    delegated.orchestrator.away = False
    delegated.backend.follow_due()
    assert delegated.orchestrator.starts == [], "it is left alone for a moment"
    other = Delegated(delegated.runner)
    other.backend.follow_due()
    assert set(other.orchestrator.starts) == {run.id for run in runs}


def test_a_start_whose_answer_was_lost_is_repeated(delegated: Delegated, project: Project):
    run = delegated.request(project)
    delegated.orchestrator.start(run.id)  # and the server was killed
    delegated.execute(run)
    delegated.look()
    assert delegated.runs.get(run.id).state is RunState.SUCCEEDED
    assert len(delegated.orchestrator.given) == 1


def test_a_project_has_one_run_there_and_tenants_take_turns(
    delegated: Delegated, tenant: GitTenant, project: Project
):
    crowd = Delegated(delegated.runner, waiting_at_once=3)
    same = [crowd.request(project) for _ in range(2)]
    others = [crowd.request(tenant.project()) for _ in range(3)]
    guest = GitTenant(tenant.database, tenant.server, tenant.folder)
    late = crowd.request(guest.project())
    crowd.backend.follow_due()
    assert len(crowd.orchestrator.starts) == 3
    assert late.id in crowd.orchestrator.starts
    assert {same[0].id, others[0].id} < set(crowd.orchestrator.starts)
    for run_id in crowd.orchestrator.starts[:3]:
        crowd.execute(crowd.runs.get(run_id))
    crowd.backend.follow_due()
    assert set(crowd.orchestrator.starts) == {run.id for run in (*same, *others, late)}


def test_a_cancel_is_passed_on(delegated: Delegated, project: Project):
    run = delegated.request(project)
    delegated.backend.follow_due()
    delegated.runs.cancel(run.id)
    delegated.backend.follow_due()
    delegated.look()
    assert delegated.remote(run).state is RemoteState.CANCELLED


@pytest.mark.parametrize("state", [RemoteState.CANCELLED, RemoteState.CANCELLING])
@pytest.mark.parametrize("phase", ["queued", "comparing"])
def test_a_cancel_there_cancels_the_run(
    phase: str, state: RemoteState, delegated: Delegated, project: Project
):
    run = delegated.request(project)
    delegated.backend.follow_due()

    def cancelled_there() -> None:
        delegated.orchestrator.end(delegated.remote(run).ref, state)
        delegated.look()

    if phase == "queued":
        cancelled_there()
    else:
        with delegated.runner.paused(run.id, phase) as worker:
            cancelled_there()
            worker.heartbeat.look()
    ended = delegated.runs.get(run.id)
    assert (ended.state, ended.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
    assert ended.cancellation is not None
    assert ended.cancellation.by == "temporal"


def test_a_run_that_has_ended_ends_there_too(delegated: Delegated, project: Project):
    run = delegated.request(project)
    delegated.backend.follow_due()
    delegated.execute(run)
    delegated.look()
    ref = delegated.remote(run).ref
    assert delegated.orchestrator.settled == [(ref, RunState.SUCCEEDED)]
    delegated.orchestrator.end(ref, RemoteState.CANCELLING)
    delegated.look()
    assert len(delegated.orchestrator.settled) == 2, "it has not stopped yet"
    delegated.orchestrator.end(ref, RemoteState.ENDED)
    delegated.look()
    delegated.look()
    assert len(delegated.orchestrator.settled) == 2


def test_a_run_that_ended_there_alone_is_followed_by_an_attempt(
    delegated: Delegated, project: Project
):
    run = delegated.request(project)
    delegated.backend.follow_due()
    delegated.orchestrator.end(delegated.remote(run).ref, RemoteState.FAILED)
    delegated.look()
    lost = delegated.runs.get(run.id)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert lost.attempts.next_id in delegated.orchestrator.starts


def test_a_run_that_it_has_forgotten_is_given_again(delegated: Delegated, project: Project):
    run = delegated.request(project)
    delegated.backend.follow_due()
    delegated.orchestrator.given.clear()
    delegated.look()
    assert delegated.orchestrator.starts == [run.id, run.id]
    with delegated.runner.paused(run.id, "comparing"):
        delegated.orchestrator.given.clear()
        delegated.look()
        assert delegated.orchestrator.starts == [run.id, run.id], "its executor has a lease"


def test_a_server_that_shares_the_database_does_not_look_at_the_same(
    delegated: Delegated, project: Project
):
    run = delegated.request(project)
    other = Delegated(delegated.runner)
    assert len(delegated.backend._claim()) == 1
    other.backend.follow_due()
    assert other.orchestrator.starts == []
    with delegated.runner.tenant.database.writing() as session:
        find_row(session, run.id, lock=True).backend_due_at = run.created_at
    other.backend.follow_due()
    assert other.orchestrator.starts == [run.id], "the first was killed meanwhile"


def test_only_a_server_with_something_due_is_woken(
    delegated: Delegated, tenant: GitTenant, project: Project
):
    work = DueWork(tenant.database, {Due.TEMPORAL: delegated.backend.ticker})
    assert work.find() == frozenset()
    first, second = delegated.request(project), delegated.request(project)
    assert work.find() == {Due.TEMPORAL}
    delegated.backend.follow_due()
    assert work.find() == frozenset(), "the second waits for the first"
    delegated.runs.cancel(first.id)
    assert work.find() == {Due.TEMPORAL}
    assert second.state is RunState.QUEUED


def test_a_retry_is_given_when_it_may_begin(delegated: Delegated, project: Project):
    run = delegated.request(project)
    delegated.backend.follow_due()
    delegated.execute(run)
    again = delegated.runs.retry(run.id)
    with delegated.runner.tenant.database.writing() as session:
        row = find_row(session, again.id, lock=True)
        row.not_before = row.created_at + timedelta(hours=1)
    delegated.look()
    assert again.id not in delegated.orchestrator.starts
    delegated.runner.age(3600)
    delegated.look()
    assert again.id in delegated.orchestrator.starts
