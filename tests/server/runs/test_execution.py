"""Executing runs: one a project, cancelled in every phase, fenced, fetched together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.server.runs.fetcher import Fetcher
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import BEFORE_THE_COMMIT, Gate, Runner
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.testing.git_server import Answers
from towline_server.errors import LeaseLost, RunNotEnded
from towline_server.projects.domain import Project
from towline_server.runs.bounds import AtOnce
from towline_server.runs.completion import complete, failed
from towline_server.runs.domain import BackendName, Lease
from towline_server.runs.fetching import FetchTarget
from towline_server.runs.heartbeat import Stop
from towline_server.runs.listing import RunFilter
from towline_server.runs.queue import NotTaken
from towline_server.runs.states import ACTIVE, Outcome, ReasonCode, ResultClass, RunState
from towline_server.runs.tables import RunRow
from towline_server.runs.worker import NativeBackend


def test_one_run_works_on_a_project_at_a_time(runner: Runner, tenant: GitTenant, project: Project):
    first, second = (runner.runs.request(project.id) for _ in range(2))
    with runner.paused(first.id, "comparing"):
        assert runner.worker("two").execute(second.id) is NotTaken.BUSY
        assert runner.worker("two").execute(first.id) is NotTaken.HELD
        assert runner.runs.get(second.id).state is RunState.QUEUED
        other = runner.runs.request(tenant.project().id)
        assert runner.worker("two").execute(other.id) is None
    assert runner.worker("two").execute(second.id) is None
    assert runner.runs.get(first.id).outcome is Outcome.CHANGED
    assert runner.runs.get(second.id).outcome is Outcome.UNCHANGED
    assert runner.worker("two").execute(first.id) is NotTaken.ENDED


def test_fifty_projects_are_one_fetch(tenant: GitTenant):
    runner = Runner(tenant)
    tenant.commit(a=b"1")
    runs = [runner.runs.request(tenant.project().id) for _ in range(50)]
    workers = [runner.worker(str(number)) for number in range(8)]

    def execute(number: int) -> None:
        workers[number % 8].execute(runs[number].id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(execute, range(50)))
    assert {runner.runs.get(run.id).outcome for run in runs} == {Outcome.CHANGED}
    assert runner.fetches.count == 1
    requests = [each.target.split("/")[-1] for each in tenant.server.tally.requests]
    assert requests == ["refs?service=git-upload-pack", "git-upload-pack", "git-upload-pack"]


def test_a_batch_pulls_what_its_first_run_resolved(runner: Runner, tenant: GitTenant):
    revision = tenant.commit(rules__a=b"1", tasks__b=b"1")
    batch = runner.runs.request_kinds(tenant.project().id, ["rule", "task"])
    runner.worker().execute(batch[0].id)
    tenant.commit(rules__a=b"2", tasks__b=b"2")
    Runner(tenant).worker().execute(batch[1].id)  # another server, which shares no fetch
    done = [runner.runs.get(run.id) for run in batch]
    assert [run.target_revision for run in done] == [revision, revision]
    assert done[0].target_committed_at == done[1].target_committed_at is not None


def test_progress_never_falls(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    seen = [0]
    for boundary in BEFORE_THE_COMMIT:
        with runner.paused(run.id, boundary) as worker:
            seen.append(runner.runs.get(run.id).progress)
            worker.heartbeat.close()
        following = runner.runs.get(run.id).attempts.next_id
        assert following is not None
        run = runner.runs.get(following)
    assert seen == sorted(seen)
    assert seen[-1] == 70


# --- cancel -----------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", BEFORE_THE_COMMIT)
def test_a_run_is_cancelled_before_its_commit_point(
    boundary: str, runner: Runner, tenant: GitTenant, project: Project
):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, boundary):
        # The worker finds out by itself, at the latest when it would commit.
        asked = runner.runs.cancel(run.id)
        assert asked.is_cancelling
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
    assert tenant.contents(project) == {}
    assert_never_again(runner, project)


def assert_never_again(runner: Runner, project: Project) -> None:
    runner.lapse()
    runner.age(3600)
    runner.native.submitted.clear()
    runner.reaper.sweep()
    assert runner.native.submitted == []
    assert runner.runs.page(RunFilter(project_id=project.id)).total == 1


def test_a_run_that_commits_is_not_cancelled(runner: Runner, tenant: GitTenant, project: Project):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "committing"):
        cancel = threading.Thread(target=runner.runs.cancel, args=(run.id,))
        cancel.start()
    cancel.join()
    assert runner.runs.get(run.id).state is RunState.SUCCEEDED
    assert runner.runs.get(run.id).cancellation is None
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


def test_cancelling_stops_the_fetch(tenant: GitTenant, project: Project):
    fetcher = Fetcher()
    runner = Runner(tenant, fetcher)
    run = runner.runs.request(project.id)
    worker = runner.worker()
    runner.native.heartbeat = worker.heartbeat
    thread = threading.Thread(target=worker.execute, args=(run.id,))
    thread.start()
    fetcher.begun.acquire()
    runner.runs.cancel(run.id)
    thread.join()
    assert runner.runs.get(run.id).state is RunState.CANCELLED
    assert fetcher.tokens[0].is_set()


def test_the_heartbeat_writes_the_progress_of_a_phase_that_lasts(
    tenant: GitTenant, project: Project
):
    class Halfway(Fetcher):
        def __call__(self, wanted: FetchTarget, watch: Watch) -> Revision:
            watch.report(Phase.FETCHING, 1, 2)
            return super().__call__(wanted, watch)

    runner = Runner(tenant, Halfway())
    run, worker = runner.runs.request(project.id), runner.worker()
    runner.native.heartbeat = worker.heartbeat
    thread = threading.Thread(target=worker.execute, args=(run.id,))
    thread.start()
    while (found := runner.runs.get(run.id)).progress <= 5:
        worker.heartbeat.write_progress()
    assert (found.state, found.progress) == (RunState.FETCHING, 27)
    runner.runs.cancel(run.id)
    worker.heartbeat.write_progress()
    thread.join()
    assert runner.runs.get(run.id).state is RunState.CANCELLED


def test_a_look_at_the_database_finds_what_was_cancelled_elsewhere(
    runner: Runner, project: Project
):
    run = runner.runs.request(project.id)
    worker = runner.worker()
    lease = worker.take(run.id)
    assert isinstance(lease, Lease)
    with worker.holding(lease):
        runner.runs.cancel(run.id)
        token = worker.heartbeat._held[run.id][1]
        assert token.why is None
        worker.heartbeat.look()
        assert token.why is Stop.CANCELLED


def test_a_cancelled_run_whose_executor_died_ends_cancelled(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    runner.leases.take(run.id, "dead")
    runner.runs.cancel(run.id)
    runner.lose()
    assert runner.runs.get(run.id).state is RunState.CANCELLED
    assert runner.runs.get(run.id).attempts.next_id is None


def test_a_cancelled_run_has_no_next_attempt(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "applying") as worker:
        worker.heartbeat.close()
        runner.runs.cancel(run.id)
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.attempts.next_id) == (RunState.CANCELLED, None)


def test_cancelling_a_fan_out_cancels_its_children(runner: Runner, project: Project):
    run = runner.runs.request_fan_out(project.id, ["rule", "task", "file"])
    first = runner.children(run.id)[0]
    with runner.paused(first.id, "comparing"):
        assert runner.runs.get(run.id).state is RunState.COMPARING
        assert runner.runs.cancel(run.id).is_cancelling
    assert runner.runs.get(run.id).state is RunState.CANCELLED
    assert {child.state for child in runner.children(run.id)} == {RunState.CANCELLED}


# --- leases and fences ------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", BEFORE_THE_COMMIT)
def test_an_executor_that_lost_its_run_changes_nothing(
    boundary: str, runner: Runner, tenant: GitTenant, project: Project
):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, boundary, "stalled"):
        runner.lose()
        following = runner.native.submitted[-1]
        assert runner.worker("awake").execute(following) is None
        tenant.edit(project, "a", b"edited since")
    assert tenant.contents(project) == {"a": b"edited since", "b": b"1"}
    lost, done = runner.runs.get(run.id), runner.runs.get(following)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert (done.state, done.pull, done.attempts.number) == (RunState.SUCCEEDED, 1, 2)
    assert done.attempts.root_id == lost.id


def test_a_heartbeat_finds_that_its_run_was_lost(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    worker = runner.worker()
    lease = worker.take(run.id)
    assert isinstance(lease, Lease)
    with worker.holding(lease):
        token = worker.heartbeat._held[run.id][1]
        worker.heartbeat.renew()
        assert token.why is None
        runner.lapse()
        worker.heartbeat.renew()
        runner.reaper.sweep()
        assert runner.runs.get(run.id).state is RunState.FETCHING
        runner.lose()
        worker.heartbeat.renew()
        assert token.why is Stop.LOST


def test_an_executor_that_comes_back_goes_on(runner: Runner, tenant: GitTenant, project: Project):
    run = runner.runs.request(project.id)
    before = runner.leases.take(run.id, "one")
    after = runner.leases.take(run.id, "one")
    assert isinstance(before, Lease)
    assert isinstance(after, Lease)
    assert runner.leases.renew([before]).held == frozenset()
    with pytest.raises(LeaseLost):
        runner.leases.move(before, RunState.COMPARING, 50)
    with pytest.raises(LeaseLost), tenant.database.writing() as session:
        complete(session, before, failed(RuntimeError()), run.created_at)
    assert runner.leases.renew([after]).held == {run.id}
    assert runner.worker("one").execute(run.id) is None
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


def test_a_stale_plan_is_made_again(runner: Runner, tenant: GitTenant, project: Project):
    runner.worker().execute(runner.runs.request(project.id).id)
    tenant.commit(a=b"2", b=b"2")
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "applying"):
        tenant.edit(project, "a", b"2")
    assert runner.runs.get(run.id).outcome is Outcome.CHANGED
    assert tenant.contents(project) == {"a": b"2", "b": b"2"}
    tenant.commit(a=b"3", b=b"2")
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "applying"):
        tenant.edit(project, "a", b"ours")
    assert runner.runs.get(run.id).reason_code is ReasonCode.UNRESOLVED_CONFLICTS
    assert tenant.contents(project) == {"a": b"ours", "b": b"2"}


def test_a_cache_that_vanished_is_fetched_again(
    runner: Runner, tenant: GitTenant, project: Project, tmp_path: Path
):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "fetched"):
        cache = runner.repositories.of(project).cache
        cache.rename(tmp_path / "gone")
    assert runner.runs.get(run.id).outcome is Outcome.CHANGED
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


def test_a_project_that_is_deleted_takes_its_run_along(runner: Runner, tenant: GitTenant):
    from towline_server.projects.service import Projects

    tenant.commit(a=b"1")
    project = tenant.project()
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "comparing"), tenant.database.writing() as session:
        Projects(session).delete(project.id)
    assert runner.runs.find(run.id) is None
    assert runner.worker().execute(run.id) is NotTaken.ENDED


# --- the queue --------------------------------------------------------------------------------


def test_the_oldest_run_whose_project_is_free_is_next(
    runner: Runner, tenant: GitTenant, project: Project
):
    first, _second = (runner.runs.request(project.id) for _ in range(2))
    other = runner.runs.request(tenant.project().id)
    runner.runs.request(tenant.project().id, backend=BackendName.EXTERNAL)
    worker, native = runner.worker(), RunRow.backend == BackendName.NATIVE
    taken = [worker.take_next(native) for _ in range(3)]
    assert [lease and lease.run_id for lease in taken] == [first.id, other.id, None]
    assert [each.run_id for each in worker.interrupted()] == [first.id, other.id]


def test_runs_wait_for_a_slot_and_for_their_project(
    runner: Runner, tenant: GitTenant, project: Project
):
    runs = [runner.runs.request(project.id) for _ in range(2)]
    runs += [runner.runs.request(tenant.project().id) for _ in range(2)]
    gate = Gate("comparing")
    at_once = AtOnce(total=2, tenant=2, host=2)
    native = NativeBackend(runner.worker(gate=gate), at_once=at_once, poll_seconds=3600)
    native.ticker.start()
    for _ in range(2):
        gate.await_run()
    states = [runner.runs.get(run.id).state for run in runs]
    waits, runs_now = RunState.QUEUED, RunState.COMPARING
    assert states == [runs_now, waits, runs_now, waits]
    gate.open()
    # No poll is needed: what ends here wakes what waits here.
    assert {runner.runs.wait(run.id, 3600).state for run in runs} == {RunState.SUCCEEDED}
    native.stop(3600)


def test_several_servers_take_each_run_once(runner: Runner, tenant: GitTenant, project: Project):
    projects = [project, *(tenant.project() for _ in range(3))]
    asked = {runner.runs.request(each.id).id for each in projects for _ in range(2)}

    def take(number: int) -> list[UUID]:
        worker, taken = runner.worker(str(number)), []
        while (lease := worker.take_next()) is not None:
            taken.append(lease.run_id)
            runner.end(lease)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [run_id for each in pool.map(take, range(4)) for run_id in each]
    # One that was locked when it was looked at is found by the next look.
    taken += take(4)
    assert (len(taken), set(taken)) == (len(asked), asked)


# --- shutdown ----------------------------------------------------------------------------------


def test_an_attempt_after_a_shutdown_has_the_same_revision(
    runner: Runner, tenant: GitTenant, project: Project
):
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "applying") as worker:
        worker.heartbeat.close()
    lost = runner.runs.get(run.id)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.WORKER_SHUTDOWN)
    assert worker.execute(run.id) is NotTaken.CLOSING
    tenant.commit(a=b"newer")
    following = lost.attempts.next_id
    assert following is not None
    assert lost.will_be_retried
    runner.worker().execute(following)
    done = runner.runs.get(following)
    assert (done.target_revision, done.attempts.auto_resumes) == (lost.target_revision, 0)
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


# --- retry and wait ---------------------------------------------------------------------------


def test_a_retry_looks_at_the_remote_again(runner: Runner, tenant: GitTenant, project: Project):
    run = runner.runs.request(project.id)
    with pytest.raises(RunNotEnded):
        runner.runs.retry(run.id)
    runner.worker().execute(run.id)
    revision = tenant.commit(a=b"2")
    again = runner.runs.retry(run.id)
    assert runner.runs.retry(run.id).id == again.id
    runner.worker().execute(again.id)
    done = runner.runs.get(again.id)
    assert (done.target_revision, done.attempts.number) == (revision, 2)
    assert [each.id for each in runner.runs.attempts(run.id)] == [run.id, again.id]


def test_a_retry_of_a_fan_out_is_one_too(runner: Runner, tenant: GitTenant, project: Project):
    run = runner.runs.request_fan_out(project.id, ["file", "none"])
    for child in runner.children(run.id):
        runner.worker().execute(child.id)
    failed = runner.runs.get(run.id)
    assert (failed.state, failed.result_class) == (RunState.FAILED, ResultClass.PARTIAL_SUCCESS)
    again = runner.runs.retry(run.id)
    for child in runner.children(again.id):
        runner.worker().execute(child.id)
    assert runner.runs.get(again.id).is_terminal
    assert len(runner.children(again.id)) == 2


def test_a_wait_ends_with_the_run_or_with_the_time(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    assert runner.runs.wait(run.id, 0).state is RunState.QUEUED
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(runner.runs.wait, run.id, 3600)
        runner.worker().execute(run.id)
        assert waiting.result().state is RunState.SUCCEEDED


def test_a_run_can_be_followed(runner: Runner, project: Project):
    run = runner.runs.request(project.id)
    seen = []
    for each in runner.runs.follow(run.id, 3600):
        seen.append(each.state)
        if len(seen) == 1:
            runner.worker().execute(run.id)
    assert seen[0] is RunState.QUEUED
    assert seen[-1] is RunState.SUCCEEDED
    assert set(seen) <= {RunState.QUEUED, *ACTIVE, RunState.SUCCEEDED}


# --- what fails for a while -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason", "waits"),
    [
        (Answers(status=503), ReasonCode.REMOTE_UNREACHABLE, 10),
        (Answers(status=429, headers={"Retry-After": "120"}), ReasonCode.RATE_LIMITED, 120),
        (
            Answers(status=503, headers={"Retry-After": "9" * 20}),
            ReasonCode.REMOTE_UNREACHABLE,
            3600,
        ),
        (Answers(status=429, headers={"Retry-After": "soon"}), ReasonCode.RATE_LIMITED, 10),
    ],
)
def test_what_may_pass_is_tried_again_later(
    answer: Answers,
    reason: ReasonCode,
    waits: int,
    runner: Runner,
    tenant: GitTenant,
    project: Project,
):
    tenant.server.trouble = answer
    run = runner.runs.request(project.id)
    runner.worker().execute(run.id)
    tenant.server.trouble = None
    failed = runner.runs.get(run.id)
    assert (failed.reason_code, failed.will_be_retried) == (reason, True)
    assert failed.attempts.next_id is not None
    following = runner.runs.get(failed.attempts.next_id)
    assert (following.attempts.number, following.attempts.auto_resumes) == (2, 1)
    assert failed.completed_at is not None
    assert following.attempts.not_before == failed.completed_at + timedelta(seconds=waits)
    worker = runner.worker()
    assert worker.take_next() is None
    runner.age(waits)
    lease = worker.take_next()
    assert lease is not None
    assert lease.run_id == following.id
    worker.execute_leased(lease)
    assert runner.runs.get(following.id).outcome is Outcome.CHANGED


def test_what_does_not_pass_ends_after_its_last_attempt(
    runner: Runner, tenant: GitTenant, project: Project
):
    tenant.server.trouble = Answers(status=503)
    run, delays = runner.runs.request(project.id), []
    while True:
        runner.worker().execute(run.id)
        run = runner.runs.get(run.id)
        if run.attempts.next_id is None:
            break
        ended, run = run.completed_at, runner.runs.get(run.attempts.next_id)
        assert ended is not None
        assert run.attempts.not_before is not None
        delays.append((run.attempts.not_before - ended).total_seconds())
    tenant.server.trouble = None
    assert (run.attempts.number, delays) == (4, [10, 40, 160])
    assert not run.will_be_retried


def test_a_retry_on_request_is_due_at_once(runner: Runner, tenant: GitTenant, project: Project):
    tenant.server.trouble = Answers(status=503)
    run = runner.runs.request(project.id)
    runner.worker().execute(run.id)
    tenant.server.trouble = None
    again = runner.runs.retry(run.id)
    lease = runner.worker().take_next()
    assert lease is not None
    assert lease.run_id == again.id


def test_nothing_is_pulled_behind_a_failure_that_was_answered(
    runner: Runner, tenant: GitTenant, project: Project
):
    tenant.server.trouble = Answers(status=503)
    run = runner.runs.request(project.id)
    runner.worker().execute(run.id)
    tenant.server.trouble = None
    settled = runner.runs.settle(run.id, 3600)
    assert (settled.id, settled.reason_code) == (run.id, ReasonCode.REMOTE_UNREACHABLE)
    assert [each.state for each in runner.runs.attempts(run.id)] == [
        RunState.FAILED,
        RunState.CANCELLED,
    ]
