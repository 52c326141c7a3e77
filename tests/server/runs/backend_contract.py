"""What every backend does with a run: one suite, over a harness for each backend.

A test file derives a class from `BackendContract` and gives it a fixture ``harness``. The runs are
executed for real; a harness has the executor stop at a boundary, and be lost there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from tests.databases import everything
from tests.server.runs.git_tenant import GitTenant
from towline.options import OnConflict
from towline.testing.git_server import Answers
from towline_server.db.clock import database_now
from towline_server.projects.asset_events import AssetEvents, EventFilter, want_events
from towline_server.projects.domain import Project
from towline_server.runs.domain import BackendName, Run, RunMode, RunRequest
from towline_server.runs.service import Runs
from towline_server.runs.states import Outcome, ReasonCode, ResultClass, RunState
from towline_server.runs.tables import RunRow

PHASES = ("fetching", "comparing", "applying")


class Paused(Protocol):
    """An executor that has a run, and is stopped in a phase of it."""

    def renew(self) -> None:
        """Have it send its heartbeat now."""
        ...

    def go(self) -> None:
        """Let it go on; returns when it has nothing to do with the run any more."""
        ...


class BackendHarness(Protocol):
    """One backend, and executors that do what a test says."""

    name: BackendName
    runs: Runs
    lost_reason: ReasonCode
    """Why a run ends whose executor was lost."""

    def execute(self, run_id: UUID) -> Run:
        """Have an executor execute the run, which waits; return it when it has ended."""
        ...

    def paused(self, run_id: UUID, at: str) -> AbstractContextManager[Paused]:
        """Have an executor execute the run up to a phase; it goes on when the block ends."""
        ...

    def lose(self) -> None:
        """Let every lease run out, and end the runs of the executors that were lost."""
        ...

    def resume(self, run_id: UUID, paused: Paused) -> Run:
        """Have the executor that is stopped start again as itself, and execute the run."""
        ...

    def deliver_again(self, run_id: UUID) -> None:
        """Have another executor offered the run that one has, or had; return when it is done."""
        ...


def begin_retries(tenant: GitTenant) -> None:
    """Let the attempts that are put off begin now."""
    with tenant.database.writing() as session:
        put_off = update(RunRow).where(RunRow.not_before.is_not(None))
        session.execute(put_off.values(not_before=database_now(session)))


def brief(run: Run) -> tuple[Any, ...]:
    """What does not depend on the backend of a run that has ended."""
    lists = {name: each for name, each in (run.report or {}).items() if isinstance(each, list)}
    return (
        *map(str, (run.state, run.outcome, run.result_class, run.reason_code)),
        run.pull,
        {name: len(each) for name, each in lists.items() if each},
    )


def rows(tenant: GitTenant) -> dict[str, list[Any]]:
    """Every row, without what an orchestrator answers at any time."""
    found: dict[str, list[Any]] = dict(everything(tenant.database))
    columns = [column.name for column in RunRow.__table__.columns]
    named = [dict(zip(columns, row, strict=True)) for row in found["runs"]]
    found["runs"] = [
        {name: value for name, value in row.items() if not name.startswith("backend_")}
        for row in named
    ]
    return found


class BackendContract:
    """The suite."""

    def request(self, harness: BackendHarness, project: Project, **changes: Any) -> Run:
        return harness.runs.request(project.id, RunRequest(**changes), backend=harness.name)

    def test_a_run_is_executed(self, harness: BackendHarness, tenant: GitTenant, project: Project):
        with tenant.database.writing() as session:
            want_events(session, project.id, uuid4(), ["file"])
        run = self.request(harness, project)
        assert (run.state, run.executor.backend) == (RunState.QUEUED, harness.name)
        ended = harness.execute(run.id)
        assert (ended.state, ended.outcome, ended.progress) == (
            RunState.SUCCEEDED,
            Outcome.CHANGED,
            100,
        )
        assert (ended.executor.id is None, ended.attempts.number) == (False, 1)
        assert tenant.contents(project) == {"a": b"1", "b": b"1"}
        assert (ended.pull, tenant.pulls(project)) == (1, 1)
        with tenant.database.reading() as session:
            page = AssetEvents(session, project.id).page(EventFilter(), after=0, limit=10)
        assert [(event.run_id, event.pull, event.path) for event in page.events] == [
            (run.id, 1, "a"),
            (run.id, 1, "b"),
        ]

    @pytest.mark.parametrize("phase", PHASES)
    def test_progress_and_heartbeats_are_written(
        self, phase: str, harness: BackendHarness, project: Project
    ):
        run = self.request(harness, project)
        with harness.paused(run.id, phase) as paused:
            before = harness.runs.get(run.id)
            assert before.state == phase
            assert 0 < before.progress < 100
            paused.renew()
            after = harness.runs.get(run.id)
            assert after.executor.lease_until is not None
            assert before.executor.lease_until is not None
            assert after.executor.lease_until > before.executor.lease_until
            assert after.executor.heartbeat_at is not None
            paused.go()
        assert harness.runs.get(run.id).progress == 100

    def test_a_run_that_waits_is_cancelled_and_never_starts(
        self, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        run = self.request(harness, project)
        cancelled = harness.runs.cancel(run.id, by="ada", reason="no need")
        assert (cancelled.state, cancelled.result_class, cancelled.reason_code) == (
            RunState.CANCELLED,
            ResultClass.CANCELLED,
            ReasonCode.USER_CANCELLED,
        )
        assert cancelled.cancellation is not None
        assert (cancelled.cancellation.by, cancelled.cancellation.reason) == ("ada", "no need")
        harness.deliver_again(run.id)
        assert harness.runs.get(run.id) == harness.runs.cancel(run.id, by="another")
        assert (tenant.contents(project), tenant.pulls(project)) == ({}, 0)
        assert harness.runs.attempts(run.id)[1:] == ()

    @pytest.mark.parametrize("phase", PHASES)
    def test_a_run_is_cancelled_in_each_phase(
        self, phase: str, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        run = self.request(harness, project)
        with harness.paused(run.id, phase) as paused:
            assert harness.runs.cancel(run.id).is_cancelling
            paused.go()
        ended = harness.runs.get(run.id)
        assert (ended.state, ended.reason_code) == (RunState.CANCELLED, ReasonCode.USER_CANCELLED)
        harness.deliver_again(run.id)
        assert harness.runs.attempts(run.id)[1:] == ()
        assert (tenant.contents(project), tenant.pulls(project)) == ({}, 0)
        assert harness.execute(self.request(harness, project).id).outcome is Outcome.CHANGED

    def test_a_failure_that_may_pass_is_tried_again(
        self, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        tenant.server.trouble = Answers(status=503)
        run = harness.execute(self.request(harness, project).id)
        assert (run.state, run.result_class) == (RunState.FAILED, ResultClass.RETRYABLE_FAILURE)
        assert run.will_be_retried
        again = harness.runs.get(run.attempts.next_id or run.id)
        assert (again.state, again.attempts.number) == (RunState.QUEUED, 2)
        assert again.attempts.not_before is not None
        tenant.server.trouble = None
        begin_retries(tenant)
        ended = harness.execute(again.id)
        assert (ended.state, ended.attempts.previous_id) == (RunState.SUCCEEDED, run.id)
        assert tenant.pulls(project) == 1

    @pytest.mark.parametrize("phase", PHASES)
    def test_a_lost_executor_is_followed_by_an_attempt(
        self, phase: str, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        run = self.request(harness, project)
        with harness.paused(run.id, phase) as paused:
            harness.lose()
            lost = harness.runs.get(run.id)
            assert (lost.state, lost.reason_code) == (RunState.FAILED, harness.lost_reason)
            assert lost.attempts.next_id is not None
            taken = harness.execute(lost.attempts.next_id)
            assert (taken.state, taken.attempts.number) == (RunState.SUCCEEDED, 2)
            # It was stopped, and goes on: nothing that it does counts.
            before = rows(tenant)
            paused.go()
            assert rows(tenant) == before
        assert tenant.pulls(project) == 1
        assert tenant.contents(project) == {"a": b"1", "b": b"1"}

    @pytest.mark.parametrize("phase", PHASES)
    def test_an_executor_that_starts_again_goes_on(
        self, phase: str, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        run = self.request(harness, project)
        with harness.paused(run.id, phase) as paused:
            ended = harness.resume(run.id, paused)
        assert (ended.id, ended.state, ended.attempts.number) == (run.id, RunState.SUCCEEDED, 1)
        assert (ended.pull, tenant.pulls(project)) == (1, 1)

    @pytest.mark.parametrize("phase", PHASES)
    def test_a_second_delivery_does_nothing(
        self, phase: str, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        run = self.request(harness, project)
        with harness.paused(run.id, phase) as paused:
            before = harness.runs.get(run.id)
            harness.deliver_again(run.id)
            now = harness.runs.get(run.id)
            assert (now.state, now.executor.id) == (before.state, before.executor.id)
            paused.go()
        before_it = rows(tenant)
        harness.deliver_again(run.id)
        assert rows(tenant) == before_it
        assert (harness.runs.get(run.id).outcome, tenant.pulls(project)) == (Outcome.CHANGED, 1)

    def test_runs_of_one_project_follow_each_other(
        self, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        first, second = (self.request(harness, project) for _ in range(2))
        with harness.paused(first.id, "applying") as paused:
            harness.deliver_again(second.id)
            assert harness.runs.get(second.id).state is RunState.QUEUED
            paused.go()
        assert harness.execute(second.id).outcome is Outcome.UNCHANGED
        assert tenant.pulls(project) == 1

    def test_one_scenario_gives_the_same_rows_and_reports(
        self, harness: BackendHarness, tenant: GitTenant, project: Project
    ):
        first = harness.execute(self.request(harness, project).id)
        tenant.edit(project, "a", b"ours")
        tenant.commit(a=b"theirs", b=b"1", rules__new=b"2")
        scenario: Sequence[dict[str, Any]] = [
            {"mode": RunMode.DRY_RUN, "on_conflict": OnConflict.SKIP},
            {},
            {"on_conflict": OnConflict.SKIP},
            {"kind": "rule"},
            {"on_conflict": OnConflict.THEIRS},
        ]
        runs = [harness.execute(self.request(harness, project, **each).id) for each in scenario]
        skipped = {"created": 1, "ignored": 1, "behind": 1, "conflicts": 1, "error_msgs": 1}
        refused = {"conflicts": 1, "error_msgs": 1}
        assert [brief(run) for run in (first, *runs)] == [
            ("succeeded", "changed", "success", "None", 1, {"created": 2}),
            ("succeeded", "partial", "partial_success", "None", None, skipped),
            ("failed", "None", "conflict", "unresolved_conflicts", None, refused),
            ("succeeded", "partial", "partial_success", "None", 2, skipped),
            ("succeeded", "unchanged", "no_change", "None", None, {"behind": 1}),
            ("succeeded", "changed", "success", "None", 3, {"overwritten": 1}),
        ]
        assert [run.attempts.number for run in runs] == [1] * len(runs)
        assert tenant.contents(project) == {"a": b"theirs", "b": b"1", "rules/new": b"2"}
