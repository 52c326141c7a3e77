"""Executing runs: one a project, cancelled in every phase, fenced, fetched together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.server.runs.bench import Bench, Gate
from tests.server.runs.fetcher import Fetcher
from tests.server.runs.world import World
from towline.testing.git_server import Answers
from towline_server.errors import LeaseLost, RunNotEnded
from towline_server.projects.domain import Project
from towline_server.runs.completion import complete, failed
from towline_server.runs.domain import BackendName, Lease
from towline_server.runs.queue import Refusal, Stop
from towline_server.runs.states import ACTIVE, Outcome, ReasonCode, ResultClass, RunState
from towline_server.runs.tables import RunFilter, RunRow
from towline_server.runs.worker import NativeBackend

BEFORE_THE_COMMIT = ["fetching", "fetched", "comparing", "validating", "applying"]


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


@pytest.fixture
def project(world: World) -> Project:
    world.commit(a=b"1", b=b"1")
    return world.project()


def test_one_run_works_on_a_project_at_a_time(bench: Bench, world: World, project: Project):
    first, second = (bench.runs.request(project.id) for _ in range(2))
    with bench.standing(first.id, "comparing"):
        assert bench.worker("two").execute(second.id) is Refusal.BUSY
        assert bench.worker("two").execute(first.id) is Refusal.HELD
        assert bench.runs.get(second.id).state is RunState.QUEUED
        other = bench.runs.request(world.project().id)
        assert bench.worker("two").execute(other.id) is None
    assert bench.worker("two").execute(second.id) is None
    assert bench.runs.get(first.id).outcome is Outcome.CHANGED
    assert bench.runs.get(second.id).outcome is Outcome.UNCHANGED
    assert bench.worker("two").execute(first.id) is Refusal.ENDED


def test_fifty_projects_are_one_fetch(world: World):
    bench = Bench(world)
    world.commit(a=b"1")
    runs = [bench.runs.request(world.project().id) for _ in range(50)]
    workers = [bench.worker(str(number)) for number in range(8)]

    def execute(number: int) -> None:
        workers[number % 8].execute(runs[number].id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(execute, range(50)))
    assert {bench.runs.get(run.id).outcome for run in runs} == {Outcome.CHANGED}
    assert bench.fetches.count == 1
    requests = [each.target.split("/")[-1] for each in world.server.tally.requests]
    assert requests == ["refs?service=git-upload-pack", "git-upload-pack", "git-upload-pack"]


def test_a_batch_pulls_what_its_first_run_resolved(bench: Bench, world: World):
    revision = world.commit(rules__a=b"1", tasks__b=b"1")
    batch = bench.runs.request_kinds(world.project().id, ["rule", "task"])
    bench.worker().execute(batch[0].id)
    world.commit(rules__a=b"2", tasks__b=b"2")
    Bench(world).worker().execute(batch[1].id)  # another server, which shares no fetch
    done = [bench.runs.get(run.id) for run in batch]
    assert [run.target_revision for run in done] == [revision, revision]
    assert done[0].target_committed_at == done[1].target_committed_at is not None


def test_progress_never_falls(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    seen = [0]
    for boundary in BEFORE_THE_COMMIT:
        with bench.standing(run.id, boundary) as worker:
            seen.append(bench.runs.get(run.id).progress)
            worker.heartbeat.close()
        following = bench.runs.get(run.id).attempts.next_id
        assert following is not None
        run = bench.runs.get(following)
    assert seen == sorted(seen)
    assert seen[-1] == 70


# --- cancel -----------------------------------------------------------------------------------


def test_a_run_that_waits_is_cancelled_at_once(bench: Bench, world: World, project: Project):
    run = bench.runs.request(project.id)
    ended = bench.runs.cancel(run.id, by="me", reason="why")
    assert (ended.state, ended.result_class) == (RunState.CANCELLED, ResultClass.CANCELLED)
    assert ended.cancellation is not None
    assert (ended.cancellation.by, ended.cancellation.reason) == ("me", "why")
    assert bench.worker().execute(run.id) is Refusal.ENDED
    assert bench.runs.cancel(run.id, by="you") == ended
    assert world.contents(project) == {}


@pytest.mark.parametrize("boundary", BEFORE_THE_COMMIT)
def test_a_run_is_cancelled_before_its_commit_point(
    boundary: str, bench: Bench, world: World, project: Project
):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, boundary):
        # Nobody tells the worker: it finds out by itself, at the latest when it would commit.
        asked = bench.runs.cancel(run.id)
        assert asked.is_cancelling
    ended = bench.runs.get(run.id)
    assert (ended.state, ended.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
    assert world.contents(project) == {}
    assert_never_again(bench, project)


def assert_never_again(bench: Bench, project: Project) -> None:
    bench.lapse()
    bench.age(3600)
    bench.shelf.handed.clear()
    bench.reaper.sweep()
    assert bench.shelf.handed == []
    assert bench.runs.page(RunFilter(project_id=project.id)).total == 1


def test_a_run_that_commits_is_not_cancelled(bench: Bench, world: World, project: Project):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "committing"):
        cancel = threading.Thread(target=bench.runs.cancel, args=(run.id,))
        cancel.start()
    cancel.join()
    assert bench.runs.get(run.id).state is RunState.SUCCEEDED
    assert bench.runs.get(run.id).cancellation is None
    assert world.contents(project) == {"a": b"1", "b": b"1"}


def test_cancelling_stops_the_fetch(world: World, project: Project):
    fetcher = Fetcher()
    bench = Bench(world, fetcher)
    run = bench.runs.request(project.id)
    worker = bench.worker()
    bench.shelf.heartbeat = worker.heartbeat
    thread = threading.Thread(target=worker.execute, args=(run.id,))
    thread.start()
    fetcher.begun.acquire()
    bench.runs.cancel(run.id)
    thread.join()
    assert bench.runs.get(run.id).state is RunState.CANCELLED
    assert fetcher.tokens[0].is_set()


def test_a_look_at_the_database_finds_what_was_cancelled_elsewhere(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    worker = bench.worker()
    lease = worker.take(run.id)
    assert isinstance(lease, Lease)
    with worker.holding(lease):
        bench.runs.cancel(run.id)
        token = worker.heartbeat._held[run.id][1]
        assert token.why is None
        worker.heartbeat.look()
        assert token.why is Stop.CANCELLED


def test_a_cancelled_run_whose_executor_died_ends_cancelled(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    bench.leases.take(run.id, "dead")
    bench.runs.cancel(run.id)
    bench.lapse()
    bench.reaper.sweep()
    assert bench.runs.get(run.id).state is RunState.CANCELLED
    assert bench.runs.get(run.id).attempts.next_id is None


def test_a_cancelled_run_is_not_handed_back(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "applying") as worker:
        worker.heartbeat.close()
        bench.runs.cancel(run.id)
    ended = bench.runs.get(run.id)
    assert (ended.state, ended.attempts.next_id) == (RunState.CANCELLED, None)


def test_cancelling_a_run_cancels_what_it_comprises(bench: Bench, project: Project):
    run = bench.runs.request_fan_out(project.id, ["rule", "task", "file"])
    first = bench.children(run.id)[0]
    with bench.standing(first.id, "comparing"):
        assert bench.runs.get(run.id).state is RunState.COMPARING
        assert bench.runs.cancel(run.id).is_cancelling
    assert bench.runs.get(run.id).state is RunState.CANCELLED
    assert {child.state for child in bench.children(run.id)} == {RunState.CANCELLED}


# --- leases and fences ------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", BEFORE_THE_COMMIT)
def test_whoever_lost_his_run_changes_nothing(
    boundary: str, bench: Bench, world: World, project: Project
):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, boundary, "stalled"):
        bench.lapse()
        bench.reaper.sweep()
        following = bench.shelf.handed[-1]
        assert bench.worker("awake").execute(following) is None
        world.edit(project, "a", b"edited since")
    assert world.contents(project) == {"a": b"edited since", "b": b"1"}
    lost, done = bench.runs.get(run.id), bench.runs.get(following)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert (done.state, done.pull, done.attempts.number) == (RunState.SUCCEEDED, 1, 2)
    assert done.attempts.root_id == lost.id


def test_a_heartbeat_tells_whoever_lost_his_run(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    worker = bench.worker()
    lease = worker.take(run.id)
    assert isinstance(lease, Lease)
    with worker.holding(lease):
        token = worker.heartbeat._held[run.id][1]
        worker.heartbeat.renew()
        assert token.why is None
        bench.lapse()
        worker.heartbeat.renew()
        bench.reaper.sweep()
        assert bench.runs.get(run.id).state is RunState.FETCHING
        bench.lapse()
        bench.reaper.sweep()
        worker.heartbeat.renew()
        assert token.why is Stop.LOST


def test_an_executor_that_comes_back_goes_on(bench: Bench, world: World, project: Project):
    run = bench.runs.request(project.id)
    before = bench.leases.take(run.id, "one")
    after = bench.leases.take(run.id, "one")
    assert isinstance(before, Lease)
    assert isinstance(after, Lease)
    assert bench.leases.renew([before]).held == frozenset()
    with pytest.raises(LeaseLost):
        bench.leases.move(before, RunState.COMPARING, 50)
    with pytest.raises(LeaseLost), world.database.writing() as session:
        complete(session, before, failed(RuntimeError()), run.created_at)
    assert bench.leases.renew([after]).held == {run.id}
    assert bench.worker("one").execute(run.id) is None
    assert world.contents(project) == {"a": b"1", "b": b"1"}


def test_a_plan_that_went_stale_is_made_anew(bench: Bench, world: World, project: Project):
    bench.worker().execute(bench.runs.request(project.id).id)
    world.commit(a=b"2", b=b"2")
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "applying"):
        world.edit(project, "a", b"2")
    assert bench.runs.get(run.id).outcome is Outcome.CHANGED
    assert world.contents(project) == {"a": b"2", "b": b"2"}
    world.commit(a=b"3", b=b"2")
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "applying"):
        world.edit(project, "a", b"ours")
    assert bench.runs.get(run.id).reason_code is ReasonCode.UNRESOLVED_CONFLICTS
    assert world.contents(project) == {"a": b"ours", "b": b"2"}


def test_a_cache_that_vanished_is_fetched_again(
    bench: Bench, world: World, project: Project, tmp_path: Path
):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "fetched"):
        cache = bench.repositories.of(project).cache
        cache.rename(tmp_path / "gone")
    assert bench.runs.get(run.id).outcome is Outcome.CHANGED
    assert world.contents(project) == {"a": b"1", "b": b"1"}


def test_a_project_that_is_deleted_takes_its_run_along(bench: Bench, world: World):
    from towline_server.projects.service import Projects

    world.commit(a=b"1")
    project = world.project()
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "comparing"), world.database.writing() as session:
        Projects(session).delete(project.id)
    assert bench.runs.find(run.id) is None
    assert bench.worker().execute(run.id) is Refusal.ENDED


# --- the queue --------------------------------------------------------------------------------


def test_the_oldest_run_whose_project_is_free_is_next(bench: Bench, world: World, project: Project):
    first, _second = (bench.runs.request(project.id) for _ in range(2))
    other = bench.runs.request(world.project().id)
    bench.runs.request(world.project().id, backend=BackendName.EXTERNAL)
    worker, native = bench.worker(), RunRow.backend == BackendName.NATIVE
    taken = [worker.take_next(native) for _ in range(3)]
    assert [lease and lease.run_id for lease in taken] == [first.id, other.id, None]
    assert worker.interrupted() == [first.id, other.id]


def test_runs_wait_for_a_slot_and_for_their_project(bench: Bench, world: World, project: Project):
    runs = [bench.runs.request(project.id) for _ in range(2)]
    runs += [bench.runs.request(world.project().id) for _ in range(2)]
    gate = Gate("comparing")
    native = NativeBackend(bench.worker(gate=gate), at_once=2, poll_seconds=3600)
    native.ticker.start()
    for _ in range(2):
        gate.await_run()
    states = [bench.runs.get(run.id).state for run in runs]
    waits, runs_now = RunState.QUEUED, RunState.COMPARING
    assert states == [runs_now, waits, runs_now, waits]
    gate.open()
    # No poll is needed: what ends here wakes what waits here.
    assert {bench.runs.wait(run.id, 3600).state for run in runs} == {RunState.SUCCEEDED}
    native.stop(3600)


def test_several_servers_take_each_run_once(bench: Bench, world: World, project: Project):
    projects = [project, *(world.project() for _ in range(3))]
    asked = {bench.runs.request(each.id).id for each in projects for _ in range(2)}

    def take(number: int) -> list[UUID]:
        worker, taken = bench.worker(str(number)), []
        while (lease := worker.take_next()) is not None:
            taken.append(lease.run_id)
            bench.end(lease)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [run_id for each in pool.map(take, range(4)) for run_id in each]
    # One that was locked when it was looked at is found by the next look.
    taken += take(4)
    assert (len(taken), set(taken)) == (len(asked), asked)


# --- shutdown ----------------------------------------------------------------------------------


def test_a_run_that_is_handed_back_keeps_its_revision(bench: Bench, world: World, project: Project):
    run = bench.runs.request(project.id)
    with bench.standing(run.id, "applying") as worker:
        worker.heartbeat.close()
    lost = bench.runs.get(run.id)
    assert (lost.state, lost.reason_code) == (RunState.FAILED, ReasonCode.WORKER_SHUTDOWN)
    assert worker.execute(run.id) is Refusal.CLOSING
    world.commit(a=b"newer")
    following = lost.attempts.next_id
    assert following is not None
    assert lost.will_be_retried
    bench.worker().execute(following)
    done = bench.runs.get(following)
    assert (done.target_revision, done.attempts.auto_resumes) == (lost.target_revision, 0)
    assert world.contents(project) == {"a": b"1", "b": b"1"}


# --- retry and wait ---------------------------------------------------------------------------


def test_a_retry_looks_at_the_remote_anew(bench: Bench, world: World, project: Project):
    run = bench.runs.request(project.id)
    with pytest.raises(RunNotEnded):
        bench.runs.retry(run.id)
    bench.worker().execute(run.id)
    revision = world.commit(a=b"2")
    again = bench.runs.retry(run.id)
    assert bench.runs.retry(run.id).id == again.id
    bench.worker().execute(again.id)
    done = bench.runs.get(again.id)
    assert (done.target_revision, done.attempts.number) == (revision, 2)
    assert [each.id for each in bench.runs.attempts(run.id)] == [run.id, again.id]


def test_a_retry_of_a_run_that_comprises_others_is_one_too(
    bench: Bench, world: World, project: Project
):
    run = bench.runs.request_fan_out(project.id, ["file", "none"])
    for child in bench.children(run.id):
        bench.worker().execute(child.id)
    failed = bench.runs.get(run.id)
    assert (failed.state, failed.result_class) == (RunState.FAILED, ResultClass.PARTIAL_SUCCESS)
    again = bench.runs.retry(run.id)
    for child in bench.children(again.id):
        bench.worker().execute(child.id)
    assert bench.runs.get(again.id).is_terminal
    assert len(bench.children(again.id)) == 2


def test_a_wait_ends_with_the_run_or_with_the_time(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    assert bench.runs.wait(run.id, 0).state is RunState.QUEUED
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bench.runs.wait, run.id, 3600)
        bench.worker().execute(run.id)
        assert waiting.result().state is RunState.SUCCEEDED


def test_a_run_can_be_followed(bench: Bench, project: Project):
    run = bench.runs.request(project.id)
    seen = []
    for each in bench.runs.follow(run.id, 3600):
        seen.append(each.state)
        if len(seen) == 1:
            bench.worker().execute(run.id)
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
    answer: Answers, reason: ReasonCode, waits: int, bench: Bench, world: World, project: Project
):
    world.server.trouble = answer
    run = bench.runs.request(project.id)
    bench.worker().execute(run.id)
    world.server.trouble = None
    failed = bench.runs.get(run.id)
    assert (failed.reason_code, failed.will_be_retried) == (reason, True)
    assert failed.attempts.next_id is not None
    following = bench.runs.get(failed.attempts.next_id)
    assert (following.attempts.number, following.attempts.auto_resumes) == (2, 1)
    assert failed.completed_at is not None
    assert following.attempts.not_before == failed.completed_at + timedelta(seconds=waits)
    worker = bench.worker()
    assert worker.take_next() is None
    bench.age(waits)
    lease = worker.take_next()
    assert lease is not None
    assert lease.run_id == following.id
    worker.execute_leased(lease)
    assert bench.runs.get(following.id).outcome is Outcome.CHANGED


def test_what_does_not_pass_ends_after_its_last_attempt(
    bench: Bench, world: World, project: Project
):
    world.server.trouble = Answers(status=503)
    run, delays = bench.runs.request(project.id), []
    while True:
        bench.worker().execute(run.id)
        run = bench.runs.get(run.id)
        if run.attempts.next_id is None:
            break
        ended, run = run.completed_at, bench.runs.get(run.attempts.next_id)
        assert ended is not None
        assert run.attempts.not_before is not None
        delays.append((run.attempts.not_before - ended).total_seconds())
    world.server.trouble = None
    assert (run.attempts.number, delays) == (4, [10, 40, 160])
    assert not run.will_be_retried


def test_whoever_asks_for_a_retry_does_not_wait_for_it(
    bench: Bench, world: World, project: Project
):
    world.server.trouble = Answers(status=503)
    run = bench.runs.request(project.id)
    bench.worker().execute(run.id)
    world.server.trouble = None
    again = bench.runs.retry(run.id)
    lease = bench.worker().take_next()
    assert lease is not None
    assert lease.run_id == again.id


def test_nothing_is_pulled_behind_a_failure_that_was_answered(
    bench: Bench, world: World, project: Project
):
    world.server.trouble = Answers(status=503)
    run = bench.runs.request(project.id)
    bench.worker().execute(run.id)
    world.server.trouble = None
    told = bench.runs.settle(run.id, 3600)
    assert (told.id, told.reason_code) == (run.id, ReasonCode.REMOTE_UNREACHABLE)
    assert [each.state for each in bench.runs.attempts(run.id)] == [
        RunState.FAILED,
        RunState.CANCELLED,
    ]
