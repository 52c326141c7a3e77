"""Syncs are created, found, changed and deleted; what does not fit is refused, all at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.dialects.syncs.client import SyncsClient
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.service import Syncs
from towline_server.errors import ConnectionInUse
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects

CONFIGS = ("sourceConfig", "destinationConfig", "executionConfig")


# --- create and get ---------------------------------------------------------------------------


def test_a_sync_needs_no_more_than_a_connection_and_a_name(syncs: SyncsClient):
    made = syncs.create()
    assert made == syncs.get(made)
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
    assert made["connectionId"] == str(syncs.tenant.connection_id)
    assert (made["lastError"], made["lastSuccessAt"], made["isLate"]) == (None, None, False)
    assert made["createdBy"] == made["updatedBy"]


def test_everything_that_is_set_comes_back(syncs: SyncsClient):
    body = {
        "name": "Ω name",
        "slug": "nightly",
        "status": "paused",
        "sourceConfig": {"ref": "main", "path": "/", "note": [1, 2.5, None, {"x": True}]},
        "destinationConfig": {"project": f"/{syncs.project.path}", "table": "t"},
        "executionConfig": {"on_conflict": "skip", "workers": 4},
        "entities": ["rule", "task"],
        "executionBackend": "external",
        "executionMode": "fan_out_entity",
        "triggerMode": "scheduled",
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Zurich", "comment": "at night"},
        "freshnessSlaSeconds": 3600,
    }
    made = syncs.create(**body)
    assert {name: made[name] for name in body} == body


def test_a_name_has_1_to_255_characters(syncs: SyncsClient):
    for name in ("", "x" * 256, None, 7):
        assert syncs.refused_fields(name=name) == [["body", "name"]]
    syncs.create(name="x" * 255)


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


def test_null_is_accepted_where_the_page_has_it(syncs: SyncsClient):
    made = syncs.create(**dict.fromkeys(NULLABLE))
    assert (made["freshnessSlaSeconds"], made["schedule"]) == (None, None)
    assert made["slug"] == "daily-rules"
    for field in NEVER_NULL:
        assert syncs.refused_fields(**{field: None}) == [["body", field]]


def test_a_missing_field_is_refused(syncs: SyncsClient):
    assert syncs.refused(422, "POST", json={}) == [
        (["body", "connectionId"], "Field required"),
        (["body", "name"], "Field required"),
    ]


def test_a_slug_is_unique_within_a_tenant(syncs: SyncsClient):
    assert [syncs.create()["slug"] for _ in range(3)] == [
        "daily-rules",
        "daily-rules-2",
        "daily-rules-3",
    ]
    assert syncs.create(name="***")["slug"] == "sync"
    [(_, msg)] = syncs.refused(409, "POST", json=syncs.body(slug="daily-rules"))
    assert msg == "this sync already exists"
    assert syncs.refused_fields(slug="Not a slug") == [["body", "slug"]]


def test_what_no_database_can_hold_is_refused(syncs: SyncsClient):
    for config in CONFIGS:
        for value in ({"a": "\x00"}, {"\x00": 1}, {"a": 10**30}, [1], "x"):
            assert syncs.refused_fields(**{config: value}) == [["body", config]]
    deepest = '{"a":' * 40 + "1" + "}" * 40
    for text in (r'{"a": "\ud800"}', '{"a": NaN}', '{"a": 1e30}', deepest):
        connection = syncs.tenant.connection_id
        body = f'{{"connectionId": "{connection}", "name": "n", "sourceConfig": {text}}}'
        headers = {"Content-Type": "application/json"}
        syncs.refused(422, "POST", content=body.encode(), headers=headers)


# --- which project ----------------------------------------------------------------------------


def test_the_only_project_of_a_connection_need_not_be_named(syncs: SyncsClient):
    assert syncs.create(status="active")["status"] == "active"


def test_a_sync_whose_project_does_not_show_can_only_be_a_draft(syncs: SyncsClient):
    other = syncs.tenant.project(ref="heads/other")
    made = syncs.create()
    assert (made["status"], made["tableBindings"]) == ("draft", [])
    where = ["body", "destinationConfig", "project"]
    for status in ("active", "paused", "error", "archived"):
        assert syncs.refused_fields(status=status) == [where]
        [(loc, _)] = syncs.refused(422, "PATCH", f"/{made['id']}", json={"status": status})
        assert loc == where
    [(loc, msg)] = syncs.refused(422, "POST", f"/{made['id']}/trigger", json={})
    assert (loc, "destinationConfig.project" in msg) == (["path", "sync_id"], True)
    named = syncs.patch(made, status="active", destinationConfig={"project": str(syncs.project.id)})
    assert named["status"] == "active"
    syncs.trigger(named)
    path = {"project": f"/{other.path}"}
    body = {"destinationConfig": path}
    assert syncs.refused(422, "PATCH", f"/{made['id']}", json=body)[0][0] == where


def test_a_project_that_is_settled_stays_whatever_else_is_bound(syncs: SyncsClient):
    made = syncs.create(status="active")
    other = syncs.tenant.project(ref="heads/other")
    assert syncs.patch(made, name="another")["status"] == "active"
    syncs.trigger(made)
    syncs.key = syncs.api.key(Role.WRITER)
    syncs.patch(made, destinationConfig={"project": f"/{other.path}"})
    run = syncs.trigger(made)
    assert syncs.runner.runs.get(UUID(run["id"])).project_id == other.id
    syncs.refused(422, "PATCH", f"/{made['id']}", json={"destinationConfig": None})
    assert syncs.patch(made, destinationConfig=None, status="draft")["status"] == "draft"


def test_a_project_that_is_not_there_or_not_fit_is_refused(syncs: SyncsClient):
    where = ["body", "destinationConfig", "project"]
    for named in ("/x/y/z", "none", str(uuid4())):
        body = syncs.body(destinationConfig={"project": named})
        assert syncs.refused(422, "POST", json=body) == [(where, "no such project")]
    assert syncs.refused_fields(destinationConfig={"project": 7}) == [where]


def test_a_connection_ref_or_path_that_is_not_the_project_s_is_refused(syncs: SyncsClient):
    tenant = syncs.tenant
    elsewhere = tenant.connect(f"{tenant.server.url}/elsewhere.git")
    syncs.key = syncs.api.key(Role.WRITER)
    project = {"project": f"/{syncs.project.path}"}
    body = syncs.body(connectionId=str(elsewhere), destinationConfig=project)
    assert [loc for loc, _ in syncs.refused(422, "POST", json=body)] == [["body", "connectionId"]]
    for name, wrong in (("ref", "tags/main"), ("ref", ".."), ("path", "folder"), ("ref", 1)):
        where = [["body", "sourceConfig", name]]
        assert syncs.refused_fields(sourceConfig={name: wrong}) == where
    for right in ({"ref": "heads/main"}, {"ref": "refs/heads/main"}, {"path": "/"}, {"ref": None}):
        syncs.create(sourceConfig=right)


def test_a_project_that_was_bound_again_is_not_pulled_by_old_syncs(syncs: SyncsClient):
    made = syncs.create(sourceConfig={"ref": "main"}, destinationConfig={
        "project": str(syncs.project.id)
    })  # fmt: skip
    binding = Binding(connection_id=syncs.tenant.connection_id, ref="heads/other")
    with syncs.tenant.database.writing() as session:
        Projects(session).bind(syncs.project.id, binding)
    where = syncs.refused(422, "POST", f"/{made['id']}/trigger", json={})
    assert [loc for loc, _ in where] == [["body", "sourceConfig", "ref"]]


# --- what is refused --------------------------------------------------------------------------


def test_all_problems_are_in_one_answer(syncs: SyncsClient):
    found = syncs.refused_fields(
        executionBackend="prefect",
        executionConfig={"on_conflict": "shrug", "window": {"commits": 0}},
        entities=["rule", "none"],
        schedule={"cron": "0 3 * * *", "everySeconds": 5},
    )
    assert found == [
        ["body", "executionBackend"],
        ["body", "executionConfig", "on_conflict"],
        ["body", "executionConfig", "window", "commits"],
        ["body", "schedule"],
        ["body", "entities", 1],
    ]


def test_a_backend_that_is_not_configured_is_refused_and_the_others_named(syncs: SyncsClient):
    for backend in ("temporal", "prefect"):
        [(loc, msg)] = syncs.refused(422, "POST", json=syncs.body(executionBackend=backend))
        assert loc == ["body", "executionBackend"]
        assert "external or native" in msg


@pytest.mark.parametrize(
    ("window", "where"),
    [
        ([], []),
        ("day", []),
        (5, []),
        ({}, []),
        ({"commits": 1, "seconds": 1}, []),
        ({"days": 1}, []),
        ({"commits": 0}, ["commits"]),
        ({"commits": True}, ["commits"]),
        ({"commits": None}, ["commits"]),
        ({"seconds": 1.5}, ["seconds"]),
        ({"seconds": 2**31}, ["seconds"]),
    ],
)
def test_a_malformed_window_is_refused_where_it_is_wrong(
    window: object, where: list[str], syncs: SyncsClient
):
    found = syncs.refused_fields(executionConfig={"window": window})
    assert found == [["body", "executionConfig", "window", *where]]
    made = syncs.create(executionMode="fan_out_window", executionConfig={"window": None})
    for good in ({"commits": 2}, {"seconds": 60.0}):
        syncs.patch(made, executionConfig={"window": good})


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


def test_a_malformed_schedule_is_refused(syncs: SyncsClient):
    for schedule, where in SCHEDULES:
        assert syncs.refused_fields(schedule=schedule) == [["body", *where]], schedule


def test_a_scheduled_sync_needs_a_schedule(syncs: SyncsClient):
    for status in ("draft", "active"):
        found = syncs.refused_fields(status=status, triggerMode="scheduled")
        assert found == [["body", "schedule"]]


def test_an_unknown_connection_is_refused(syncs: SyncsClient):
    body = syncs.body(connectionId=str(uuid4()))
    where = ["body", "connectionId"]
    assert syncs.refused(422, "POST", json=body) == [(where, "no such connection")]


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


def test_a_value_out_of_its_range_is_refused(syncs: SyncsClient):
    for field, value in OUT_OF_RANGE:
        assert syncs.refused_fields(**{field: value}) == [["body", field]], value


# --- tables -----------------------------------------------------------------------------------


def _tables(sync: Any) -> dict[str, Any]:
    return {table["entityKey"]: table for table in sync["tableBindings"]}


def test_each_kind_that_is_pulled_has_a_table(syncs: SyncsClient):
    assert list(_tables(syncs.create())) == ["rule", "task", "file"]
    made = syncs.create(
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


def test_missing_fields_of_a_table_are_filled_in(syncs: SyncsClient):
    made = syncs.create(tableBindings=[{"entityKey": "rule", "primaryKeyColumns": ["a", "b"]}])
    rule, task = (_tables(made)[kind] for kind in ("rule", "task"))
    assert (rule["primaryKeyColumns"], task["primaryKeyColumns"]) == (["a", "b"], ["asset_id"])
    assert rule["sourceInstanceKey"] == task["sourceInstanceKey"] == made["connectionId"]
    assert _tables(syncs.patch(made, freshnessSlaSeconds=5)) == _tables(made)


def test_a_kind_that_is_named_twice_is_pulled_once(syncs: SyncsClient):
    assert syncs.create(entities=["task", "rule", "task"])["entities"] == ["task", "rule"]


def test_a_sync_has_its_creator_and_its_last_editor(syncs: SyncsClient):
    made = syncs.create()
    other = syncs.api.key(Role.WRITER, syncs.project)
    changed = syncs.as_key(other).patch(made, name="another")
    owners = [str(syncs.api.owner_of(key)) for key in (syncs.key, other)]
    assert [changed["createdBy"], changed["updatedBy"]] == owners


def test_a_table_that_is_named_again_keeps_its_time(syncs: SyncsClient):
    table = {"entityKey": "task", "cursorField": "at", "primaryKeyColumns": ["a", "b"]}
    made = syncs.create(tableBindings=[table])
    same = syncs.patch(made, tableBindings=[{"entityKey": "rule"}, table])
    assert _tables(same)["task"] == _tables(made)["task"]
    cleared = syncs.patch(made, tableBindings=None)
    assert _tables(cleared)["task"]["cursorField"] is None
    assert _tables(cleared)["task"]["id"] == _tables(made)["task"]["id"]


def test_tables_that_do_not_fit_are_refused(syncs: SyncsClient):
    rule = {"entityKey": "rule"}
    where = ["body", "tableBindings"]
    assert syncs.refused_fields(tableBindings=[rule, rule]) == [[*where, 1, "entityKey"]]
    assert syncs.refused_fields(tableBindings=[{"entityKey": "none"}]) == [[*where, 0, "entityKey"]]
    assert syncs.refused_fields(tableBindings=[rule], entities=["task"]) == [
        [*where, 0, "entityKey"]
    ]
    untrue = {"physicalTableName": "x", "cursorField": "at", "primaryKeyColumns": ["at"]}
    assert syncs.refused_fields(tableBindings=[{**rule, "loadMode": "append_event", **untrue}]) == [
        [*where, 0, name] for name in untrue
    ]


# --- change and delete ------------------------------------------------------------------------


def test_a_change_leaves_the_rest_alone(syncs: SyncsClient):
    made = syncs.create(slug="s", sourceConfig={"a": 1}, freshnessSlaSeconds=5, entities=["rule"])
    changed = syncs.patch(made, name="another")
    unchanged = {name: value for name, value in changed.items() if not name.startswith("updated")}
    assert unchanged == {**{name: made[name] for name in unchanged}, "name": "another"}
    assert changed["updatedAt"] > made["updatedAt"]
    assert syncs.patch(made)["name"] == "another"


def test_null_clears(syncs: SyncsClient):
    made = syncs.create(
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
    plain = syncs.create(slug="plain")
    names = (
        "slug", "status", *CONFIGS, "entities", "executionBackend", "executionMode",
        "triggerMode", "schedule", "freshnessSlaSeconds", "tableBindings",
    )  # fmt: skip
    cleared = syncs.patch(made, **dict.fromkeys(names))
    for name in names[1:-1]:
        assert cleared[name] == plain[name], name
    assert cleared["slug"] == "daily-rules"
    assert _tables(cleared)["rule"]["logicalTableName"] == "rule"
    assert syncs.get(made) == cleared


def test_what_cannot_be_changed_is_refused(syncs: SyncsClient):
    made = syncs.create()
    for value in (str(syncs.tenant.connection_id), str(uuid4()), None):
        found = syncs.refused(422, "PATCH", f"/{made['id']}", json={"connectionId": value})
        assert [loc for loc, _ in found] == [["body", "connectionId"]]
    found = syncs.refused(422, "PATCH", f"/{made['id']}", json={"name": None})
    assert [loc for loc, _ in found] == [["body", "name"]]
    found = syncs.refused(422, "PATCH", f"/{made['id']}", json={"executionBackend": "prefect"})
    assert [loc for loc, _ in found] == [["body", "executionBackend"]]
    taken = syncs.create(slug="taken")
    syncs.refused(409, "PATCH", f"/{made['id']}", json={"slug": taken["slug"]})
    assert syncs.get(made) == made


def test_a_deleted_sync_is_gone_and_its_runs_stay(syncs: SyncsClient):
    made = syncs.create()
    run = syncs.done(made)
    answer = syncs.send("DELETE", f"/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/trigger")):
        body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
        found = syncs.refused(404, method, f"/{made['id']}{path}", json=body)
        assert found == [([], "no such sync")]
    syncs.refused(404, "GET", f"/{made['id']}/runs")
    assert syncs.run(run)["syncId"] == made["id"]
    assert syncs.names() == []


def test_deleting_a_sync_cancels_its_runs(syncs: SyncsClient):
    made = syncs.create(executionBackend="external")
    waiting = syncs.trigger(made)
    syncs.send("DELETE", f"/{made['id']}")
    ended = syncs.run(waiting)
    assert (ended["status"], ended["cancelReason"]) == ("cancelled", "its sync was deleted")


def test_two_changes_at_once_are_both_applied(syncs: SyncsClient, monkeypatch: pytest.MonkeyPatch):
    made = syncs.create()
    checked = Syncs._checked
    others = [{"name": "theirs"}]

    def meanwhile(*arguments: Any) -> Any:
        if others:
            syncs.patch(made, **others.pop())
        return checked(*arguments)

    monkeypatch.setattr(Syncs, "_checked", meanwhile)
    changed = syncs.patch(made, freshnessSlaSeconds=5)
    assert (changed["name"], changed["freshnessSlaSeconds"]) == ("theirs", 5)


def test_a_connection_that_a_sync_names_is_not_deleted(syncs: SyncsClient):
    tenant = syncs.tenant
    idle = tenant.connect(f"{tenant.server.url}/elsewhere.git")
    syncs.key = syncs.api.key(Role.WRITER)
    made = syncs.create(connectionId=str(idle))
    connections = syncs.api.services.connections
    with pytest.raises(ConnectionInUse), tenant.database.writing() as session:
        connections(session).delete(idle)
    syncs.send("DELETE", f"/{made['id']}")
    with tenant.database.writing() as session:
        connections(session).delete(idle)
