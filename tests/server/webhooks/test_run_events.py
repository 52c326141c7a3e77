"""Each end of a run is announced once, with the run as the native API has it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline.errors import Cancelled
from towline_server.projects.domain import Project
from towline_server.runs.completion import failed, write_completion
from towline_server.runs.domain import BackendName, Run, RunMode, RunRequest
from towline_server.runs.states import ReasonCode, RunState
from towline_server.runs.tables import find_row
from towline_server.webhooks.service import EndpointSettings, Webhooks
from towline_server.webhooks.tables import WebhookDeliveryRow


@pytest.fixture
def bench(world: World) -> Bench:
    """Executors, and an endpoint that is told of everything."""
    with world.database.writing() as session:
        webhooks = Webhooks(session, world.sealer)
        webhooks.create(world.tenant_id, EndpointSettings(url="https://hooks.example/"))
    return Bench(world)


def events(world: World) -> list[dict[str, Any]]:
    """What was announced so far, in order."""
    delivery = WebhookDeliveryRow
    with world.database.reading() as session:
        query = select(delivery.payload).order_by(delivery.created_at, delivery.id)
        return [json.loads(payload) for payload in session.scalars(query)]


def told(world: World) -> list[tuple[str, str]]:
    """Which events of which runs there were, sorted."""
    return sorted((each["data"]["run_id"], each["type"]) for each in events(world))


def ended(*runs: Run) -> list[tuple[str, str]]:
    """The same of runs that ended, each once."""
    return sorted((str(run.id), f"run.{run.state}") for run in runs)


def _pull(bench: Bench, project: Project, **request: Any) -> Run:
    run = bench.runs.request(project.id, RunRequest(**request))
    bench.worker().execute(run.id)
    return bench.runs.get(run.id)


def test_an_event_holds_the_run_and_no_contents(bench: Bench, world: World):
    revision = world.commit(rules__a=b"a secret of the repository", tasks__b=b"1")
    project = world.project()
    run = _pull(bench, project)
    [event] = events(world)
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


def test_a_failure_says_why(bench: Bench, world: World):
    world.commit(rules__a=b"1")
    project = world.project()
    world.edit(project, "rules/a", b"mine")
    run = _pull(bench, project)
    [event] = events(world)
    assert run.error is not None
    assert event["type"] == "run.failed"
    assert event["data"]["reason_code"] == "unresolved_conflicts"
    assert event["data"]["error"] == {"code": run.error.code, "message": run.error.message}
    assert event["data"]["counts"]["conflicts"] == 1


def test_a_dry_run_says_that_it_is_one(bench: Bench, world: World):
    world.commit(rules__a=b"1")
    _pull(bench, world.project(), mode=RunMode.DRY_RUN)
    [event] = events(world)
    assert (event["type"], event["data"]["mode"]) == ("run.succeeded", "dry_run")
    assert event["data"]["pull"] is None


def test_a_run_that_waits_and_one_that_works_are_cancelled_once(bench: Bench, world: World):
    world.commit(rules__a=b"1")
    waiting = bench.runs.request(world.project().id)
    working = bench.runs.request(world.project().id)
    bench.runs.cancel(waiting.id)
    bench.runs.cancel(waiting.id)
    with bench.standing(working.id, "comparing"):
        bench.runs.cancel(working.id)
        assert told(world) == [(str(waiting.id), "run.cancelled")]
    assert bench.runs.get(working.id).state is RunState.CANCELLED
    assert told(world) == ended(*map(bench.runs.get, (waiting.id, working.id)))


def test_a_batch_is_announced_run_by_run_and_as_a_whole(bench: Bench, world: World):
    world.commit(rules__a=b"1", tasks__b=b"1")
    project = world.project()
    whole = bench.runs.request_fan_out(project.id, ["rule", "task"], RunRequest())
    children = bench.children(whole.id)
    for number, child in enumerate(children, start=1):
        bench.worker().execute(child.id)
        assert len(events(world)) == number + (number == len(children))
    runs = [bench.runs.get(run.id) for run in (whole, *children)]
    assert told(world) == ended(*runs)
    by_id = {each["data"]["run_id"]: each["data"] for each in events(world)}
    assert {by_id[str(child.id)]["parent_id"] for child in children} == {str(whole.id)}
    assert by_id[str(whole.id)]["parent_id"] is None
    assert by_id[str(whole.id)]["counts"]["created"] == 2


def test_a_whole_batch_that_is_cancelled_is_announced_once(bench: Bench, world: World):
    world.commit(rules__a=b"1", tasks__b=b"1")
    whole = bench.runs.request_fan_out(world.project().id, ["rule", "task"], RunRequest())
    bench.runs.cancel(whole.id)
    runs = [bench.runs.get(whole.id), *bench.children(whole.id)]
    assert told(world) == ended(*runs)
    assert {each["type"] for each in events(world)} == {"run.cancelled"}


def test_an_attempt_that_was_lost_names_the_one_that_takes_its_place(bench: Bench, world: World):
    world.commit(rules__a=b"1")
    run = bench.runs.request(world.project().id)
    with bench.standing(run.id, "comparing"):
        bench.lapse()
        bench.reaper.sweep()
        bench.reaper.sweep()
        [event] = events(world)
    assert len(events(world)) == 1, "who woke too late says nothing"
    lost = bench.runs.get(run.id)
    assert event["type"] == "run.failed"
    assert event["data"]["will_be_retried"] is True
    assert event["data"]["next_attempt_id"] == str(lost.attempts.next_id)
    assert lost.attempts.next_id is not None
    bench.worker().execute(lost.attempts.next_id)
    assert told(world) == ended(lost, bench.runs.get(lost.attempts.next_id))


def test_an_external_executor_s_end_is_announced(bench: Bench, world: World):
    world.commit(rules__a=b"1")
    run = bench.runs.request(world.project().id, backend=BackendName.EXTERNAL)
    claim = bench.external.claim("elsewhere", tenant_id=world.tenant_id)
    assert claim is not None
    bench.external.fail(run.id, claim.token, ReasonCode.AUTH_ERROR, "no credential")
    assert told(world) == ended(bench.runs.get(run.id))
    assert events(world)[0]["data"]["error"]["message"] == "no credential"


def test_an_end_that_is_rolled_back_is_not_announced(bench: Bench, world: World):
    run = bench.runs.request(world.project().id)

    def end_and_fail() -> None:
        with world.database.writing() as session:
            row = find_row(session, run.id, lock=True)
            write_completion(session, row, failed(Cancelled()), run.created_at)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_and_fail()
    assert bench.runs.get(run.id).state is RunState.QUEUED
    assert events(world) == []
    bench.runs.cancel(run.id)
    assert told(world) == ended(bench.runs.get(run.id))


def test_runs_of_others_are_not_told_of(bench: Bench, world: World, tmp_path: Any):
    stranger = World(world.database, world.server, tmp_path / "stranger")
    stranger.commit(rules__a=b"1")
    run = Bench(stranger).runs.request(stranger.project().id)
    Bench(stranger).worker().execute(run.id)
    assert bench.runs.get(run.id).is_terminal
    assert events(world) == []
