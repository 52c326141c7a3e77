"""What only PostgreSQL shows of syncs, beside what `pages` has on each engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from httpx2 import Response

from tests.server.dialects.syncs.client import Found, SyncsClient
from tests.server.runs.deadlocks import deadlocks_in, delete_behind, of_project
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.rows import sync_gauges

pytestmark = pytest.mark.services


@pytest.fixture
def sqlite_url(postgres_url: str) -> str:
    """The database of the settings: PostgreSQL, here."""
    return postgres_url


def test_syncs_are_found_and_measured(syncs: SyncsClient):
    """By texts, statuses and times that the database compares."""
    project = syncs.tenant.project(ref="heads/none")
    syncs.key = syncs.api.key(Role.WRITER)
    sync = syncs.create(
        name="Ω 100%",
        status="active",
        sourceConfig={"note": [1, 2.5, None, "é"]},
        triggerMode="on_create",
        destinationConfig={"project": str(project.id)},
        freshnessSlaSeconds=0,
    )
    syncs.work()
    assert syncs.names(q="100%", status=["error"], provider=["git"]) == [sync["name"]]
    assert syncs.names(q="1_0") == []
    assert syncs.get(sync)["lastError"] is not None
    syncs.tenant.repository.commit({"a": b"1"}, ref="none")
    run = syncs.done(sync)
    assert syncs.names(status="active") == [sync["name"]]
    assert syncs.get(sync)["lastSuccessAt"] == run["completedAt"]
    with syncs.tenant.database.reading() as session:
        [late] = sync_gauges(session)
    assert late.samples[0].value == 1


def patched(syncs: SyncsClient, sync: Found) -> Response:
    schedule = {"triggerMode": "scheduled", "schedule": {"everySeconds": 60}}
    return syncs.send("PATCH", f"/{sync['id']}", json=schedule)


def deleted(syncs: SyncsClient, sync: Found) -> Response:
    return syncs.send("DELETE", f"/{sync['id']}")


def created(syncs: SyncsClient, sync: Found) -> Response:
    return syncs.send("POST", json=syncs.body(name="another"))


@pytest.mark.parametrize("act", [patched, deleted, created])
def test_a_sync_is_saved_while_its_project_is_deleted(
    act: Callable[[SyncsClient, Found], Response], syncs: SyncsClient
):
    database, project = syncs.tenant.database, syncs.project
    sync = syncs.create()
    deadlocks, answers = deadlocks_in(database), []
    delete_behind(database, project, of_project(project), lambda: answers.append(act(syncs, sync)))
    assert [each.status_code for each in answers] == [404]
    assert deadlocks == []
