"""Syncs are created, found, changed and deleted; what does not fit is refused, all at once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.server.dialects.desk import bearer
from tests.server.dialects.syncs.office import Office
from towline.kinds import Kind, Kinds
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding, Provider
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


@pytest.mark.parametrize("name", ["", "x" * 256, None, 7])
def test_a_name_has_1_to_255_characters(office: Office, name: object):
    assert office.refused_fields(name=name) == [["body", "name"]]
    office.create(name="x" * 255)


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


@pytest.mark.parametrize("value", [{"a": "\x00"}, {"\x00": 1}, {"a": 10**30}, [1], "x"])
@pytest.mark.parametrize("config", CONFIGS)
def test_what_no_database_can_hold_is_refused(office: Office, config: str, value: object):
    assert office.refused_fields(**{config: value}) == [["body", config]]


@pytest.mark.parametrize("text", [r'{"a": "\ud800"}', '{"a": NaN}', '{"a":' * 40 + "1" + "}" * 40])
def test_what_is_hardly_json_is_refused(office: Office, text: str):
    body = (
        f'{{"connectionId": "{office.world.connection_id}", "name": "n", "sourceConfig": {text}}}'
    )
    headers = {"Content-Type": "application/json"}
    office.refused(422, "POST", content=body.encode(), headers=headers)


# --- which project ----------------------------------------------------------------------------


def test_the_only_project_of_a_connection_need_not_be_named(office: Office):
    assert office.create(status="active")["status"] == "active"


def test_a_sync_whose_project_does_not_show_is_a_draft(office: Office):
    other = office.world.project(ref="heads/other")
    made = office.create(status="active")
    assert (made["status"], made["tableBindings"]) == ("draft", [])
    [(loc, msg)] = office.refused(422, "POST", f"/{made['id']}/trigger", json={})
    assert (loc, "destinationConfig.project" in msg) == (["path", "sync_id"], True)
    named = office.patch(
        made, status="active", destinationConfig={"project": str(office.project.id)}
    )
    assert named["status"] == "active"
    office.trigger(named)
    path = {"project": f"/{other.path}"}
    office.refused(404, "PATCH", f"/{made['id']}", json={"destinationConfig": path})


def test_a_project_that_is_not_there_or_not_fit_is_refused(office: Office):
    for named in ("/x/y/z", "none", str(uuid4())):
        body = office.body(destinationConfig={"project": named})
        assert office.refused(404, "POST", json=body) == [([], "no such project")]
    where = [["body", "destinationConfig", "project"]]
    assert office.refused_fields(destinationConfig={"project": 7}) == where


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


@pytest.mark.parametrize("backend", ["temporal", "prefect"])
def test_a_backend_that_is_not_configured_is_refused_and_the_others_named(
    office: Office, backend: str
):
    [(loc, msg)] = office.refused(422, "POST", json=office.body(executionBackend=backend))
    assert loc == ["body", "executionBackend"]
    assert "external or native" in msg


@pytest.mark.parametrize(
    ("schedule", "where"),
    [
        ({}, ["schedule"]),
        ({"cron": "61 * * * *"}, ["schedule", "cron"]),
        ({"cron": 5}, ["schedule", "cron"]),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, ["schedule", "timezone"]),
        ({"everySeconds": 0}, ["schedule", "everySeconds"]),
        ({"everySeconds": True}, ["schedule", "everySeconds"]),
        ({"everySeconds": 2**31}, ["schedule", "everySeconds"]),
        ("daily", ["schedule"]),
    ],
)
def test_a_malformed_schedule_is_refused(office: Office, schedule: object, where: list[str]):
    assert office.refused_fields(schedule=schedule) == [["body", *where]]


def test_an_active_sync_that_is_scheduled_needs_a_schedule(office: Office):
    assert office.refused_fields(status="active", triggerMode="scheduled") == [["body", "schedule"]]
    office.create(status="draft", triggerMode="scheduled")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "on"),
        ("executionMode", "parallel"),
        ("executionBackend", "cron"),
        ("triggerMode", "never"),
        ("freshnessSlaSeconds", -1),
        ("freshnessSlaSeconds", 2**31),
        ("entities", "rule"),
    ],
)
def test_a_value_out_of_its_range_is_refused(office: Office, field: str, value: object):
    assert office.refused_fields(**{field: value}) == [["body", field]]


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


# --- list -------------------------------------------------------------------------------------


def test_a_list_comes_in_pages_newest_first(office: Office):
    for number in range(3):
        office.create(name=f"sync {number}")
    page = office.page(limit=2)
    assert [sync["name"] for sync in page["syncs"]] == ["sync 2", "sync 1"]
    assert (page["hasNext"], page["total"], page["limit"], page["offset"]) == (True, 3, 2, 0)
    last = office.page(limit=2, offset=2)
    assert [sync["name"] for sync in last["syncs"]] == ["sync 0"]
    assert (last["hasNext"], last["total"], last["offset"]) == (False, 3, 2)
    assert office.page()["limit"] == 50


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "x"}])
def test_a_page_has_1_to_100(office: Office, query: dict[str, Any]):
    [(loc, _)] = office.refused(422, "GET", params=query)
    assert loc == ["query", next(iter(query))]


def test_a_list_can_be_searched(office: Office):
    office.create(name="Billing RULES", slug="one")
    office.create(name="tasks 100%", slug="billing_tasks")
    assert office.names(q="rules") == ["Billing RULES"]
    assert office.names(q="BILLING") == ["tasks 100%", "Billing RULES"]
    assert office.names(q="100%") == ["tasks 100%"]
    assert office.names(q="1%0") == []
    assert office.names(q="g_t") == ["tasks 100%"]
    assert office.names(q="s_1") == []
    assert [loc for loc, _ in office.refused(422, "GET", params={"q": "\x00"})] == [["query", "q"]]


def test_a_list_can_be_filtered(office: Office):
    for status in ("draft", "active", "paused", "archived"):
        office.create(name=status, status=status)
    assert office.names(status="active") == ["active"]
    assert office.names(status=["draft", "paused"]) == ["paused", "draft"]
    assert len(office.names(provider=["git", "github"])) == 4
    assert office.names(provider="github") == []
    assert office.names(provider="shopify") == [], "what the seed may ask for is no error"
    for name in ("status", "provider"):
        [(loc, _)] = office.refused(422, "GET", params={name: "none"})
        assert loc == ["query", name, 0]


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


# --- catalog ----------------------------------------------------------------------------------


def test_a_catalog_tells_what_kinds_there_are(office: Office):
    office.done(office.create())
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    assert (found["provider"], found["name"], found["displayName"]) == ("git", "git", "Git")
    assert found["availableResources"] == ["file", "rule", "task"]
    assert found["availableResources"] == found["defaultResources"]
    assert found["dynamicResources"] is True
    assert {each["storageKind"] for each in found["resources"]} == {"sqlite"}
    assert {each["sizeClass"] for each in found["resources"]} == {"xs"}
    assert found["defaults"]["executionMode"] == "sequential"


def test_a_catalog_counts_assets(office: Office):
    office.world.commit(**{f"rules__{number}": b"1" for number in range(11)})
    office.done(office.create())
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    sizes = {each["entityKey"]: each["sizeClass"] for each in found["resources"]}
    assert sizes == {"file": "xs", "rule": "s", "task": "xs"}


@pytest.mark.parametrize("provider", list(Provider))
def test_every_git_host_has_a_catalog(office: Office, provider: Provider):
    found = office.ask("catalog", "GET", f"/providers/{provider}/catalog")
    assert found["provider"] == provider
    properties = found["configSchema"]["properties"]
    assert {"url", "credential"} <= set(properties)
    signs = provider not in (Provider.GIT, Provider.AZURE_DEVOPS)
    assert ("webhook" in properties) is signs
    assert (found["resources"] == []) is (provider is not Provider.GIT)


@pytest.mark.parametrize("provider", ["shopify", "s3", "bullhorn", "postgres"])
def test_the_seed_s_own_providers_are_not_pulled_from(office: Office, provider: str):
    assert office.refused(404, "GET", f"/providers/{provider}/catalog") == [
        ([], "no such provider")
    ]


def test_any_other_provider_is_refused(office: Office):
    [(loc, _)] = office.refused(422, "GET", "/providers/none/catalog")
    assert loc == ["path", "provider"]


# --- who --------------------------------------------------------------------------------------


def test_a_catalog_tells_of_no_one_else_s_kinds(office: Office):
    secret = Kinds((Kind(name="secret", globs=("**",)),))
    office.world.project(ref="heads/other", kinds=secret)
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    assert "secret" not in found["availableResources"]
    nobody = office.as_key(office.desk.key())
    assert nobody.ask("catalog", "GET", "/providers/git/catalog")["resources"] == []


def test_credentials_are_taken_in_three_forms(office: Office):
    client = office.desk.client
    for headers in (bearer(office.key), {"X-API-Key": office.key}):
        assert client.get("/api/v1/syncs", headers=headers).status_code == 200
    cookie = {"Cookie": f"vai_token={office.key}"}
    assert client.get("/api/v1/syncs", headers=cookie).status_code == 200
    for headers in ({}, {"X-API-Key": "tw_wrong"}, {"Authorization": f"Basic {office.key}"}):
        office.key = ""
        answer = client.get("/api/v1/syncs", headers=headers)
        assert answer.status_code == 401
        assert set(answer.json()) == {"detail"}


def test_an_unknown_path_is_told_in_the_same_envelope(office: Office):
    office.refused(404, "GET", "/one/two/three")
    office.refused(405, "PUT", f"/{uuid4()}")
    [(loc, _)] = office.refused(422, "GET", "/no-id")
    assert loc == ["path", "sync_id"]


def test_a_reader_sees_and_a_writer_does(office: Office):
    made = office.create()
    reader = office.as_key(office.desk.key(Role.READER, office.project))
    assert reader.get(made) == made
    assert reader.names() == [made["name"]]
    run = office.trigger(made)
    assert reader.run(run)["id"] == run["id"]
    path = f"/{made['id']}"
    for method, where, body in (
        ("POST", "", office.body()),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/trigger", {}),
        ("POST", f"/runs/{run['id']}/cancel", {}),
        ("POST", f"/runs/{run['id']}/retry", {}),
    ):
        reader.refused(403, method, where, json=body)
    assert office.get(made) == made


def test_what_is_someone_else_s_is_not_there(office: Office, git_server: GitServer):
    made = office.create()
    run = office.trigger(made)
    elsewhere = office.desk.key(Role.WRITER, office.world.project(ref="heads/other"))
    for key in (office.desk.key(), elsewhere):
        stranger = office.as_key(key)
        assert stranger.names() == []
        for what, path in (("sync", f"/{made['id']}"), ("run", f"/runs/{run['id']}")):
            assert stranger.refused(404, "GET", path) == [([], f"no such {what}")]
            missing = path.replace(path.rsplit("/", 1)[1], str(uuid4()))
            assert stranger.refused(404, "GET", missing) == [([], f"no such {what}")]
    nobody = office.as_key(office.desk.key())
    for connection in (office.world.connection_id, uuid4()):
        body = office.body(connectionId=str(connection))
        assert nobody.refused(404, "POST", json=body) == [([], "no such connection")]


def test_a_draft_without_a_project_is_its_maker_s_and_the_tenant_s(office: Office):
    office.world.project(ref="heads/other")
    made = office.create()
    assert office.names() == [made["name"]]
    whole = office.as_key(office.desk.key(Role.READER))
    assert whole.get(made) == made
    assert whole.names() == [made["name"]]
    whole.refused(403, "PATCH", f"/{made['id']}", json={"name": "x"})
    beside = office.as_key(office.desk.key(Role.ADMIN, office.project))
    beside.refused(404, "GET", f"/{made['id']}")
    assert beside.names() == []
    assert office.patch(made, name="mine")["name"] == "mine"


def test_the_same_key_creates_once(office: Office):
    headers = {"Idempotency-Key": "one"}
    first = office.ask("sync", "POST", status=201, json=office.body(), headers=headers)
    again = office.ask("sync", "POST", status=201, json=office.body(), headers=headers)
    assert first == again
    assert len(office.names()) == 1
    found = office.refused(422, "POST", json=office.body(), headers={"Idempotency-Key": "x" * 300})
    assert [loc for loc, _ in found] == [["header", "Idempotency-Key"]]
