"""Syncs run by themselves: by their schedule, and once on creation; else they are late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from tests.server.dialects.syncs.office import Found, Office
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.rows import sync_gauges
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.runs import tables


def _id(found: Found) -> UUID:
    return UUID(found["id"])


EVERY = {"everySeconds": 60}


@pytest.mark.parametrize(
    "schedule",
    [EVERY, {"everySeconds": 60.0}, {"cron": "0 3 * * *", "timezone": "Europe/Zurich"}],
)
def test_an_active_sync_fires_by_its_schedule(office: Office, schedule: dict[str, Any]):
    sync = office.create(
        status="active",
        triggerMode="scheduled",
        schedule=schedule,
        entities=["rule"],
        executionConfig={"on_conflict": "skip"},
    )
    office.fire()
    [run] = office.runs(sync)["runs"]
    assert (run["triggeredBy"], run["syncId"]) == ("scheduled", sync["id"])
    assert run["triggerRef"] is not None
    office.work()
    assert set(office.world.contents(office.project)) == {"rules/a"}
    request = office.bench.runs.get(_id(run)).request
    assert (request.on_conflict, request.kind) == ("skip", "rule")


def test_a_schedule_fans_out_too(office: Office):
    sync = office.create(
        status="active", triggerMode="scheduled", schedule=EVERY, executionMode="fan_out_entity"
    )
    office.fire()
    [run] = office.runs(sync)["runs"]
    assert run["executionMode"] == "fan_out_entity"
    assert len(office.bench.runs.children(_id(run))) == 3


@pytest.mark.parametrize("status", ["draft", "paused", "archived"])
def test_what_is_not_active_never_fires(office: Office, status: str):
    sync = office.create(status=status, triggerMode="scheduled", schedule=EVERY)
    office.create(status=status, triggerMode="on_create")
    office.fire()
    assert office.bench.shelf.handed == []
    office.patch(sync, status="active")
    office.fire()
    assert len(office.bench.shelf.handed) == 1
    office.work()
    office.patch(sync, status=status)
    office.fire()
    assert office.bench.shelf.handed == []


def test_a_schedule_fires_only_where_it_is_the_trigger(office: Office):
    office.create(status="active", triggerMode="manual", schedule=EVERY)
    office.fire()
    assert office.bench.shelf.handed == []


def test_a_deleted_sync_never_fires(office: Office):
    sync = office.create(status="active", triggerMode="scheduled", schedule=EVERY)
    office.send("DELETE", f"/{sync['id']}")
    office.fire()
    assert office.bench.shelf.handed == []


def test_a_change_of_something_else_does_not_put_a_firing_off(office: Office):
    sync = office.create(status="active", triggerMode="scheduled", schedule=EVERY)
    due = office.schedules.get(_id(sync)).due_at
    office.patch(sync, name="another")
    assert office.schedules.get(_id(sync)).due_at == due
    office.patch(sync, schedule={"everySeconds": 7200})
    after = office.schedules.get(_id(sync)).due_at
    assert due is not None
    assert after is not None
    assert after - due > timedelta(seconds=7000)


@pytest.mark.parametrize("source", [{}, {"ref": "main"}, {"path": "/"}])
def test_a_project_that_was_bound_anew_is_not_pulled(office: Office, source: dict[str, Any]):
    sync = office.create(
        status="active", triggerMode="scheduled", schedule=EVERY, sourceConfig=source
    )
    before = office.project.bound
    another = office.world.connect(f"{office.world.server.url}/repo.git")
    moved = {"ref": {"ref": "heads/other"}, "path": {"scope": "rules"}}
    _bind(office, replace(before, **moved.get(next(iter(source), ""), {"connection_id": another})))
    office.fire()
    office.work()
    [run] = office.runs(sync)["runs"]
    assert (run["resultClass"], run["triggeredBy"]) == ("permanent_failure", "scheduled")
    assert "another repository, ref or folder" in run["error"]
    assert office.world.contents(office.project) == {}
    assert office.get(sync)["status"] == "error"
    _bind(office, before)
    office.fire()
    office.work()
    assert office.get(sync)["status"] == "active"
    assert set(office.world.contents(office.project)) == {"rules/a", "tasks/b"}


def _bind(office: Office, binding: Binding) -> None:
    with office.world.database.writing() as session:
        Projects(session).bind(office.project.id, binding)


def test_a_kind_that_came_later_is_pulled_by_the_schedule_too(office: Office):
    active: dict[str, Any] = {
        "status": "active",
        "triggerMode": "scheduled",
        "schedule": EVERY,
        "executionMode": "fan_out_entity",
    }
    every, named = office.create(**active), office.create(**active, entities=["task"])
    kinds = Kinds((Kind(name="task", globs=("tasks/**",)), Kind(name="law", globs=("rules/**",))))
    with office.world.database.writing() as session:
        Projects(session).change(office.project.id, kinds=kinds)
    office.fire()
    found = [
        [child.request.kind for child in office.bench.runs.children(_id(run))]
        for sync in (every, named)
        for run in office.runs(sync)["runs"]
    ]
    assert found == [["task", "law"], ["task"]]


def test_what_runs_on_creation_does_so_once(office: Office):
    sync = office.create(status="active", triggerMode="on_create")
    [run] = office.runs(sync)["runs"]
    assert run["triggeredBy"] == "on_create"
    office.work()
    office.patch(sync, name="another")
    office.patch(sync, status="paused")
    office.patch(sync, status="active")
    assert office.runs(sync)["total"] == 1
    other = office.world.project(ref="heads/other")
    office.key = office.desk.key(Role.WRITER)
    office.patch(sync, destinationConfig={"project": str(other.id)})
    assert office.runs(sync)["total"] == 1
    named = {"project": str(office.project.id)}
    draft = office.create(triggerMode="on_create", destinationConfig=named)
    assert office.runs(draft)["total"] == 0
    for _ in range(2):
        office.patch(draft, status="active")
    assert office.runs(draft)["total"] == 1, "it was created when it became active"


# --- freshness --------------------------------------------------------------------------------


def test_a_sync_that_is_not_fresh_is_late(office: Office):
    sync = office.create(status="active", freshnessSlaSeconds=0)
    assert sync["isLate"] is True
    assert office.create(status="active", freshnessSlaSeconds=3600)["isLate"] is False
    assert office.create(status="active")["isLate"] is False
    assert office.patch(sync, status="paused")["isLate"] is False, "nobody waits for it"
    fresh = office.patch(sync, status="active", freshnessSlaSeconds=3600)
    office.done(fresh)
    assert office.get(fresh)["isLate"] is False
    with office.world.database.writing() as session:
        session.execute(
            update(tables.Run).values(completed_at=office.project.created_at - timedelta(hours=2))
        )
    assert office.get(fresh)["isLate"] is True
    assert office.page()["syncs"][-1]["isLate"] is True
    office.create(status="active", freshnessSlaSeconds=3600)
    with office.world.database.reading() as session:
        [late] = sync_gauges(session)
    assert [(sample.name, sample.value) for sample in late.samples] == [("towline_syncs_late", 1)]


def test_a_project_that_is_deleted_takes_its_syncs_along(office: Office):
    sync = office.create(status="active", triggerMode="scheduled", schedule=EVERY)
    with office.world.database.writing() as session:
        Projects(session).delete(office.project.id)
    office.refused(404, "GET", f"/{sync['id']}")
    office.fire()
    assert office.bench.shelf.handed == []
