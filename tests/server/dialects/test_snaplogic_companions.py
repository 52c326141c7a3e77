"""SnapLogic's other Git operations, over a real Git server."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.shared_project import SharedProject, login
from tests.server.dialects.snaplogic_client import (
    ADMIN,
    PATH,
    READER,
    ROOT,
    SCHEMA,
    WRITER,
    binding,
    done,
    post,
    pull,
    refused,
)
from towline_server.auth.roles import Role

# --- repo-status ------------------------------------------------------------------------------


def status(client: TestClient, path: str = PATH) -> dict[str, dict[str, Any]]:
    """The entries by path."""
    answer = client.get(f"{ROOT}/repo-status/{path}", headers=READER)
    assert answer.status_code == 200, answer.text
    SCHEMA.check("status", answer.json())
    return {each["path"]: each for each in answer.json()["response_map"]["entries"]}


def test_every_status_is_returned(shared: SharedProject, client: TestClient):
    names = ("same", "mine", "theirs", "clash", "gone", "lost")
    shared.commit({name: name.encode() for name in names})
    pull(client)
    for name in ("mine", "clash"):
        shared.edit(name, b"ours " + name.encode())
    shared.delete("lost")
    shared.edit("local", b"local")
    before = shared.contents()
    theirs = {name: name.encode() for name in ("same", "mine", "lost")}
    shared.commit({**theirs, "theirs": b"2", "clash": b"2", "rules/new": b"new"})
    entries = status(client)
    assert {path: each["metadata"]["git"]["status"] for path, each in entries.items()} == {
        "same": "Tracked",
        "mine": "Tracked, Modified Locally",
        "theirs": "Tracked, Modified Remotely",
        "gone": "Tracked, Modified Remotely",
        "clash": "Tracked, Conflict",
        "local": "Untracked",
        "rules/new": "Added",
        "lost": "Removed",
    }
    assert shared.contents() == before
    new = entries["rules/new"]
    assert (new["name"], new["asset_type"]) == ("new", "rule")
    assert new["metadata"]["git"]["current_sha"] is None
    assert entries["gone"]["metadata"]["git"]["latest_repo_sha"] is None
    assert entries["same"]["asset_id"] == shared.id_of("same")
    pull(client)
    assert shared.id_of("rules/new") == new["asset_id"]


def test_shas_are_those_of_git(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    shared.commit({"a": b"2"})
    shared.edit("a", b"ours")
    git = status(client)["a"]["metadata"]["git"]
    shas = [
        shared.tenant.repository.git("rev-parse", f"{ref}:a").decode().strip()
        for ref in ("main~", "main")
    ]
    assert [git["current_sha"], git["latest_repo_sha"]] == shas


def test_an_asset_that_was_renamed_there_is_listed_by_its_name_there(
    shared: SharedProject, client: TestClient
):
    shared.commit({"a": b"1", "b": b"2"})
    pull(client)
    shared.commit({"moved": b"1"})
    found = {path: each["metadata"]["git"]["path"] for path, each in status(client).items()}
    assert found == {"a": "moved", "b": "b"}


def test_paths_in_the_repository_have_its_subfolder(shared: SharedProject, client: TestClient):
    project = shared.tenant.project(name="scoped", scope="sub/folder")
    shared.grant(project, Role.READER)
    shared.commit({"sub/folder/a": b"1", "b": b"1"})
    found = status(client, "acme/space/scoped")
    assert {path: each["metadata"]["git"]["path"] for path, each in found.items()} == {
        "a": "sub/folder/a"
    }


def test_a_status_of_more_assets_than_can_be_pulled(shared: SharedProject, client: TestClient):
    shared.commit({f"{number:04}": b"" for number in range(1001)})
    assert len(status(client)) == 1001


def test_a_status_of_what_is_hostile(shared: SharedProject, client: TestClient):
    shared.commit({".git/config": b"1"})
    refused(client.get(f"{ROOT}/repo-status/{PATH}", headers=READER), 502)


# --- git-pull ---------------------------------------------------------------------------------


def pull_space(client: TestClient, space: str = "space", **body: Any) -> dict[str, Any]:
    answer = client.post(f"{ROOT}/git-pull/projects/acme/{space}", headers=WRITER, json=body)
    assert answer.status_code == 200, answer.text
    SCHEMA.check("space", answer.json())
    found: dict[str, Any] = answer.json()["response_map"]
    return found


def test_every_associated_project_of_a_space_is_pulled(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    others = {
        "fresh": shared.tenant.project(name="fresh"),
        "lost": shared.tenant.project(name="lost", ref="heads/none"),
        "loose": shared.tenant.project(name="loose", bound=False),
        "elsewhere": shared.tenant.project(name="elsewhere", space="spaces"),
    }
    for project in others.values():
        shared.grant(project, Role.WRITER)
    shared.grant(shared.tenant.project(name="read"), Role.READER, to=Role.WRITER)
    shared.tenant.project(name="hidden")
    found = pull_space(client)
    assert {path: each["http_status_code"] for path, each in found.items()} == {
        "/acme/space/fresh": 200,
        "/acme/space/lost": 502,
        "/acme/space/project": 200,
        "/acme/space/read": 403,
    }
    assert found["/acme/space/project"]["response_map"] == {"status": "up-to-date"}
    created = found["/acme/space/fresh"]["response_map"]["created"]
    assert [each["path"] for each in created] == ["a"]
    assert shared.contents(others["fresh"]) == {"a": b"1"}
    assert shared.contents(others["elsewhere"]) == {}


def test_projects_that_take_too_long_or_are_busy(shared: SharedProject):
    with shared.waiting() as client:
        assert pull_space(client)["/acme/space/project"]["http_status_code"] == 504
        assert pull_space(client)["/acme/space/project"]["http_status_code"] == 409


def test_a_space_that_is_not_there(shared: SharedProject, client: TestClient):
    for who, space in [
        (WRITER, "none"),
        (login(shared.emails[None]), "space"),
        (WRITER, "Space"),
        (WRITER, "%00"),
    ]:
        answer = client.post(f"{ROOT}/git-pull/projects/acme/{space}", headers=who, json={})
        assert refused(answer, 404) == ["no such project space"]


# --- discard_changes --------------------------------------------------------------------------


def test_changes_are_discarded(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1", "rules/b": b"1", "c": b"1"})
    pull(client)
    lost = shared.id_of("rules/b")
    shared.edit("a", b"ours")
    shared.edit("c", b"ours")
    shared.delete("rules/b")
    shared.commit({"a": b"2", "rules/b": b"2", "c": b"2"})
    paths = ["a", f"/{PATH}/rules/b"]
    found = done(post(client, "discard_changes", asset_path_list=paths))
    assert found == {"overwritten": ["a"], "created": ["rules/b"]}
    assert shared.contents() == {"a": b"1", "rules/b": b"1", "c": b"ours"}
    assert shared.id_of("rules/b") == lost
    assert pull(client) == {"updated": ["a", "rules/b"], "ignored": ["c"]}


def test_a_skipped_conflict_becomes_what_the_repository_had(
    shared: SharedProject, client: TestClient
):
    shared.commit({"a": b"1", "b": b"1"})
    pull(client)
    shared.edit("a", b"ours")
    shared.edit("b", b"ours")
    shared.commit({"a": b"2", "b": b"2"})
    assert pull(client) == {"ignored": ["a", "b"]}
    assert done(post(client, "discard_changes", asset_path_list=["a"])) == {"overwritten": ["a"]}
    assert shared.contents() == {"a": b"2", "b": b"ours"}
    assert pull(client) == {"ignored": ["b"]}


def test_what_was_not_changed_stays(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    assert done(post(client, "discard_changes", asset_path_list=["a", "a"])) == {}


def test_what_cannot_be_discarded_is_named_and_nothing_changes(
    shared: SharedProject, client: TestClient
):
    shared.commit({"a": b"1"})
    pull(client)
    shared.edit("a", b"ours")
    shared.edit("local", b"ours")
    answer = post(client, "discard_changes", asset_path_list=["a", "local", "none"])
    assert refused(answer, 400) == [
        "local: the asset is not tracked by Git",
        "none: there is no such asset",
    ]
    assert shared.contents() == {"a": b"ours", "local": b"ours"}


@pytest.mark.parametrize(
    "body", [{}, {"asset_path_list": []}, {"asset_path_list": "a"}, {"asset_path_list": [1]}]
)
def test_bad_lists_of_assets(client: TestClient, body: dict[str, Any]):
    refused(post(client, "discard_changes", **body), 400)


# --- untrack ----------------------------------------------------------------------------------


def untrack(client: TestClient, who: dict[str, str] = ADMIN) -> Any:
    return client.get(f"{ROOT}/untrack/{PATH}", headers=who)


def test_a_project_is_untracked(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    refused(untrack(client, WRITER), 403)
    answer = untrack(client)
    assert answer.status_code == 200
    SCHEMA.check("untracked", answer.json())
    assert (binding(shared), shared.contents()) == (None, {"a": b"1"})
    refused(untrack(client), 400)
    refused(post(client, "pull"), 400)
    refused(client.get(f"{ROOT}/repo-status/{PATH}", headers=READER), 400)
    refused(post(client, "discard_changes", asset_path_list=["a"]), 400)
