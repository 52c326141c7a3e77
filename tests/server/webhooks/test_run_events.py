"""Each end of a run is announced once, with the run as the native API has it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.errors import Cancelled
from towline_server.projects.domain import Project
from towline_server.runs.completion import failed, write_completion
from towline_server.runs.domain import BackendName, Run, RunMode, RunRequest
from towline_server.runs.states import ReasonCode, RunState
from towline_server.runs.tables import find_row
from towline_server.webhooks.service import EndpointSettings, Webhooks
from towline_server.webhooks.tables import WebhookDeliveryRow


@pytest.fixture
def runner(tenant: GitTenant) -> Runner:
    """A runner, and an endpoint that gets every event."""
    with tenant.database.writing() as session:
        webhooks = Webhooks(session, tenant.sealer)
        webhooks.create(tenant.tenant_id, EndpointSettings(url="https://hooks.example/"))
    return Runner(tenant)


def events(tenant: GitTenant) -> list[dict[str, Any]]:
    """What was announced so far, in order."""
    delivery = WebhookDeliveryRow
    with tenant.database.reading() as session:
        query = select(delivery.payload).order_by(delivery.created_at, delivery.id)
        return [json.loads(payload) for payload in session.scalars(query)]


def announced(tenant: GitTenant) -> list[tuple[str, str]]:
    """Which events of which runs there were, sorted."""
    return sorted((each["data"]["run_id"], each["type"]) for each in events(tenant))


def ended(*runs: Run) -> list[tuple[str, str]]:
    """The same of runs that ended, each once."""
    return sorted((str(run.id), f"run.{run.state}") for run in runs)


def _pull(runner: Runner, project: Project, **request: Any) -> Run:
    run = runner.runs.request(project.id, RunRequest(**request))
    runner.worker().execute(run.id)
    return runner.runs.get(run.id)


def test_an_event_holds_the_run_and_no_contents(runner: Runner, tenant: GitTenant):
    revision = tenant.commit(rules__a=b"a secret of the repository", tasks__b=b"1")
    project = tenant.project()
    run = _pull(runner, project)
    [event] = events(tenant)
    assert event["type"] == "run.succeeded"
    assert datetime.fromisoformat(event["timestamp"]) == run.completed_at
    assert event["timestamp"].endswith("Z")
    assert event["data"] == {
        "run_id": str(run.id),
        "project_id": str(project.id),
        "project_path": project.path,
        "batch_id": None,
        "parent_id": None,
        "mode": "incremental",
        "kind": None,
        "triggered_by": "manual",
        "trigger_ref": None,
        "requested_by": None,
        "state": "succeeded",
        "outcome": "changed",
        "result_class": "success",
        "reason_code": None,
        "error": None,
        "counts": {
            "overwritten": 0,
            "updated": 0,
            "created": 2,
            "deleted": 0,
            "ignored": 0,
            "conflicts": 0,
        },
        "base_revision": None,
        "target_revision": revision,
        "pull": 1,
        "attempt": 1,
        "attempt_root_id": str(run.id),
        "previous_attempt_id": None,
        "next_attempt_id": None,
        "will_be_retried": False,
        "created_at": _text(run.created_at),
        "started_at": _text(run.started_at),
        "completed_at": _text(run.completed_at),
    }
    assert "secret" not in json.dumps(event)


def _text(moment: datetime | None) -> str:
    assert moment is not None
    return moment.isoformat().replace("+00:00", "Z")


def test_a_failure_says_why(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1")
    project = tenant.project()
    tenant.edit(project, "rules/a", b"mine")
    run = _pull(runner, project)
    [event] = events(tenant)
    assert run.error is not None
    assert event["type"] == "run.failed"
    assert event["data"]["reason_code"] == "unresolved_conflicts"
    assert event["data"]["error"] == {"code": run.error.code, "message": run.error.message}
    assert event["data"]["counts"]["conflicts"] == 1


def test_a_dry_run_says_that_it_is_one(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1")
    _pull(runner, tenant.project(), mode=RunMode.DRY_RUN)
    [event] = events(tenant)
    assert (event["type"], event["data"]["mode"]) == ("run.succeeded", "dry_run")
    assert event["data"]["pull"] is None


def test_a_run_that_waits_and_one_that_works_are_cancelled_once(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1")
    waiting = runner.runs.request(tenant.project().id)
    working = runner.runs.request(tenant.project().id)
    runner.runs.cancel(waiting.id)
    runner.runs.cancel(waiting.id)
    with runner.paused(working.id, "comparing"):
        runner.runs.cancel(working.id)
        assert announced(tenant) == [(str(waiting.id), "run.cancelled")]
    assert runner.runs.get(working.id).state is RunState.CANCELLED
    assert announced(tenant) == ended(*map(runner.runs.get, (waiting.id, working.id)))


def test_a_batch_is_announced_run_by_run_and_as_a_whole(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    project = tenant.project()
    whole = runner.runs.request_fan_out(project.id, ["rule", "task"], RunRequest())
    children = runner.children(whole.id)
    for number, child in enumerate(children, start=1):
        runner.worker().execute(child.id)
        assert len(events(tenant)) == number + (number == len(children))
    runs = [runner.runs.get(run.id) for run in (whole, *children)]
    assert announced(tenant) == ended(*runs)
    by_id = {each["data"]["run_id"]: each["data"] for each in events(tenant)}
    assert {by_id[str(child.id)]["parent_id"] for child in children} == {str(whole.id)}
    assert by_id[str(whole.id)]["parent_id"] is None
    assert by_id[str(whole.id)]["counts"]["created"] == 2


def test_a_whole_batch_that_is_cancelled_is_announced_once(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    whole = runner.runs.request_fan_out(tenant.project().id, ["rule", "task"], RunRequest())
    runner.runs.cancel(whole.id)
    runs = [runner.runs.get(whole.id), *runner.children(whole.id)]
    assert announced(tenant) == ended(*runs)
    assert {each["type"] for each in events(tenant)} == {"run.cancelled"}


def test_an_attempt_that_was_lost_names_the_one_that_takes_its_place(
    runner: Runner, tenant: GitTenant
):
    tenant.commit(rules__a=b"1")
    run = runner.runs.request(tenant.project().id)
    with runner.paused(run.id, "comparing"):
        runner.lose()
        runner.reaper.sweep()
        [event] = events(tenant)
    assert len(events(tenant)) == 1, "the lost executor announces nothing"
    lost = runner.runs.get(run.id)
    assert event["type"] == "run.failed"
    assert event["data"]["will_be_retried"] is True
    assert event["data"]["next_attempt_id"] == str(lost.attempts.next_id)
    assert lost.attempts.next_id is not None
    runner.worker().execute(lost.attempts.next_id)
    assert announced(tenant) == ended(lost, runner.runs.get(lost.attempts.next_id))


def test_the_end_of_an_external_run_is_announced(runner: Runner, tenant: GitTenant):
    tenant.commit(rules__a=b"1")
    run = runner.runs.request(tenant.project().id, backend=BackendName.EXTERNAL)
    claim = runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    runner.external.fail(run.id, claim.token, ReasonCode.AUTH_ERROR, "no credential")
    assert announced(tenant) == ended(runner.runs.get(run.id))
    assert events(tenant)[0]["data"]["error"]["message"] == "no credential"


def test_an_end_that_is_rolled_back_is_not_announced(runner: Runner, tenant: GitTenant):
    run = runner.runs.request(tenant.project().id)

    def end_and_fail() -> None:
        with tenant.database.writing() as session:
            row = find_row(session, run.id, lock=True)
            write_completion(session, row, failed(Cancelled()), run.created_at)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_and_fail()
    assert runner.runs.get(run.id).state is RunState.QUEUED
    assert events(tenant) == []
    runner.runs.cancel(run.id)
    assert announced(tenant) == ended(runner.runs.get(run.id))


def test_runs_of_other_tenants_are_not_announced(runner: Runner, tenant: GitTenant, tmp_path: Any):
    stranger = GitTenant(tenant.database, tenant.server, tmp_path / "stranger")
    stranger.commit(rules__a=b"1")
    run = Runner(stranger).runs.request(stranger.project().id)
    Runner(stranger).worker().execute(run.id)
    assert runner.runs.get(run.id).is_terminal
    assert events(tenant) == []
