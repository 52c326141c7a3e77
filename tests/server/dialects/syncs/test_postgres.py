"""The life of a sync on PostgreSQL: what the other tests show, in short."""

from __future__ import annotations

import pytest

from tests.server.dialects.syncs.office import Office
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.measuring import sync_gauges

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
