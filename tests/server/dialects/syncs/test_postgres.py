"""The life of a sync on PostgreSQL: what the other tests show, in short."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from httpx2 import Response

from tests.server.dialects.syncs.office import Found, Office
from tests.server.runs.circles import deadlocks_in, delete_behind, of_project
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.rows import sync_gauges

pytestmark = pytest.mark.services


@pytest.fixture
def sqlite_url(postgres_url: str) -> str:
    """The database of the settings: PostgreSQL, here."""
    return postgres_url


def test_a_sync_lives_on_postgresql(office: Office):
    sync = office.create(
        name="Ω 100%",
        status="active",
        sourceConfig={"note": [1, 2.5, None, "é"]},
        entities=["rule"],
        tableBindings=[{"entityKey": "rule"}],
        freshnessSlaSeconds=0,
        triggerMode="scheduled",
        schedule={"everySeconds": 60},
    )
    assert sync["isLate"] is True
    assert office.get(sync) == sync
    assert office.names(q="100%", status=["active"], provider=["git"]) == [sync["name"]]
    assert office.names(q="1_0") == []
    office.fire()
    office.work()
    [run] = office.runs(sync)["runs"]
    assert (run["status"], run["triggeredBy"]) == ("succeeded", "scheduled")
    assert office.get(sync)["lastSuccessAt"] == run["completedAt"]
    changed = office.patch(sync, schedule=None, triggerMode=None, tableBindings=None)
    assert (changed["schedule"], changed["triggerMode"]) == (None, "manual")
    office.refused(409, "POST", json=office.body(slug=sync["slug"]))
    catalog = office.ask("catalog", "GET", "/providers/git/catalog")
    assert {each["storageKind"] for each in catalog["resources"]} == {"postgres"}
    assert office.send("DELETE", f"/{sync['id']}").status_code == 204


def test_a_sync_fails_and_heals_on_postgresql(office: Office):
    project = office.world.project(ref="heads/none")
    office.key = office.desk.key(Role.WRITER)
    sync = office.create(
        status="active",
        triggerMode="on_create",
        destinationConfig={"project": str(project.id)},
        freshnessSlaSeconds=0,
    )
    office.work()
    assert office.names(status="error") == [sync["name"]]
    assert office.get(sync)["lastError"] is not None
    office.world.repository.commit({"a": b"1"}, ref="none")
    office.done(sync)
    assert office.names(status="active") == [sync["name"]]
    with office.world.database.reading() as session:
        [late] = sync_gauges(session)
    assert late.samples[0].value == 1


def patched(office: Office, sync: Found) -> Response:
    schedule = {"triggerMode": "scheduled", "schedule": {"everySeconds": 60}}
    return office.send("PATCH", f"/{sync['id']}", json=schedule)


def deleted(office: Office, sync: Found) -> Response:
    return office.send("DELETE", f"/{sync['id']}")


def created(office: Office, sync: Found) -> Response:
    return office.send("POST", json=office.body(name="another"))


@pytest.mark.parametrize("act", [patched, deleted, created])
def test_a_sync_is_saved_while_its_project_is_deleted(
    act: Callable[[Office, Found], Response], office: Office
):
    database, project = office.world.database, office.project
    sync = office.create()
    deadlocks, answers = deadlocks_in(database), []
    delete_behind(database, project, of_project(project), lambda: answers.append(act(office, sync)))
    assert [each.status_code for each in answers] == [404]
    assert deadlocks == []
