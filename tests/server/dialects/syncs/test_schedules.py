"""Syncs run by themselves: by their schedule, and once on creation; else they are late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from tests.server.dialects.syncs.client import Found, SyncsClient
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.rows import sync_gauges
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.runs.tables import RunRow


def _id(found: Found) -> UUID:
    return UUID(found["id"])


EVERY = {"everySeconds": 60}


@pytest.mark.parametrize(
    "schedule",
    [EVERY, {"everySeconds": 60.0}, {"cron": "0 3 * * *", "timezone": "Europe/Zurich"}],
)
def test_an_active_sync_fires_by_its_schedule(syncs: SyncsClient, schedule: dict[str, Any]):
    sync = syncs.create(
        status="active",
        triggerMode="scheduled",
        schedule=schedule,
        entities=["rule"],
        executionConfig={"on_conflict": "skip"},
    )
    syncs.fire()
    [run] = syncs.runs(sync)["runs"]
    assert (run["triggeredBy"], run["syncId"]) == ("scheduled", sync["id"])
    assert run["triggerRef"] is not None
    syncs.work()
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a"}
    request = syncs.runner.runs.get(_id(run)).request
    assert (request.on_conflict, request.kind) == ("skip", "rule")


def test_a_schedule_fans_out_too(syncs: SyncsClient):
    sync = syncs.create(
        status="active", triggerMode="scheduled", schedule=EVERY, executionMode="fan_out_entity"
    )
    syncs.fire()
    [run] = syncs.runs(sync)["runs"]
    assert run["executionMode"] == "fan_out_entity"
    assert len(syncs.runner.children(_id(run))) == 3


def test_a_schedule_pulls_window_by_window_too(syncs: SyncsClient):
    sync = syncs.create(
        status="active",
        triggerMode="scheduled",
        schedule=EVERY,
        executionMode="fan_out_window",
        executionConfig={"window": {"commits": 2}},
    )
    syncs.done(sync)
    for number in (b"2", b"3", b"4"):
        syncs.tenant.commit(rules__a=number, tasks__b=b"1")
    syncs.fire()
    syncs.work()
    run = syncs.runs(sync)["runs"][0]
    assert (run["triggeredBy"], run["executionMode"]) == ("scheduled", "fan_out_window")
    assert run["summary"]["windows"] == {"pulled": 2, "remaining": 0}
    assert len(syncs.runner.children(_id(run))) == 2


def test_a_schedule_fires_while_its_windows_wait(syncs: SyncsClient):
    """Those end with the revision that was fetched for them: what was pushed since is new."""
    sync = syncs.create(
        status="active", triggerMode="scheduled", schedule=EVERY, executionMode="fan_out_window"
    )
    syncs.done(sync)
    for number in (b"2", b"3"):
        syncs.tenant.commit(rules__a=number, tasks__b=b"1")
    syncs.fire()
    syncs.runner.worker().execute(syncs.runner.native.submitted.pop(0))
    syncs.tenant.commit(rules__a=b"4", tasks__b=b"1")
    syncs.fire()
    syncs.fire()
    assert syncs.runs(sync)["total"] == 3
    syncs.work()
    assert syncs.tenant.contents(syncs.project)["rules/a"] == b"4"


@pytest.mark.parametrize("status", ["draft", "paused", "archived"])
def test_what_is_not_active_never_fires(syncs: SyncsClient, status: str):
    sync = syncs.create(status=status, triggerMode="scheduled", schedule=EVERY)
    syncs.create(status=status, triggerMode="on_create")
    syncs.fire()
    assert syncs.runner.native.submitted == []
    syncs.patch(sync, status="active")
    syncs.fire()
    assert len(syncs.runner.native.submitted) == 1
    syncs.work()
    syncs.patch(sync, status=status)
    syncs.fire()
    assert syncs.runner.native.submitted == []


def test_a_schedule_fires_only_where_it_is_the_trigger(syncs: SyncsClient):
    syncs.create(status="active", triggerMode="manual", schedule=EVERY)
    syncs.fire()
    assert syncs.runner.native.submitted == []


def test_a_deleted_sync_never_fires(syncs: SyncsClient):
    sync = syncs.create(status="active", triggerMode="scheduled", schedule=EVERY)
    syncs.send("DELETE", f"/{sync['id']}")
    syncs.fire()
    assert syncs.runner.native.submitted == []


def test_a_change_of_something_else_does_not_put_a_firing_off(syncs: SyncsClient):
    sync = syncs.create(status="active", triggerMode="scheduled", schedule=EVERY)
    due = syncs.due_at(sync)
    syncs.patch(sync, name="another")
    assert syncs.due_at(sync) == due
    syncs.patch(sync, schedule={"everySeconds": 7200})
    after = syncs.due_at(sync)
    assert due is not None
    assert after is not None
    assert after - due > timedelta(seconds=7000)


@pytest.mark.parametrize("source", [{}, {"ref": "main"}, {"path": "/"}])
def test_a_project_that_was_bound_again_is_not_pulled(syncs: SyncsClient, source: dict[str, Any]):
    sync = syncs.create(
        status="active", triggerMode="scheduled", schedule=EVERY, sourceConfig=source
    )
    before = syncs.project.bound
    another = syncs.tenant.connect(f"{syncs.tenant.server.url}/repo.git")
    moved = {"ref": {"ref": "heads/other"}, "path": {"scope": "rules"}}
    _bind(syncs, replace(before, **moved.get(next(iter(source), ""), {"connection_id": another})))
    syncs.fire()
    syncs.work()
    [run] = syncs.runs(sync)["runs"]
    assert (run["resultClass"], run["triggeredBy"]) == ("permanent_failure", "scheduled")
    assert "another repository, ref or folder" in run["error"]
    assert syncs.tenant.contents(syncs.project) == {}
    assert syncs.get(sync)["status"] == "error"
    _bind(syncs, before)
    syncs.fire()
    syncs.work()
    assert syncs.get(sync)["status"] == "active"
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a", "tasks/b"}


def _bind(syncs: SyncsClient, binding: Binding) -> None:
    with syncs.tenant.database.writing() as session:
        Projects(session).bind(syncs.project.id, binding)


def test_a_kind_that_came_later_is_pulled_by_the_schedule_too(syncs: SyncsClient):
    active: dict[str, Any] = {
        "status": "active",
        "triggerMode": "scheduled",
        "schedule": EVERY,
        "executionMode": "fan_out_entity",
    }
    every, named = syncs.create(**active), syncs.create(**active, entities=["task"])
    kinds = Kinds((Kind(name="task", globs=("tasks/**",)), Kind(name="law", globs=("rules/**",))))
    with syncs.tenant.database.writing() as session:
        Projects(session).change(syncs.project.id, kinds=kinds)
    syncs.fire()
    found = [
        [child.request.kind for child in syncs.runner.children(_id(run))]
        for sync in (every, named)
        for run in syncs.runs(sync)["runs"]
    ]
    assert found == [["task", "law"], ["task"]]


def test_what_runs_on_creation_does_so_once(syncs: SyncsClient):
    sync = syncs.create(status="active", triggerMode="on_create")
    [run] = syncs.runs(sync)["runs"]
    assert run["triggeredBy"] == "on_create"
    syncs.work()
    syncs.patch(sync, name="another")
    syncs.patch(sync, status="paused")
    syncs.patch(sync, status="active")
    assert syncs.runs(sync)["total"] == 1
    other = syncs.tenant.project(ref="heads/other")
    syncs.key = syncs.api.key(Role.WRITER)
    syncs.patch(sync, destinationConfig={"project": str(other.id)})
    assert syncs.runs(sync)["total"] == 1
    named = {"project": str(syncs.project.id)}
    draft = syncs.create(triggerMode="on_create", destinationConfig=named)
    assert syncs.runs(draft)["total"] == 0
    for _ in range(2):
        syncs.patch(draft, status="active")
    assert syncs.runs(draft)["total"] == 1, "it was created when it became active"


# --- freshness --------------------------------------------------------------------------------


def test_a_sync_that_is_not_fresh_is_late(syncs: SyncsClient):
    sync = syncs.create(status="active", freshnessSlaSeconds=0)
    assert sync["isLate"] is True
    assert syncs.create(status="active", freshnessSlaSeconds=3600)["isLate"] is False
    assert syncs.create(status="active")["isLate"] is False
    assert syncs.patch(sync, status="paused")["isLate"] is False, "no one waits for it"
    fresh = syncs.patch(sync, status="active", freshnessSlaSeconds=3600)
    syncs.done(fresh)
    assert syncs.get(fresh)["isLate"] is False
    with syncs.tenant.database.writing() as session:
        session.execute(
            update(RunRow).values(completed_at=syncs.project.created_at - timedelta(hours=2))
        )
    assert syncs.get(fresh)["isLate"] is True
    assert syncs.page()["syncs"][-1]["isLate"] is True
    syncs.create(status="active", freshnessSlaSeconds=3600)
    with syncs.tenant.database.reading() as session:
        [late] = sync_gauges(session)
    assert [(sample.name, sample.value) for sample in late.samples] == [("towline_syncs_late", 1)]


def test_a_project_that_is_deleted_takes_its_syncs_along(syncs: SyncsClient):
    sync = syncs.create(status="active", triggerMode="scheduled", schedule=EVERY)
    with syncs.tenant.database.writing() as session:
        Projects(session).delete(syncs.project.id)
    syncs.refused(404, "GET", f"/{sync['id']}")
    syncs.fire()
    assert syncs.runner.native.submitted == []
