"""Runs from their request to their end, executed in the thread that asks."""

from __future__ import annotations

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.inline import open_inline
from towline.options import OnConflict, Resolutions
from towline_server.runs.domain import RunMode, RunRequest, Trigger
from towline_server.runs.listing import RunFilter
from towline_server.runs.service import Runs
from towline_server.runs.states import Fault, Outcome, ReasonCode, ResultClass, RunState


@pytest.fixture
def runs(tenant: GitTenant) -> Runs:
    return open_inline(tenant.database, tenant.sealer, tenant.cache_dir)


def test_a_run_pulls(tenant: GitTenant, runs: Runs):
    revision = tenant.commit(a=b"1", rules__b=b"2")
    project = tenant.project()
    asked = runs.request(project.id)
    run = runs.get(asked.id)
    assert (asked.state, asked.progress, asked.tries) == (RunState.QUEUED, 0, 0)
    assert (run.state, run.outcome, run.progress) == (RunState.SUCCEEDED, Outcome.CHANGED, 100)
    assert run.target_revision == revision
    assert run.target_committed_at is not None
    assert (run.is_initial, run.pull, run.tries) == (True, 1, 1)
    assert run.report is not None
    assert [item["path"] for item in run.report["created"]] == ["a", "rules/b"]
    assert tenant.contents(project) == {"a": b"1", "rules/b": b"2"}
    assert not runs.request(project.id).is_initial


def test_conflicts_are_refused_or_skipped(tenant: GitTenant, runs: Runs):
    tenant.commit(a=b"1", b=b"1")
    project = tenant.project()
    runs.request(project.id)
    tenant.edit(project, "a", b"ours")
    tenant.commit(a=b"theirs", b=b"2")
    run = runs.get(runs.request(project.id).id)
    assert (run.state, run.result_class) == (RunState.FAILED, ResultClass.CONFLICT)
    assert run.reason_code is ReasonCode.UNRESOLVED_CONFLICTS
    assert run.report is not None
    assert run.report["status"] == "conflicts"
    assert tenant.contents(project) == {"a": b"ours", "b": b"1"}
    asked = RunRequest(on_conflict=OnConflict.SKIP)
    run = runs.get(runs.request(project.id, asked).id)
    assert (run.outcome, run.result_class) == (Outcome.PARTIAL, ResultClass.PARTIAL_SUCCESS)
    assert tenant.contents(project) == {"a": b"ours", "b": b"2"}


def test_a_dry_run_writes_nothing(tenant: GitTenant, runs: Runs):
    tenant.commit(a=b"1")
    project = tenant.project()
    run = runs.get(runs.request(project.id, RunRequest(mode=RunMode.DRY_RUN)).id)
    assert (run.state, run.outcome, run.pull) == (RunState.SUCCEEDED, Outcome.CHANGED, None)
    assert tenant.contents(project) == {}


def test_failures_have_their_reason(tenant: GitTenant, runs: Runs):
    tenant.commit(a=b"1")
    found = {}
    for name, project, asked in [
        ("unbound", tenant.project(bound=False), RunRequest()),
        ("ref", tenant.project(ref="heads/none"), RunRequest()),
        ("kind", tenant.project(), RunRequest(kind="none")),
        (
            "ids",
            tenant.project(),
            RunRequest(resolutions=Resolutions(use_ours=frozenset({"x"}))),
        ),
    ]:
        run = runs.get(runs.request(project.id, asked).id)
        assert run.error is not None
        assert run.result_class is ResultClass.PERMANENT_FAILURE
        found[name] = (run.error.code, run.error.fault)
    assert found == {
        "unbound": ("not_associated", Fault.PREREQUISITE),
        "ref": ("ref_not_found", Fault.REMOTE),
        "kind": ("unknown_kind", Fault.UNSUPPORTED),
        "ids": ("unknown_assets", Fault.REQUEST),
    }


def test_a_batch_pulls_one_revision(tenant: GitTenant, runs: Runs):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    project = tenant.project()
    batch = [runs.get(run.id) for run in runs.request_kinds(project.id, ["rule", "task"])]
    assert {run.batch_id for run in batch} == {batch[0].batch_id} != {None}
    assert [run.target_revision for run in batch] == [tenant.repository.tip("main")] * 2
    assert [len(run.report["created"]) for run in batch if run.report] == [1, 1]
    assert sum("upload-pack" in each.target for each in tenant.server.tally.requests) == 3


def test_one_key_asks_once(tenant: GitTenant, runs: Runs):
    tenant.commit(a=b"1")
    project = tenant.project()
    first = runs.request(project.id, trigger=Trigger(key="k"))
    assert runs.request(project.id, trigger=Trigger(key="k")).id == first.id
    assert runs.request(project.id, trigger=Trigger(key="l")).id != first.id


def test_a_run_comprises_others(tenant: GitTenant, runs: Runs):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    project = tenant.project()
    run = runs.get(runs.request_fan_out(project.id, ["rule", "task"]).id)
    assert (run.state, run.outcome, run.progress) == (RunState.SUCCEEDED, Outcome.CHANGED, 100)
    assert run.report is not None
    assert [item["path"] for item in run.report["created"]] == ["rules/a", "tasks/b"]
    listed = runs.page(RunFilter(project_id=project.id)).runs
    assert [each.request.kind for each in listed] == [None, "rule", "task"]
