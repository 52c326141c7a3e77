"""Syncs are created, found, changed and deleted; what does not fit is refused, all at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.dialects.syncs.office import Office
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.service import Syncs
from towline_server.errors import ConnectionInUse
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects

CONFIGS = ("sourceConfig", "destinationConfig", "executionConfig")


# --- create and get ---------------------------------------------------------------------------


def test_a_sync_needs_no_more_than_a_connection_and_a_name(office: Office):
    made = office.create()
    assert made == office.get(made)
    assert {name: made[name] for name in ("status", "executionBackend", "executionMode")} == {
        "status": "draft",
        "executionBackend": "native",
        "executionMode": "sequential",
    }
    assert (made["triggerMode"], made["schedule"], made["freshnessSlaSeconds"]) == (
        "manual",
        None,
        None,
    )
    assert (made["slug"], made["taskSlug"]) == ("daily-rules", "daily-rules-pull")
    assert (made["providerKey"], made["entities"]) == ("git", [])
    assert made["connectionId"] == str(office.world.connection_id)
    assert (made["lastError"], made["lastSuccessAt"], made["isLate"]) == (None, None, False)
    assert made["createdBy"] == made["updatedBy"]


def test_everything_that_is_set_comes_back(office: Office):
    body = {
        "name": "Ω name",
        "slug": "nightly",
        "status": "paused",
        "sourceConfig": {"ref": "main", "path": "/", "note": [1, 2.5, None, {"x": True}]},
        "destinationConfig": {"project": f"/{office.project.path}", "table": "t"},
        "executionConfig": {"on_conflict": "skip", "workers": 4},
        "entities": ["rule", "task"],
        "executionBackend": "external",
        "executionMode": "fan_out_entity",
        "triggerMode": "scheduled",
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Zurich", "comment": "at night"},
        "freshnessSlaSeconds": 3600,
    }
    made = office.create(**body)
    assert {name: made[name] for name in body} == body


def test_a_name_has_1_to_255_characters(office: Office):
    for name in ("", "x" * 256, None, 7):
        assert office.refused_fields(name=name) == [["body", "name"]]
    office.create(name="x" * 255)


NULLABLE = ("freshnessSlaSeconds", "schedule", "slug")
NEVER_NULL = (
    "connectionId",
    "destinationConfig",
    "entities",
    "executionBackend",
    "executionConfig",
    "executionMode",
    "name",
    "sourceConfig",
    "status",
    "tableBindings",
    "triggerMode",
)


def test_null_may_stand_where_the_page_has_it(office: Office):
    made = office.create(**dict.fromkeys(NULLABLE))
    assert (made["freshnessSlaSeconds"], made["schedule"]) == (None, None)
    assert made["slug"] == "daily-rules"
    for field in NEVER_NULL:
        assert office.refused_fields(**{field: None}) == [["body", field]]


def test_a_missing_field_is_told(office: Office):
    assert office.refused(422, "POST", json={}) == [
        (["body", "connectionId"], "Field required"),
        (["body", "name"], "Field required"),
    ]


def test_a_slug_is_unique_within_a_tenant(office: Office):
    assert [office.create()["slug"] for _ in range(3)] == [
        "daily-rules",
        "daily-rules-2",
        "daily-rules-3",
    ]
    assert office.create(name="***")["slug"] == "sync"
    [(_, msg)] = office.refused(409, "POST", json=office.body(slug="daily-rules"))
    assert msg == "there is such a sync already"
    assert office.refused_fields(slug="Not a slug") == [["body", "slug"]]


def test_what_no_database_can_hold_is_refused(office: Office):
    for config in CONFIGS:
        for value in ({"a": "\x00"}, {"\x00": 1}, {"a": 10**30}, [1], "x"):
            assert office.refused_fields(**{config: value}) == [["body", config]]
    deepest = '{"a":' * 40 + "1" + "}" * 40
    for text in (r'{"a": "\ud800"}', '{"a": NaN}', '{"a": 1e30}', deepest):
        connection = office.world.connection_id
        body = f'{{"connectionId": "{connection}", "name": "n", "sourceConfig": {text}}}'
        headers = {"Content-Type": "application/json"}
        office.refused(422, "POST", content=body.encode(), headers=headers)


# --- which project ----------------------------------------------------------------------------


def test_the_only_project_of_a_connection_need_not_be_named(office: Office):
    assert office.create(status="active")["status"] == "active"


def test_a_sync_whose_project_does_not_show_can_only_be_a_draft(office: Office):
    other = office.world.project(ref="heads/other")
    made = office.create()
    assert (made["status"], made["tableBindings"]) == ("draft", [])
    where = ["body", "destinationConfig", "project"]
    for status in ("active", "paused", "error", "archived"):
        assert office.refused_fields(status=status) == [where]
        [(loc, _)] = office.refused(422, "PATCH", f"/{made['id']}", json={"status": status})
        assert loc == where
    [(loc, msg)] = office.refused(422, "POST", f"/{made['id']}/trigger", json={})
    assert (loc, "destinationConfig.project" in msg) == (["path", "sync_id"], True)
    named = office.patch(
        made, status="active", destinationConfig={"project": str(office.project.id)}
    )
    assert named["status"] == "active"
    office.trigger(named)
    path = {"project": f"/{other.path}"}
    body = {"destinationConfig": path}
    assert office.refused(422, "PATCH", f"/{made['id']}", json=body)[0][0] == where


def test_a_project_that_is_settled_stays_whatever_else_is_bound(office: Office):
    made = office.create(status="active")
    other = office.world.project(ref="heads/other")
    assert office.patch(made, name="another")["status"] == "active"
    office.trigger(made)
    office.key = office.desk.key(Role.WRITER)
    office.patch(made, destinationConfig={"project": f"/{other.path}"})
    run = office.trigger(made)
    assert office.bench.runs.get(UUID(run["id"])).project_id == other.id
    office.refused(422, "PATCH", f"/{made['id']}", json={"destinationConfig": None})
    assert office.patch(made, destinationConfig=None, status="draft")["status"] == "draft"


def test_a_project_that_is_not_there_or_not_fit_is_refused(office: Office):
    where = ["body", "destinationConfig", "project"]
    for named in ("/x/y/z", "none", str(uuid4())):
        body = office.body(destinationConfig={"project": named})
        assert office.refused(422, "POST", json=body) == [(where, "no such project")]
    assert office.refused_fields(destinationConfig={"project": 7}) == [where]


def test_a_connection_ref_or_path_that_is_not_the_project_s_is_refused(office: Office):
    world = office.world
    elsewhere = world.connect(f"{world.server.url}/elsewhere.git")
    office.key = office.desk.key(Role.WRITER)
    project = {"project": f"/{office.project.path}"}
    body = office.body(connectionId=str(elsewhere), destinationConfig=project)
    assert [loc for loc, _ in office.refused(422, "POST", json=body)] == [["body", "connectionId"]]
    for name, wrong in (("ref", "tags/main"), ("ref", ".."), ("path", "folder"), ("ref", 1)):
        where = [["body", "sourceConfig", name]]
        assert office.refused_fields(sourceConfig={name: wrong}) == where
    for right in ({"ref": "heads/main"}, {"ref": "refs/heads/main"}, {"path": "/"}, {"ref": None}):
        office.create(sourceConfig=right)


def test_a_project_that_was_bound_anew_is_not_pulled_by_old_syncs(office: Office):
    made = office.create(sourceConfig={"ref": "main"}, destinationConfig={
        "project": str(office.project.id)
    })  # fmt: skip
    binding = Binding(connection_id=office.world.connection_id, ref="heads/other")
    with office.world.database.writing() as session:
        Projects(session).bind(office.project.id, binding)
    where = office.refused(422, "POST", f"/{made['id']}/trigger", json={})
    assert [loc for loc, _ in where] == [["body", "sourceConfig", "ref"]]


# --- what is refused --------------------------------------------------------------------------


def test_every_problem_is_told_at_once(office: Office):
    found = office.refused_fields(
        executionBackend="prefect",
        executionMode="fan_out_window",
        executionConfig={"on_conflict": "shrug"},
        entities=["rule", "none"],
        schedule={"cron": "0 3 * * *", "everySeconds": 5},
    )
    assert found == [
        ["body", "executionBackend"],
        ["body", "executionMode"],
        ["body", "executionConfig", "on_conflict"],
        ["body", "schedule"],
        ["body", "entities", 1],
    ]


def test_a_backend_that_is_not_configured_is_refused_and_the_others_named(office: Office):
    for backend in ("temporal", "prefect"):
        [(loc, msg)] = office.refused(422, "POST", json=office.body(executionBackend=backend))
        assert loc == ["body", "executionBackend"]
        assert "external or native" in msg


SCHEDULES: list[tuple[object, list[str]]] = [
    ({}, ["schedule"]),
    ({"cron": "61 * * * *"}, ["schedule", "cron"]),
    ({"cron": 5}, ["schedule", "cron"]),
    ({"cron": "* * * * *", "timezone": "Mars/Base"}, ["schedule", "timezone"]),
    ({"everySeconds": 0}, ["schedule", "everySeconds"]),
    ({"everySeconds": True}, ["schedule", "everySeconds"]),
    ({"everySeconds": 2**31}, ["schedule", "everySeconds"]),
    ("daily", ["schedule"]),
]


def test_a_malformed_schedule_is_refused(office: Office):
    for schedule, where in SCHEDULES:
        assert office.refused_fields(schedule=schedule) == [["body", *where]], schedule


def test_a_scheduled_sync_needs_a_schedule(office: Office):
    for status in ("draft", "active"):
        found = office.refused_fields(status=status, triggerMode="scheduled")
        assert found == [["body", "schedule"]]


def test_an_unknown_connection_is_refused(office: Office):
    body = office.body(connectionId=str(uuid4()))
    where = ["body", "connectionId"]
    assert office.refused(422, "POST", json=body) == [(where, "no such connection")]


OUT_OF_RANGE: list[tuple[str, object]] = [
    ("status", "on"),
    ("executionMode", "parallel"),
    ("executionBackend", "cron"),
    ("triggerMode", "never"),
    ("freshnessSlaSeconds", -1),
    ("freshnessSlaSeconds", 2**31),
    ("freshnessSlaSeconds", "60"),
    ("freshnessSlaSeconds", True),
    ("entities", "rule"),
]


def test_a_value_out_of_its_range_is_refused(office: Office):
    for field, value in OUT_OF_RANGE:
        assert office.refused_fields(**{field: value}) == [["body", field]], value


# --- tables -----------------------------------------------------------------------------------


def _tables(sync: Any) -> dict[str, Any]:
    return {table["entityKey"]: table for table in sync["tableBindings"]}


def test_each_kind_that_is_pulled_has_a_table(office: Office):
    assert list(_tables(office.create())) == ["rule", "task", "file"]
    made = office.create(
        entities=["rule", "task"],
        tableBindings=[
            {"entityKey": "task", "logicalTableName": "jobs", "physicalTableName": "jobs_v1"}
        ],
    )
    tables = _tables(made)
    assert list(tables) == ["rule", "task"]
    assert {name: tables["task"][name] for name in tables["task"] if "TableName" in name} == {
        "logicalTableName": "jobs",
        "physicalTableName": "jobs_v1",
    }
    assert tables["task"]["tableName"] == "jobs"
    assert tables["rule"]["logicalTableName"] == "rule"
    assert tables["rule"]["physicalTableName"] == "daily-rules-2__rule"
    assert {table["loadMode"] for table in tables.values()} == {"mirror"}
    assert {table["tableNamingVersion"] for table in tables.values()} == {"legacy"}


def test_what_is_not_said_of_a_table_is_filled_in(office: Office):
    made = office.create(tableBindings=[{"entityKey": "rule", "primaryKeyColumns": ["a", "b"]}])
    rule, task = (_tables(made)[kind] for kind in ("rule", "task"))
    assert (rule["primaryKeyColumns"], task["primaryKeyColumns"]) == (["a", "b"], ["asset_id"])
    assert rule["sourceInstanceKey"] == task["sourceInstanceKey"] == made["connectionId"]
    assert _tables(office.patch(made, freshnessSlaSeconds=5)) == _tables(made)


def test_a_kind_that_is_named_twice_is_pulled_once(office: Office):
    assert office.create(entities=["task", "rule", "task"])["entities"] == ["task", "rule"]


def test_who_made_a_sync_and_who_changed_it_is_told(office: Office):
    made = office.create()
    other = office.desk.key(Role.WRITER, office.project)
    changed = office.as_key(other).patch(made, name="another")
    owners = [str(office.desk.owner_of(key)) for key in (office.key, other)]
    assert [changed["createdBy"], changed["updatedBy"]] == owners


def test_a_table_that_is_said_again_keeps_its_time(office: Office):
    said = {"entityKey": "task", "cursorField": "at", "primaryKeyColumns": ["a", "b"]}
    made = office.create(tableBindings=[said])
    same = office.patch(made, tableBindings=[{"entityKey": "rule"}, said])
    assert _tables(same)["task"] == _tables(made)["task"]
    cleared = office.patch(made, tableBindings=None)
    assert _tables(cleared)["task"]["cursorField"] is None
    assert _tables(cleared)["task"]["id"] == _tables(made)["task"]["id"]


def test_tables_that_do_not_fit_are_refused(office: Office):
    rule = {"entityKey": "rule"}
    where = ["body", "tableBindings"]
    assert office.refused_fields(tableBindings=[rule, rule]) == [[*where, 1, "entityKey"]]
    assert office.refused_fields(tableBindings=[{"entityKey": "none"}]) == [
        [*where, 0, "entityKey"]
    ]
    assert office.refused_fields(tableBindings=[rule], entities=["task"]) == [
        [*where, 0, "entityKey"]
    ]
    later = {**rule, "loadMode": "append_event"}
    assert office.refused_fields(tableBindings=[later]) == [[*where, 0, "loadMode"]]


# --- change and delete ------------------------------------------------------------------------


def test_a_change_leaves_the_rest_alone(office: Office):
    made = office.create(slug="s", sourceConfig={"a": 1}, freshnessSlaSeconds=5, entities=["rule"])
    changed = office.patch(made, name="another")
    kept = {name: value for name, value in changed.items() if not name.startswith("updated")}
    assert kept == {**{name: made[name] for name in kept}, "name": "another"}
    assert changed["updatedAt"] > made["updatedAt"]
    assert office.patch(made)["name"] == "another"


def test_null_clears(office: Office):
    made = office.create(
        slug="special",
        status="paused",
        sourceConfig={"a": 1},
        destinationConfig={"b": 1},
        executionConfig={"c": 1},
        entities=["rule"],
        executionBackend="external",
        executionMode="fan_out_entity",
        triggerMode="on_create",
        schedule={"everySeconds": 5},
        freshnessSlaSeconds=5,
        tableBindings=[{"entityKey": "rule", "logicalTableName": "x"}],
    )
    plain = office.create(slug="plain")
    names = (
        "slug", "status", *CONFIGS, "entities", "executionBackend", "executionMode",
        "triggerMode", "schedule", "freshnessSlaSeconds", "tableBindings",
    )  # fmt: skip
    cleared = office.patch(made, **dict.fromkeys(names))
    for name in names[1:-1]:
        assert cleared[name] == plain[name], name
    assert cleared["slug"] == "daily-rules"
    assert _tables(cleared)["rule"]["logicalTableName"] == "rule"
    assert office.get(made) == cleared


def test_what_cannot_be_changed_is_refused(office: Office):
    made = office.create()
    for value in (str(office.world.connection_id), str(uuid4()), None):
        found = office.refused(422, "PATCH", f"/{made['id']}", json={"connectionId": value})
        assert [loc for loc, _ in found] == [["body", "connectionId"]]
    found = office.refused(422, "PATCH", f"/{made['id']}", json={"name": None})
    assert [loc for loc, _ in found] == [["body", "name"]]
    found = office.refused(422, "PATCH", f"/{made['id']}", json={"executionBackend": "prefect"})
    assert [loc for loc, _ in found] == [["body", "executionBackend"]]
    taken = office.create(slug="taken")
    office.refused(409, "PATCH", f"/{made['id']}", json={"slug": taken["slug"]})
    assert office.get(made) == made


def test_a_deleted_sync_is_gone_and_its_runs_stay(office: Office):
    made = office.create()
    run = office.done(made)
    answer = office.send("DELETE", f"/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/trigger")):
        body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
        found = office.refused(404, method, f"/{made['id']}{path}", json=body)
        assert found == [([], "no such sync")]
    office.refused(404, "GET", f"/{made['id']}/runs")
    assert office.run(run)["syncId"] == made["id"]
    assert office.names() == []


def test_deleting_a_sync_cancels_its_runs(office: Office):
    made = office.create(executionBackend="external")
    waiting = office.trigger(made)
    office.send("DELETE", f"/{made['id']}")
    ended = office.run(waiting)
    assert (ended["status"], ended["cancelReason"]) == ("cancelled", "its sync was deleted")


def test_changes_at_once_both_stand(office: Office, monkeypatch: pytest.MonkeyPatch):
    made = office.create()
    checked = Syncs._checked
    others = [{"name": "theirs"}]

    def meanwhile(*arguments: Any) -> Any:
        if others:
            office.patch(made, **others.pop())
        return checked(*arguments)

    monkeypatch.setattr(Syncs, "_checked", meanwhile)
    changed = office.patch(made, freshnessSlaSeconds=5)
    assert (changed["name"], changed["freshnessSlaSeconds"]) == ("theirs", 5)


def test_a_connection_that_a_sync_names_is_not_deleted(office: Office):
    world = office.world
    idle = world.connect(f"{world.server.url}/elsewhere.git")
    office.key = office.desk.key(Role.WRITER)
    made = office.create(connectionId=str(idle))
    connections = office.desk.services.connections
    with pytest.raises(ConnectionInUse), world.database.writing() as session:
        connections(session).delete(idle)
    office.send("DELETE", f"/{made['id']}")
    with world.database.writing() as session:
        connections(session).delete(idle)
