"""Runs that somebody else executes: claimed, kept alive, completed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.server.runs.bench import Bench
from tests.server.runs.external_executor import planned
from tests.server.runs.world import KINDS, World
from towline import dump_plan, plan_undo, report_of
from towline.content_rules import ContentMode, ContentRules
from towline.errors import Cancelled, ContentMissing, InvalidPlan, StalePlan
from towline.kinds import Kinds
from towline_server.errors import BackendNotConfigured, LeaseLost, ProjectBusy
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import BackendName, RunRequest
from towline_server.runs.external import FAILURE_REASONS, Claim
from towline_server.runs.states import Outcome, ReasonCode, ResultClass, RunState
from towline_server.web.waiting import check_idle


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


@pytest.fixture
def project(world: World) -> Project:
    world.commit(a=b"1", b=b"1")
    return world.project()


def ask(bench: Bench, project: Project) -> Claim:
    bench.runs.request(project.id, backend=BackendName.EXTERNAL)
    claim = bench.external.claim("elsewhere", tenant_id=bench.world.tenant_id)
    assert claim is not None
    return claim


def test_a_claimed_run_is_completed(bench: Bench, world: World, project: Project):
    claim = ask(bench, project)
    assert claim.run.state is RunState.FETCHING
    pulse = bench.external.heartbeat(
        claim.run.id, claim.token, phase=RunState.COMPARING, done=1, total=2
    )
    assert (pulse.cancel, pulse.lease_until >= claim.lease_until) == (False, True)
    assert bench.runs.get(claim.run.id).progress == 55
    plan, contents = planned(claim.work)
    run = bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert (run.state, run.outcome, run.pull) == (RunState.SUCCEEDED, Outcome.CHANGED, 1)
    assert run.target_revision == plan.revision
    assert run.report is not None
    assert run.report["status"] == report_of(plan).status
    assert world.contents(project) == {"a": b"1", "b": b"1"}
    with pytest.raises(LeaseLost):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)


def test_a_run_is_claimed_once(bench: Bench, world: World, project: Project):
    ask(bench, project)
    bench.runs.request(project.id, backend=BackendName.EXTERNAL)
    assert bench.external.claim("other", tenant_id=world.tenant_id) is None
    assert bench.external.claim("other", tenant_id=project.id) is None


def test_a_run_that_does_not_fit_its_project_keeps_nobody(bench: Bench, world: World):
    world.commit(a=b"1")
    loose, bound = world.project(bound=False), world.project()
    external = BackendName.EXTERNAL
    unfit = [
        bench.runs.request(loose.id, backend=external),
        bench.runs.request(bound.id, RunRequest(kind="none"), backend=external),
    ]
    fit = bench.runs.request(bound.id, backend=external)
    claim = bench.external.claim("elsewhere", tenant_id=world.tenant_id)
    assert claim is not None
    assert claim.run.id == fit.id
    errors = [bench.runs.get(run.id).error for run in unfit]
    assert [error and error.code for error in errors] == ["not_associated", "unknown_kind"]


def test_nothing_is_taken_from_a_stranger(bench: Bench, world: World, project: Project):
    claim = ask(bench, project)
    plan, contents = planned(claim.work)
    with pytest.raises(LeaseLost):
        bench.external.complete(claim.run.id, "guess", dump_plan(plan), contents)
    with pytest.raises(LeaseLost):
        bench.external.heartbeat(claim.run.id, "")
    other = ask(bench, world.project())
    with pytest.raises(InvalidPlan):
        bench.external.complete(other.run.id, other.token, dump_plan(plan), contents)
    with pytest.raises(ContentMissing):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), {})
    swapped = dict.fromkeys(contents, b"something else")
    with pytest.raises(ContentMissing):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), swapped)
    assert world.contents(project) == {}


def test_a_plan_of_other_kinds_is_stale(bench: Bench, world: World, project: Project):
    claim = ask(bench, project)
    plan, contents = planned(claim.work)
    never = replace(KINDS.kinds[2], content=ContentRules(mode=ContentMode.NEVER))
    with world.database.writing() as session:
        Projects(session).change(project.id, kinds=Kinds((*KINDS.kinds[:2], never)))
    with pytest.raises(StalePlan):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    plan, contents = planned(bench.external.work(claim.run.id, claim.token))
    run = bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert run.state is RunState.SUCCEEDED


def test_a_plan_that_undoes_is_no_pull(bench: Bench, world: World, project: Project):
    bench.worker().execute(bench.runs.request(project.id).id)
    claim = ask(bench, project)
    undoing = dump_plan(plan_undo(world.store(project)))
    with pytest.raises(InvalidPlan):
        bench.external.complete(claim.run.id, claim.token, undoing, {})
    assert world.contents(project) == {"a": b"1", "b": b"1"}


def test_a_lapsed_claim_changes_nothing(bench: Bench, world: World, project: Project):
    claim = ask(bench, project)
    plan, contents = planned(claim.work)
    bench.lapse()
    bench.reaper.sweep()
    with pytest.raises(LeaseLost):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert world.contents(project) == {}
    assert bench.runs.get(claim.run.id).reason_code is ReasonCode.LEASE_LOST
    again = bench.external.claim("other", tenant_id=world.tenant_id)
    assert again is not None
    assert again.run.attempts.previous_id == claim.run.id


def test_a_stale_plan_may_be_made_anew(bench: Bench, world: World, project: Project):
    bench.worker().execute(bench.runs.request(project.id).id)
    world.commit(a=b"2", b=b"1")
    claim = ask(bench, project)
    plan, contents = planned(claim.work)
    world.edit(project, "a", b"2")
    with pytest.raises(StalePlan):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    plan, contents = planned(bench.external.work(claim.run.id, claim.token))
    run = bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert run.outcome is Outcome.UNCHANGED


def test_a_cancelled_claim_is_told(bench: Bench, world: World, project: Project):
    claim = ask(bench, project)
    plan, contents = planned(claim.work)
    bench.runs.cancel(claim.run.id)
    assert bench.external.heartbeat(claim.run.id, claim.token, phase=RunState.COMPARING).cancel
    with pytest.raises(Cancelled):
        bench.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    run = bench.external.fail(claim.run.id, claim.token, ReasonCode.INTERNAL_ERROR, "stopped")
    assert run.state is RunState.CANCELLED
    assert world.contents(project) == {}


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_failures_are_told(reason: ReasonCode, bench: Bench, project: Project):
    claim = ask(bench, project)
    run = bench.external.fail(claim.run.id, claim.token, reason, "so it was")
    assert (run.state, run.reason_code) == (RunState.FAILED, reason)
    assert run.result_class in (ResultClass.PERMANENT_FAILURE, ResultClass.RETRYABLE_FAILURE)
    assert run.error is not None
    assert run.error.message == "so it was"


@pytest.mark.parametrize("name", ["temporal", "prefect", "none"])
def test_other_backends_are_refused(name: str, bench: Bench, project: Project):
    with pytest.raises(BackendNotConfigured) as refused:
        bench.backends.get(name)
    assert "external or native" in refused.value.message


def test_a_run_that_nobody_claims_ends(bench: Bench, project: Project):
    run = bench.runs.request(project.id, backend=BackendName.EXTERNAL)
    native = bench.runs.request(project.id)
    bench.age(3599)
    bench.reaper.sweep()
    assert bench.runs.get(run.id).state is RunState.QUEUED
    bench.age(2)
    bench.reaper.sweep()
    ended = bench.runs.get(run.id)
    assert (ended.state, ended.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert ended.error is not None
    assert ended.error.code == "run_unclaimed"
    assert ended.attempts.next_id is None
    assert bench.runs.get(native.id).state is RunState.QUEUED


def test_a_run_that_waits_to_be_claimed_makes_no_project_busy(
    bench: Bench, world: World, project: Project
):
    bench.runs.request(project.id, backend=BackendName.EXTERNAL)
    check_idle(bench.runs, project.id)
    claim = bench.external.claim("elsewhere", tenant_id=world.tenant_id)
    assert claim is not None
    with pytest.raises(ProjectBusy):
        check_idle(bench.runs, project.id)
