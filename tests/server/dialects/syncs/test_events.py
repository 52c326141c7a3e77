"""Tables to which the changes of pulls are appended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect, text

from tests.server.dialects.syncs.client import Found, SyncsClient
from towline_server.auth.roles import Role

RULES = {"entityKey": "rule", "loadMode": "append_event"}
NOT_SENT = {"id", "createdAt", "updatedAt", "tableNamingVersion"}
NATIVE = "/api/towline/v1"


def appending(syncs: SyncsClient, **fields: Any) -> Found:
    return syncs.create(tableBindings=[RULES], **fields)


def table_of(sync: Found, kind: str = "rule") -> dict[str, Any]:
    [found] = [each for each in sync["tableBindings"] if each["entityKey"] == kind]
    return dict(found)


def events(syncs: SyncsClient) -> list[tuple[str, str]]:
    url = f"{NATIVE}/projects/{syncs.project.id}/events"
    answer = syncs.api.client.get(url, headers={"X-API-Key": syncs.key})
    assert answer.status_code == 200, answer.text
    return [(each["change"], each["path"]) for each in answer.json()["items"]]


def test_what_a_table_of_events_says_of_itself_is_so(syncs: SyncsClient):
    made = appending(syncs)
    table = table_of(made)
    assert (table["loadMode"], table["tableNamingVersion"]) == ("append_event", "legacy")
    assert table["logicalTableName"] == "rule"
    syncs.done(made)
    engine = syncs.tenant.database.engine
    name, cursor = table["physicalTableName"], table["cursorField"]
    key = inspect(engine).get_pk_constraint(name)["constrained_columns"]
    assert table["primaryKeyColumns"] == key
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT path FROM {name} WHERE {cursor} > 0"))
        assert list(found.scalars()) == ["rules/a"]
    given = {name: value for name, value in table.items() if name not in NOT_SENT}
    again = table_of(syncs.patch(made, tableBindings=[given]))
    assert again == {**table, "updatedAt": again["updatedAt"]}
    assert table_of(made, "task")["loadMode"] == "mirror"


def test_every_pull_of_the_project_appends_whatever_asked_for_it(syncs: SyncsClient):
    made = appending(syncs, executionMode="fan_out_entity")
    syncs.done(made)
    assert events(syncs) == [("created", "rules/a")]
    syncs.tenant.commit(rules__a=b"2", tasks__b=b"2")
    syncs.runner.runs.request(syncs.project.id)
    syncs.work()
    admin = {"X-API-Key": syncs.api.key(Role.ADMIN, syncs.project)}
    undone = syncs.api.client.post(f"{NATIVE}/projects/{syncs.project.id}/undo", headers=admin)
    assert undone.status_code == 200, undone.text
    syncs.done(made, runMode="dry_run")
    assert events(syncs) == [("created", "rules/a")] + [("updated", "rules/a")] * 2


def test_a_run_shows_its_parts_and_the_events_that_they_appended(syncs: SyncsClient):
    made = appending(syncs, executionMode="fan_out_window")
    first = syncs.done(made)
    for number in (b"2", b"3"):
        syncs.tenant.commit(rules__a=number, tasks__b=number)
    second = syncs.done(made)
    assert first["summary"]["events"] == {"appended": 1, "first": 1, "last": 1}
    assert second["summary"]["events"] == {"appended": 2, "first": 2, "last": 3}
    parts = [syncs.run({"id": part}) for part in second["summary"]["runs"]]
    assert [part["summary"]["events"]["first"] for part in parts] == [2, 3]
    assert {part["syncId"] for part in parts} == {made["id"]}
    assert "events" not in syncs.done(made)["summary"], "nothing new"


def test_events_end_with_the_last_sync_that_appends_them(syncs: SyncsClient):
    first, second = appending(syncs), appending(syncs)
    syncs.done(first)
    syncs.send("DELETE", f"/{first['id']}")
    assert events(syncs) == [("created", "rules/a")]
    syncs.patch(second, tableBindings=[{"entityKey": "rule"}])
    assert events(syncs) == []
    syncs.tenant.commit(rules__a=b"2")
    syncs.done(second)
    assert events(syncs) == []
    third = appending(syncs)
    syncs.tenant.commit(rules__a=b"3")
    syncs.done(third)
    syncs.send("DELETE", f"/{third['id']}")
    assert events(syncs) == []


def test_a_sync_that_goes_over_to_another_project_takes_no_events_along(syncs: SyncsClient):
    made = appending(syncs)
    syncs.done(made)
    another = syncs.tenant.project()
    key = syncs.api.key(Role.ADMIN)
    syncs.as_key(key).patch(made, destinationConfig={"project": str(another.id)})
    assert events(syncs) == []
    syncs.tenant.commit(rules__a=b"2")
    for project in (syncs.project, another):
        syncs.runner.runs.request(project.id)
    syncs.work()
    assert events(syncs) == []
    syncs.project, syncs.key = another, key
    assert events(syncs) == [("created", "rules/a")]
