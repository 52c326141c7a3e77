"""SnapLogic's checkout, over a real Git server."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.scene import Scene
from tests.server.dialects.snaplogic import (
    ADMIN,
    PATH,
    READER,
    ROOT,
    WRITER,
    binding,
    done,
    post,
    pull,
    refused,
)
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import Answers
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding


def test_a_branch_is_checked_out(scene: Scene, client: TestClient):
    scene.commit({"a": b"1"})
    pull(client)
    scene.commit({"a": b"2", "b": b"1"}, ref="other")
    found = done(post(client, "checkout", ref="heads/other"))
    assert found == {"updated": ["a"], "created": ["b"]}
    assert scene.contents() == {"a": b"2", "b": b"1"}
    bound = binding(scene)
    assert bound == Binding(connection_id=scene.world.connection_id, ref="heads/other")
    assert pull(client) == {}


def test_a_tag_is_checked_out_and_main_is_the_default(scene: Scene, client: TestClient):
    stable = scene.commit({"a": b"1"})
    scene.world.repository.tag("v1", stable)
    scene.commit({"a": b"2"})
    pull(client)
    assert done(post(client, "checkout", ref="tags/v1")) == {"updated": ["a"]}
    assert scene.contents() == {"a": b"1"}
    assert done(post(client, "checkout")) == {"updated": ["a"]}
    assert scene.contents() == {"a": b"2"}


def test_local_edits_are_carried_over(scene: Scene, client: TestClient):
    scene.commit({"a": b"1", "b": b"1"})
    pull(client)
    scene.edit("a", b"ours")
    scene.edit("b", b"ours")
    scene.edit("local", b"ours")
    scene.commit({"a": b"1", "b": b"2"}, ref="other")
    assert done(post(client, "checkout", ref="heads/other")) == {"ignored": ["b"]}
    assert scene.contents() == {"a": b"ours", "b": b"ours", "local": b"ours"}


def test_a_hard_reset_gives_up_what_was_modified_here(scene: Scene, client: TestClient):
    scene.commit({name: name.encode() for name in "abcd"})
    pull(client)
    scene.edit("a", b"ours")
    scene.edit("b", b"ours")
    scene.delete("c")
    scene.delete("d")
    scene.edit("d", b"made anew")
    scene.edit("local", b"ours")
    scene.edit("both", b"ours")
    scene.commit({"a": b"a", "b": b"2", "c": b"c", "d": b"d", "both": b"theirs"})
    found = done(post(client, "checkout", hard_reset=True))
    assert found == {"overwritten": ["a", "b", "both", "d"], "created": ["c"]}
    assert scene.contents() == {
        "a": b"a",
        "b": b"2",
        "both": b"theirs",
        "c": b"c",
        "d": b"d",
        "local": b"ours",
    }


def test_untracked_assets_are_discarded_on_demand(scene: Scene, client: TestClient):
    scene.commit({"a": b"1"})
    pull(client)
    scene.edit("a", b"ours")
    for name in ("local", "same", "clash", "folder"):
        scene.edit(name, b"ours " + name.encode())
    scene.commit({"a": b"1", "same": b"ours same", "clash": b"theirs", "folder/b": b"1"})
    found = done(post(client, "checkout", discard_untracked_file=True))
    assert found == {
        "overwritten": ["clash"],
        "created": ["folder/b"],
        "deleted": ["folder", "local"],
    }
    assert scene.contents() == {
        "a": b"ours",
        "same": b"ours same",
        "clash": b"theirs",
        "folder/b": b"1",
    }
    assert done(post(client, "checkout", discard_untracked_file=True, hard_reset=True)) == {
        "overwritten": ["a"]
    }


@pytest.mark.parametrize(("failing", "status"), [("ref", 400), ("remote", 502), ("conflict", 409)])
def test_a_checkout_that_fails_changes_nothing(
    scene: Scene, client: TestClient, failing: str, status: int
):
    scene.commit({"a": b"1"})
    pull(client)
    scene.edit("a", b"ours")
    scene.edit("local", b"ours")
    scene.commit({"a": b"2"}, ref="other")
    before = binding(scene)
    if failing == "remote":
        scene.world.server.trouble = Answers(status=503)
    ref = "heads/none" if failing == "ref" else "heads/other"
    policy = "?on_conflict=refuse" if failing == "conflict" else ""
    body = {"ref": ref, "discard_untracked_file": True}
    answer = client.post(f"{ROOT}/checkout/{PATH}{policy}", headers=WRITER, json=body)
    refused(answer, status)
    assert (binding(scene), scene.contents()) == (before, {"a": b"ours", "local": b"ours"})


def connect_second(scene: Scene, name: str = "") -> UUID:
    """A new connection to another repository."""
    GitRepository(scene.world.server.root / "second.git").commit({"a": b"2"})
    made = scene.world.connect(f"{scene.world.server.url}/second.git")
    if name:
        with scene.services.database.writing() as session:
            scene.services.connections(session).rename(made, name)
    return made


def spellings(scene: Scene) -> list[str]:
    return [
        f"{scene.world.server.url}/second.git",
        f"{scene.world.server.url}/second",
        "second",
        "second.git",
        "nice",
    ]


@pytest.mark.parametrize("number", range(5))
def test_another_repository_is_checked_out(scene: Scene, client: TestClient, number: int):
    scene.commit({"a": b"1", "b": b"1"})
    pull(client)
    second = connect_second(scene, name="nice")
    scene.give_tenant_role(Role.ADMIN, Role.READER)
    repo = spellings(scene)[number]
    assert done(post(client, "checkout", ADMIN, repo=repo)) == {"updated": ["a"], "deleted": ["b"]}
    assert scene.contents() == {"a": b"2"}
    assert binding(scene) == Binding(connection_id=second, ref="heads/main")


def test_who_is_called_so_goes_before_whose_repository_is(scene: Scene, client: TestClient):
    scene.commit({"a": b"1"})
    connect_second(scene)
    named = scene.world.connect(f"{scene.world.server.url}/repo.git")
    with scene.services.database.writing() as session:
        scene.services.connections(session).rename(named, "second")
    scene.give_tenant_role(Role.ADMIN, Role.READER)
    assert done(post(client, "checkout", ADMIN, repo="second")) == {"created": ["a"]}
    assert binding(scene) == Binding(connection_id=named, ref="heads/main")


def test_another_ref_of_the_same_repository_keeps_the_subfolder(scene: Scene, client: TestClient):
    project = scene.world.project(name="scoped", scope="sub")
    scene.grant(project, Role.WRITER)
    scene.commit({"sub/a": b"1", "b": b"1"}, ref="other")
    body = {"repo": "repo", "ref": "heads/other"}
    answer = client.post(f"{ROOT}/checkout/acme/space/scoped", headers=WRITER, json=body)
    assert done(answer) == {"created": ["a"]}


def test_a_loose_project_is_associated(scene: Scene, client: TestClient):
    scene.commit({"a": b"1"})
    project = scene.world.project(name="loose", bound=False)
    scene.grant(project, Role.ADMIN)
    scene.give_tenant_role(Role.ADMIN, Role.READER)
    url = f"{ROOT}/checkout/acme/space/loose"
    assert "not associated" in refused(client.post(url, headers=ADMIN, json={}), 400)[0]
    assert done(client.post(url, headers=ADMIN, json={"repo": "repo"})) == {"created": ["a"]}
    assert scene.contents(project) == {"a": b"1"}


def test_who_may_check_out_another_repository(scene: Scene, client: TestClient):
    scene.commit({"a": b"1"})
    connect_second(scene)
    for who in (WRITER, ADMIN):
        assert done(post(client, "checkout", who, repo="repo")) in ({"created": ["a"]}, {})
    refused(post(client, "checkout", READER, repo="repo"), 403)
    refused(post(client, "checkout", WRITER, repo="second"), 403)
    refused(post(client, "checkout", WRITER, repo="none"), 403)
    for repo in ("second", "none"):
        assert refused(post(client, "checkout", ADMIN, repo=repo), 404) == ["no such repository"]
    scene.give_tenant_role(Role.ADMIN, Role.READER)
    assert refused(post(client, "checkout", ADMIN, repo="none"), 404) == ["no such repository"]
    connect_second(scene)
    assert "more than one" in refused(post(client, "checkout", ADMIN, repo="second"), 400)[0]


@pytest.mark.parametrize(
    "body", [{"ref": "a..b"}, {"ref": None}, {"hard_reset": "yes"}, {"repo": 1}, {"other": 1}]
)
def test_bad_checkouts(scene: Scene, client: TestClient, body: dict[str, Any]):
    refused(post(client, "checkout", **body), 400)
    assert scene.runs_of() == ()
