"""SnapLogic's checkout, over a real Git server."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.shared_project import SharedProject
from tests.server.dialects.snaplogic_client import (
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


def test_a_branch_is_checked_out(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    shared.commit({"a": b"2", "b": b"1"}, ref="other")
    found = done(post(client, "checkout", ref="heads/other"))
    assert found == {"updated": ["a"], "created": ["b"]}
    assert shared.contents() == {"a": b"2", "b": b"1"}
    bound = binding(shared)
    assert bound == Binding(connection_id=shared.tenant.connection_id, ref="heads/other")
    assert pull(client) == {}


def test_a_tag_is_checked_out_and_main_is_the_default(shared: SharedProject, client: TestClient):
    stable = shared.commit({"a": b"1"})
    shared.tenant.repository.tag("v1", stable)
    shared.commit({"a": b"2"})
    pull(client)
    assert done(post(client, "checkout", ref="tags/v1")) == {"updated": ["a"]}
    assert shared.contents() == {"a": b"1"}
    assert done(post(client, "checkout")) == {"updated": ["a"]}
    assert shared.contents() == {"a": b"2"}


def test_local_edits_are_applied_to_the_new_branch(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1", "b": b"1"})
    pull(client)
    shared.edit("a", b"ours")
    shared.edit("b", b"ours")
    shared.edit("local", b"ours")
    shared.commit({"a": b"1", "b": b"2"}, ref="other")
    assert done(post(client, "checkout", ref="heads/other")) == {"ignored": ["b"]}
    assert shared.contents() == {"a": b"ours", "b": b"ours", "local": b"ours"}


def test_a_hard_reset_gives_up_what_was_modified_here(shared: SharedProject, client: TestClient):
    shared.commit({name: name.encode() for name in "abcd"})
    pull(client)
    shared.edit("a", b"ours")
    shared.edit("b", b"ours")
    shared.delete("c")
    shared.delete("d")
    shared.edit("d", b"made again")
    shared.edit("local", b"ours")
    shared.edit("both", b"ours")
    shared.commit({"a": b"a", "b": b"2", "c": b"c", "d": b"d", "both": b"theirs"})
    found = done(post(client, "checkout", hard_reset=True))
    assert found == {"overwritten": ["a", "b", "both", "d"], "created": ["c"]}
    assert shared.contents() == {
        "a": b"a",
        "b": b"2",
        "both": b"theirs",
        "c": b"c",
        "d": b"d",
        "local": b"ours",
    }


def test_untracked_assets_are_discarded_on_demand(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    pull(client)
    shared.edit("a", b"ours")
    for name in ("local", "same", "clash", "folder"):
        shared.edit(name, b"ours " + name.encode())
    shared.commit({"a": b"1", "same": b"ours same", "clash": b"theirs", "folder/b": b"1"})
    found = done(post(client, "checkout", discard_untracked_file=True))
    assert found == {
        "overwritten": ["clash"],
        "created": ["folder/b"],
        "deleted": ["folder", "local"],
    }
    assert shared.contents() == {
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
    shared: SharedProject, client: TestClient, failing: str, status: int
):
    shared.commit({"a": b"1"})
    pull(client)
    shared.edit("a", b"ours")
    shared.edit("local", b"ours")
    shared.commit({"a": b"2"}, ref="other")
    before = binding(shared)
    if failing == "remote":
        shared.tenant.server.trouble = Answers(status=503)
    ref = "heads/none" if failing == "ref" else "heads/other"
    policy = "?on_conflict=refuse" if failing == "conflict" else ""
    body = {"ref": ref, "discard_untracked_file": True}
    answer = client.post(f"{ROOT}/checkout/{PATH}{policy}", headers=WRITER, json=body)
    refused(answer, status)
    assert (binding(shared), shared.contents()) == (before, {"a": b"ours", "local": b"ours"})


def connect_second(shared: SharedProject, name: str = "") -> UUID:
    """A new connection to another repository."""
    GitRepository(shared.tenant.server.root / "second.git").commit({"a": b"2"})
    made = shared.tenant.connect(f"{shared.tenant.server.url}/second.git")
    if name:
        with shared.services.database.writing() as session:
            shared.services.connections(session).rename(made, name)
    return made


def spellings(shared: SharedProject) -> list[str]:
    return [
        f"{shared.tenant.server.url}/second.git",
        f"{shared.tenant.server.url}/second",
        "second",
        "second.git",
        "nice",
    ]


@pytest.mark.parametrize("number", range(5))
def test_another_repository_is_checked_out(shared: SharedProject, client: TestClient, number: int):
    shared.commit({"a": b"1", "b": b"1"})
    pull(client)
    second = connect_second(shared, name="nice")
    shared.give_tenant_role(Role.ADMIN, Role.READER)
    repo = spellings(shared)[number]
    assert done(post(client, "checkout", ADMIN, repo=repo)) == {"updated": ["a"], "deleted": ["b"]}
    assert shared.contents() == {"a": b"2"}
    assert binding(shared) == Binding(connection_id=second, ref="heads/main")


def test_who_is_called_so_goes_before_whose_repository_is(
    shared: SharedProject, client: TestClient
):
    shared.commit({"a": b"1"})
    connect_second(shared)
    named = shared.tenant.connect(f"{shared.tenant.server.url}/repo.git")
    with shared.services.database.writing() as session:
        shared.services.connections(session).rename(named, "second")
    shared.give_tenant_role(Role.ADMIN, Role.READER)
    assert done(post(client, "checkout", ADMIN, repo="second")) == {"created": ["a"]}
    assert binding(shared) == Binding(connection_id=named, ref="heads/main")


def test_another_ref_of_the_same_repository_keeps_the_subfolder(
    shared: SharedProject, client: TestClient
):
    project = shared.tenant.project(name="scoped", scope="sub")
    shared.grant(project, Role.WRITER)
    shared.commit({"sub/a": b"1", "b": b"1"}, ref="other")
    body = {"repo": "repo", "ref": "heads/other"}
    answer = client.post(f"{ROOT}/checkout/acme/space/scoped", headers=WRITER, json=body)
    assert done(answer) == {"created": ["a"]}


def test_a_loose_project_is_associated(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    project = shared.tenant.project(name="loose", bound=False)
    shared.grant(project, Role.ADMIN)
    shared.give_tenant_role(Role.ADMIN, Role.READER)
    url = f"{ROOT}/checkout/acme/space/loose"
    assert "not associated" in refused(client.post(url, headers=ADMIN, json={}), 400)[0]
    assert done(client.post(url, headers=ADMIN, json={"repo": "repo"})) == {"created": ["a"]}
    assert shared.contents(project) == {"a": b"1"}


def test_who_may_check_out_another_repository(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    connect_second(shared)
    for who in (WRITER, ADMIN):
        assert done(post(client, "checkout", who, repo="repo")) in ({"created": ["a"]}, {})
    refused(post(client, "checkout", READER, repo="repo"), 403)
    refused(post(client, "checkout", WRITER, repo="second"), 403)
    refused(post(client, "checkout", WRITER, repo="none"), 403)
    for repo in ("second", "none"):
        assert refused(post(client, "checkout", ADMIN, repo=repo), 404) == ["no such repository"]
    shared.give_tenant_role(Role.ADMIN, Role.READER)
    assert refused(post(client, "checkout", ADMIN, repo="none"), 404) == ["no such repository"]
    connect_second(shared)
    assert "more than one" in refused(post(client, "checkout", ADMIN, repo="second"), 400)[0]


@pytest.mark.parametrize(
    "body", [{"ref": "a..b"}, {"ref": None}, {"hard_reset": "yes"}, {"repo": 1}, {"other": 1}]
)
def test_bad_checkouts(shared: SharedProject, client: TestClient, body: dict[str, Any]):
    refused(post(client, "checkout", **body), 400)
    assert shared.runs_of() == ()
