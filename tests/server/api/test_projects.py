"""Projects and connections through the native API."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.api.client import V1, ApiClient, code_of
from towline.presets import load_preset
from towline_server.auth.roles import Role
from towline_server.dialects import DIALECTS

ADMIN = Role.ADMIN
URL = "https://git.example/x.git"


def test_the_application_has_it():
    assert [dialect.tag for dialect in DIALECTS].count("native") == 1


def test_a_project_is_made_changed_and_deleted(api: ApiClient):
    key, org = api.tenant_keys[ADMIN], api.tenant.tenant_id.hex
    body = {
        "path": f"{org}/space/new",
        "kinds": [
            {
                "name": "rule",
                "globs": ["rules/**"],
                "id_pointer": "/id",
                "data_type": "bills",
                "merge": "structure",
                "identity": {"/steps": "name"},
                "unordered": ["/tags"],
                "fields": {"/version": "larger"},
            }
        ],
        "binding": {"connection_id": str(api.tenant.connection_id)},
    }
    made = api.ask("POST", f"{V1}/projects", key=key, json=body)
    assert made.status_code == 201
    url = made.headers["location"]
    project = api.get(url, key=key)
    assert project == made.json()
    assert project["binding"]["ref"] == "heads/main"
    assert project["kinds"] == body["kinds"]
    settings = {"on_conflict": "skip", "content_merge": "lines", "renames": "exact"}
    change = {"hidden": True, "binding": None, **settings}
    changed = api.ask("PATCH", url, key=key, json=change).json()
    assert changed == {**project, **change}
    one = api.ask("PATCH", url, key=key, json={"content_merge": "never"}).json()
    assert one == {**changed, "content_merge": "never"}
    assert api.ask("PATCH", url, key=key, json={"content_merge": "lines"}).json() == changed
    assert api.get(f"{V1}/projects?path={project['path']}", key=key)["items"] == [changed]
    assert api.ask("DELETE", url, key=key).status_code == 204
    assert code_of(api.ask("GET", url, key=key)) == (404, "not_found")


def test_what_is_left_out_of_a_change_stays(api: ApiClient):
    before = api.get(api.url)
    assert api.ask("PATCH", api.url, json={}).json() == before
    given = [{"name": "file", "globs": ["**"]}]
    kinds = [dict.fromkeys(before["kinds"][0]) | each for each in given]
    kinds[0] |= {"identity": {}, "unordered": [], "fields": {}}
    assert api.ask("PATCH", api.url, json={"kinds": given}).json() == {**before, "kinds": kinds}
    bound = {**before["binding"], "ref": "heads/next"}
    after = api.ask("PATCH", api.url, json={"binding": bound}).json()
    assert after == {**before, "kinds": kinds, "binding": bound}


@pytest.mark.parametrize("hidden", [None, False])
def test_a_preset_is_short_for_its_kinds(api: ApiClient, hidden: bool | None):
    body = {"kinds": "preset:fabric", **({} if hidden is None else {"hidden": hidden})}
    changed = api.ask("PATCH", api.url, json=body).json()
    kinds = load_preset("fabric")
    assert changed["hidden"] is (kinds.hidden if hidden is None else hidden)
    assert [each["name"] for each in changed["kinds"]] == [each.name for each in kinds.kinds]
    shown = {"kinds": changed["kinds"], "hidden": changed["hidden"]}
    assert api.ask("PATCH", api.url, json=shown).json() == changed


@pytest.mark.parametrize(
    ("kinds", "field"),
    [
        ("preset:none", ["kinds"]),
        ([{"name": "a", "globs": ["*"], "merge": "git"}], ["kinds", 0, "merge"]),
        ([{"name": "a", "globs": ["*"], "fields": {"/x": "mine"}}], ["kinds", 0, "fields", "/x"]),
    ],
)
def test_a_kind_that_makes_no_sense_names_the_field(api: ApiClient, kinds: Any, field: list[Any]):
    answer = api.ask("PATCH", api.url, json={"kinds": kinds})
    assert code_of(answer) == (422, "invalid_request")
    assert [each["loc"] for each in answer.json()["errors"]] == [["body", *field]]


def test_the_list_shows_what_the_caller_sees(api: ApiClient):
    hidden = api.tenant.project()
    mine = api.get(f"{V1}/projects", key=api.keys[Role.READER])
    assert ([each["id"] for each in mine["items"]], mine["total"]) == ([str(api.project.id)], 1)
    assert api.get(f"{V1}/projects", key=api.keys[None])["items"] == []
    path = f"{V1}/projects?path={hidden.path}"
    assert api.get(path, key=api.keys[Role.READER])["items"] == []
    every = api.get(f"{V1}/projects?limit=1", key=api.tenant_keys[Role.READER])
    assert (every["total"], every["has_next"], len(every["items"])) == (2, True, 1)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"path": "elsewhere/space/x"}, (400, "invalid_value")),
        ({"path": "x"}, (400, "invalid_value")),
        ({"path": "{org}/space/x\x00"}, (422, "invalid_request")),
        ({"path": "{org}/space/x", "kind": []}, (422, "invalid_request")),
        ({"path": "{org}/space/x", "content_merge": "git"}, (422, "invalid_request")),
        ({"path": "{org}/space/x", "kinds": [{"name": "a", "globs": ["[z-a]"]}]}, (400, None)),
        (
            {"path": "{org}/space/x", "binding": {"connection_id": str(UUID(int=1))}},
            (404, "not_found"),
        ),
    ],
)
def test_a_bad_project_is_refused(api: ApiClient, body: dict[str, object], refusal):
    body["path"] = str(body["path"]).replace("{org}", api.tenant.tenant_id.hex)
    key = api.tenant_keys[ADMIN]
    status, code = code_of(api.ask("POST", f"{V1}/projects", key=key, json=body))
    assert (status, refusal[1] and code) == refusal
    assert api.get(f"{V1}/projects", key=key)["total"] == 1


@pytest.mark.parametrize(
    ("globs", "status"),
    [
        ([f"{number}" for number in range(500)], 201),
        ([f"{number}" for number in range(501)], 400),
        (["x" * 1000] * 10, 201),
        (["x" * 1000] * 10 + ["x"], 400),
    ],
    ids=["most", "too many", "longest", "too long"],
)
def test_globs_are_bounded_in_all(api: ApiClient, globs: list[str], status: int):
    kinds = [
        {"name": f"kind {start}", "globs": globs[start : start + 100]}
        for start in range(0, len(globs), 100)
    ]
    body = {"path": f"{api.tenant.tenant_id.hex}/space/x", "kinds": kinds}
    made = api.ask("POST", f"{V1}/projects", key=api.tenant_keys[ADMIN], json=body)
    assert made.status_code == status
    pull = {"only": {"globs": globs[:501]}}
    asked = api.ask("POST", f"{api.url}/runs", json=pull)
    assert (asked.status_code < 300) is (status < 300)


def test_a_name_is_taken_once(api: ApiClient):
    body = {"path": api.project.path}
    answer = api.ask("POST", f"{V1}/projects", key=api.tenant_keys[ADMIN], json=body)
    assert code_of(answer) == (409, "already_exists")


# --- connections ------------------------------------------------------------------------------


def test_secrets_go_in_and_never_out(api: ApiClient):
    key = api.tenant_keys[ADMIN]
    body = {
        "url": "https://git.example/a.git",
        "name": "a",
        "provider": "github",
        "credential": {"username": "hush-user", "password": "hush-token"},
        "webhook_secret": "hush-hush-hush-hush",
    }
    made = api.ask("POST", f"{V1}/connections", key=key, json=body)
    assert made.status_code == 201
    shown = made.json()
    assert shown["credential_origin"] == "https://git.example:443"
    assert (shown["has_credential"], shown["has_webhook_secret"]) == (True, True)
    url = made.headers["location"]
    listed = api.ask("GET", f"{V1}/connections", key=key)
    texts = [made.text, api.ask("GET", url, key=key).text, listed.text]
    assert not any("hush" in text for text in texts)
    assert listed.json()["items"][-1] == shown
    with api.services.database.reading() as session:
        connections = api.services.connections(session)
        assert (
            connections.webhook_secret(shown["id"] and _uuid(shown["id"])) == body["webhook_secret"]
        )


def _uuid(text):
    from uuid import UUID

    return UUID(text)


def test_secrets_are_bound_and_forgotten(api: ApiClient):
    key = api.tenant_keys[ADMIN]
    body = {
        "url": "https://u:p@git.example/a.git",
        "webhook_secret": "a secret that is long enough",
    }
    made = api.ask("POST", f"{V1}/connections", key=key, json=body).json()
    assert (made["url"], made["has_credential"]) == ("https://git.example/a.git", True)
    url = f"{V1}/connections/{made['id']}"
    moved = api.ask("PATCH", url, key=key, json={"url": "https://git.example/b.git", "name": "b"})
    assert (moved.json()["has_credential"], moved.json()["name"]) == (True, "b")
    gone = api.ask("PATCH", url, key=key, json={"url": "https://other.example/b.git"}).json()
    assert (gone["has_credential"], gone["has_webhook_secret"]) == (False, False)
    given = {"credential": {"password": "token"}, "webhook_secret": "another secret, long enough"}
    there = api.ask("PATCH", url, key=key, json=given).json()
    assert (there["has_credential"], there["has_webhook_secret"]) == (True, True)
    forgotten = api.ask("PATCH", url, key=key, json=dict.fromkeys(given)).json()
    assert (forgotten["has_credential"], forgotten["has_webhook_secret"]) == (False, False)
    assert api.ask("DELETE", url, key=key).status_code == 204
    assert code_of(api.ask("GET", url, key=key)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"url": "ext::sh -c x"}, (400, "invalid_value")),
        ({"url": "http://git.example/x.git"}, (400, "invalid_value")),
        ({"url": URL, "webhook_secret": "hush"}, (422, "invalid_request")),
        ({"url": URL, "credential": {"password": "hush\0"}}, (422, "invalid_request")),
        ({"url": URL, "name": "hush\n"}, (422, "invalid_request")),
    ],
)
def test_a_bad_connection_is_refused(
    api: ApiClient, body: dict[str, object], refusal: tuple[int, str]
):
    answer = api.ask("POST", f"{V1}/connections", key=api.tenant_keys[ADMIN], json=body)
    assert code_of(answer) == refusal
    assert "hush" not in answer.text


def test_a_connection_in_use_stays(api: ApiClient):
    url = f"{V1}/connections/{api.tenant.connection_id}"
    answer = api.ask("DELETE", url, key=api.tenant_keys[ADMIN])
    assert code_of(answer) == (409, "connection_in_use")


def test_a_preview_lists_what_a_pull_of_the_project_then_has(api: ApiClient):
    files = {"flows/a.json": b"{}", "flows/b.txt": b"b", "notes.md": b"n"}
    api.tenant.repository.commit(files)
    key = api.tenant_keys[Role.ADMIN]
    body = {
        "path": f"{api.project.path}2",
        "kinds": [{"name": "flow", "globs": ["flows/*.json"]}, {"name": "none", "globs": ["x"]}],
        "binding": {"connection_id": str(api.project.bound.connection_id), "ref": "heads/main"},
    }
    answer = api.ask("POST", f"{V1}/projects/preview", key=key, json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["assets"], found["ignored"], found["refusal"]) == (1, 2, "")
    assert found["counts"] == {"flow": 1, "none": 0}
    assert found["files"] == [
        {"path": "flows/a.json", "kind": "flow", "reason": None},
        {"path": "flows/b.txt", "kind": None, "reason": "not_an_asset"},
        {"path": "notes.md", "kind": None, "reason": "not_an_asset"},
    ]
    # Nothing was made.
    assert api.get(f"{V1}/projects", key=key, params={"path": body["path"]})["total"] == 0
    made = api.ask("POST", f"{V1}/projects", key=key, json=body).json()
    run = api.ask("POST", f"{V1}/projects/{made['id']}/runs", key=key, json={}).json()
    api.runner.worker().execute(UUID(run["id"]))
    assets = api.get(f"{V1}/projects/{made['id']}/assets", key=key)["items"]
    assert [(each["path"], each["kind"]) for each in assets] == [("flows/a.json", "flow")]


def test_a_preview_lists_more_assets_than_a_pull_takes(api: ApiClient):
    api.tenant.repository.commit({f"{number}.json": b"{}" for number in range(1001)})
    body = {
        "path": f"{api.project.path}2",
        "binding": {"connection_id": str(api.project.bound.connection_id), "ref": "heads/main"},
    }
    key = api.tenant_keys[Role.ADMIN]
    found = api.ask("POST", f"{V1}/projects/preview", key=key, json=body).json()
    assert found["assets"] == len(found["files"]) == 1001
    assert "1000" in found["refusal"]


def test_a_preview_of_what_is_not_there_is_refused(api: ApiClient):
    api.tenant.commit(a=b"1")
    key = api.tenant_keys[Role.ADMIN]
    binding = {"connection_id": str(api.project.bound.connection_id), "ref": "heads/nothing"}
    body: dict[str, Any] = {"path": f"{api.project.path}2", "binding": binding}
    address = f"{V1}/projects/preview"
    assert code_of(api.ask("POST", address, key=key, json=body))[1] == "ref_not_found"
    binding["connection_id"] = str(uuid4())
    assert code_of(api.ask("POST", address, key=key, json=body)) == (404, "not_found")
    del body["binding"]
    assert code_of(api.ask("POST", address, key=key, json=body)) == (422, "invalid_request")
