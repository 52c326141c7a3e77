"""Runs that an external executor claims, renews and completes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.server.runs.external_executor import planned, planned_window
from tests.server.runs.git_tenant import KINDS, GitTenant
from tests.server.runs.runner import Runner
from towline import dump_plan, plan_undo, report_of
from towline.content_rules import ContentMode, ContentRules
from towline.errors import Cancelled, ContentMissing, InvalidPlan, StalePlan
from towline.kinds import Kinds
from towline.remotes.windows import Window
from towline_server.errors import BackendNotConfigured, LeaseLost, ProjectBusy
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import BackendName, RunRequest, WindowCount
from towline_server.runs.external import FAILURE_REASONS, Claim
from towline_server.runs.states import Outcome, ReasonCode, ResultClass, RunState
from towline_server.web.waiting import check_idle


def ask(runner: Runner, project: Project) -> Claim:
    runner.runs.request(project.id, backend=BackendName.EXTERNAL)
    claim = runner.external.claim("elsewhere", tenant_id=runner.tenant.tenant_id)
    assert claim is not None
    return claim


def test_a_claimed_run_is_completed(runner: Runner, tenant: GitTenant, project: Project):
    claim = ask(runner, project)
    assert claim.run.state is RunState.FETCHING
    renewed = runner.external.heartbeat(
        claim.run.id, claim.token, phase=RunState.COMPARING, done=1, total=2
    )
    assert (renewed.cancel, renewed.lease_until >= claim.lease_until) == (False, True)
    assert runner.runs.get(claim.run.id).progress == 55
    plan, contents = planned(claim.work)
    run = runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert (run.state, run.outcome, run.pull) == (RunState.SUCCEEDED, Outcome.CHANGED, 1)
    assert run.target_revision == plan.revision
    assert run.report is not None
    assert run.report["status"] == report_of(plan).status
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}
    with pytest.raises(LeaseLost):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)


def test_a_run_is_claimed_once(runner: Runner, tenant: GitTenant, project: Project):
    ask(runner, project)
    runner.runs.request(project.id, backend=BackendName.EXTERNAL)
    assert runner.external.claim("other", tenant_id=tenant.tenant_id) is None
    assert runner.external.claim("other", tenant_id=project.id) is None


def test_a_run_that_does_not_fit_its_project_is_not_claimed(runner: Runner, tenant: GitTenant):
    tenant.commit(a=b"1")
    loose, bound = tenant.project(bound=False), tenant.project()
    external = BackendName.EXTERNAL
    unfit = [
        runner.runs.request(loose.id, backend=external),
        runner.runs.request(bound.id, RunRequest(kind="none"), backend=external),
    ]
    fit = runner.runs.request(bound.id, backend=external)
    claim = runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    assert claim.run.id == fit.id
    errors = [runner.runs.get(run.id).error for run in unfit]
    assert [error and error.code for error in errors] == ["not_associated", "unknown_kind"]


def test_nothing_is_taken_from_a_stranger(runner: Runner, tenant: GitTenant, project: Project):
    claim = ask(runner, project)
    plan, contents = planned(claim.work)
    with pytest.raises(LeaseLost):
        runner.external.complete(claim.run.id, "guess", dump_plan(plan), contents)
    with pytest.raises(LeaseLost):
        runner.external.heartbeat(claim.run.id, "")
    other = ask(runner, tenant.project())
    with pytest.raises(InvalidPlan):
        runner.external.complete(other.run.id, other.token, dump_plan(plan), contents)
    with pytest.raises(ContentMissing):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), {})
    swapped = dict.fromkeys(contents, b"something else")
    with pytest.raises(ContentMissing):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), swapped)
    assert tenant.contents(project) == {}


def test_an_asset_that_returns_has_its_former_id(
    runner: Runner, tenant: GitTenant, project: Project
):
    def complete() -> dict[str, str]:
        claim = ask(runner, project)
        plan, contents = planned(claim.work)
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
        with tenant.store(project).snapshot() as ours:
            return {record.ours.path: record.id for record in ours.records() if record.ours}

    first = complete()
    tenant.commit(c=b"1", b=b"2")
    renamed = complete()
    assert renamed == {"b": first["b"], "c": first["a"]}
    tenant.commit(b=b"2")
    assert complete() == {"b": first["b"]}
    tenant.commit(c=b"another", b=b"2")
    assert complete() == renamed


def test_windows_are_claimed_one_after_another(runner: Runner, tenant: GitTenant, project: Project):
    runner.worker().execute(runner.runs.request(project.id).id)
    made = [tenant.commit(a=b"%d" % number, b=b"1") for number in (2, 3, 4)]
    each = RunRequest(window=Window(commits=2))
    run = runner.runs.request(project.id, each, backend=BackendName.EXTERNAL)
    runner.age(4000)
    tips = []
    while (claim := runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)) is not None:
        assert claim.run.parent_id == run.id
        tips.append(claim.work.tip)
        plan, contents, window = planned_window(claim.work)
        token, shown = claim.token, dump_plan(plan)
        ended = runner.external.complete(claim.run.id, token, shown, contents, window)
        assert ended.target_revision == plan.revision
        runner.reaper.sweep()
    whole = runner.runs.get(run.id)
    assert (whole.outcome, whole.windows) == (Outcome.CHANGED, WindowCount(pulled=2, left=0))
    assert (tips, whole.target_revision) == ([None, made[-1]], made[-1])
    log = tenant.store(project).log()
    assert [pull.summary.revision for pull in log[:2]] == [made[2], made[1]]


def test_an_executor_that_knows_no_windows_pulls_all(
    runner: Runner, tenant: GitTenant, project: Project
):
    request = RunRequest(window=Window(commits=1))
    run = runner.runs.request(project.id, request, backend=BackendName.EXTERNAL)
    claim = runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    plan, contents = planned(claim.work)
    runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert runner.runs.get(run.id).windows == WindowCount(pulled=1, left=0)


def test_a_plan_of_other_kinds_is_stale(runner: Runner, tenant: GitTenant, project: Project):
    claim = ask(runner, project)
    plan, contents = planned(claim.work)
    never = replace(KINDS.kinds[2], content=ContentRules(mode=ContentMode.NEVER))
    with tenant.database.writing() as session:
        Projects(session).change(project.id, kinds=Kinds((*KINDS.kinds[:2], never)))
    with pytest.raises(StalePlan):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    plan, contents = planned(runner.external.work(claim.run.id, claim.token))
    run = runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert run.state is RunState.SUCCEEDED


def test_a_plan_that_undoes_is_no_pull(runner: Runner, tenant: GitTenant, project: Project):
    runner.worker().execute(runner.runs.request(project.id).id)
    claim = ask(runner, project)
    undoing = dump_plan(plan_undo(tenant.store(project)))
    with pytest.raises(InvalidPlan):
        runner.external.complete(claim.run.id, claim.token, undoing, {})
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


def test_a_stale_plan_may_be_made_again(runner: Runner, tenant: GitTenant, project: Project):
    runner.worker().execute(runner.runs.request(project.id).id)
    tenant.commit(a=b"2", b=b"1")
    claim = ask(runner, project)
    plan, contents = planned(claim.work)
    tenant.edit(project, "a", b"2")
    with pytest.raises(StalePlan):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    plan, contents = planned(runner.external.work(claim.run.id, claim.token))
    run = runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    assert run.outcome is Outcome.UNCHANGED


def test_an_executor_learns_that_its_run_is_cancelled(
    runner: Runner, tenant: GitTenant, project: Project
):
    claim = ask(runner, project)
    plan, contents = planned(claim.work)
    runner.runs.cancel(claim.run.id)
    assert runner.external.heartbeat(claim.run.id, claim.token, phase=RunState.COMPARING).cancel
    with pytest.raises(Cancelled):
        runner.external.complete(claim.run.id, claim.token, dump_plan(plan), contents)
    run = runner.external.fail(claim.run.id, claim.token, ReasonCode.INTERNAL_ERROR, "stopped")
    assert run.state is RunState.CANCELLED
    assert tenant.contents(project) == {}


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_failures_are_recorded(reason: ReasonCode, runner: Runner, project: Project):
    claim = ask(runner, project)
    run = runner.external.fail(claim.run.id, claim.token, reason, "so it was")
    assert (run.state, run.reason_code) == (RunState.FAILED, reason)
    assert run.result_class in (ResultClass.PERMANENT_FAILURE, ResultClass.RETRYABLE_FAILURE)
    assert run.error is not None
    assert run.error.message == "so it was"


@pytest.mark.parametrize("name", ["temporal", "prefect", "none"])
def test_other_backends_are_refused(name: str, runner: Runner, project: Project):
    with pytest.raises(BackendNotConfigured) as refused:
        runner.backends.get(name)
    assert "external or native" in refused.value.message


def test_a_run_that_is_not_claimed_ends(runner: Runner, project: Project):
    run = runner.runs.request(project.id, backend=BackendName.EXTERNAL)
    native = runner.runs.request(project.id)
    runner.age(3599)
    runner.reaper.sweep()
    assert runner.runs.get(run.id).state is RunState.QUEUED
    runner.age(2)
    runner.reaper.sweep()
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.reason_code) == (RunState.FAILED, ReasonCode.HEARTBEAT_TIMEOUT)
    assert ended.error is not None
    assert ended.error.code == "run_unclaimed"
    assert ended.attempts.next_id is None
    assert runner.runs.get(native.id).state is RunState.QUEUED


def test_a_run_that_waits_to_be_claimed_makes_no_project_busy(
    runner: Runner, tenant: GitTenant, project: Project
):
    runner.runs.request(project.id, backend=BackendName.EXTERNAL)
    check_idle(runner.runs, project.id)
    claim = runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    with pytest.raises(ProjectBusy):
        check_idle(runner.runs, project.id)
