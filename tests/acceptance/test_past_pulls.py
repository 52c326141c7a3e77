"""What a past pull changed: ``diff --pull``."""

from __future__ import annotations

import shutil

import pytest

from tests.acceptance.command import Command, edit, paths
from towline.testing.git_repository import GitRepository

ORDERS = "pipelines/orders.json"


@pytest.fixture
def pulled(torn: Command) -> Command:
    """`torn`, after a pull that took theirs."""
    torn("pull", "--use-theirs", ORDERS)
    return torn


def test_a_past_pull_shows_what_it_changed(pulled: Command):
    edit(pulled, "pipelines/returns.json", b"edited since\n")
    shown = pulled.json("diff", "--pull", "2")
    assert shown["pull"] == 2
    found = {asset["path"]: asset for asset in shown["assets"]}
    assert {path: asset["state"] for path, asset in found.items()} == {
        ORDERS: "overwritten",
        "pipelines/returns.json": "updated",
        "rules/late.json": "deleted",
        "rules/new.json": "created",
    }
    assert found[ORDERS]["fields"] == [
        {"pointer": "/retries", "clashes": False, "before": 9, "after": 5}
    ]
    assert (found["rules/new.json"]["before"], found["rules/late.json"]["after"]) == (None, None)
    # The pull's bytes are edited here, and still in the cache.
    assert found["pipelines/returns.json"]["fields"][0]["after"] == 2
    printed = pulled("diff", "--pull", "2", ORDERS).out
    assert printed.splitlines()[0].startswith(f"overwritten  {ORDERS}  (")
    assert printed.splitlines()[1:] == [
        "  field     before  after",
        "  /retries  9       5",
        "",
    ]


@pytest.mark.parametrize("name", ["rules", "rules/", "**/*e*.json", "./rules"])
def test_names_choose_among_what_a_pull_changed(pulled: Command, name: str):
    found = paths(pulled.json("diff", "--pull", "2", name)["assets"])
    assert "rules/new.json" in found
    assert "readme.txt" not in found


def test_stat_and_unknown_numbers_and_names(pulled: Command):
    first, *rows = pulled("diff", "--pull", "2", "--stat").out.splitlines()
    assert first.split() == ["state", "path", "id"]
    assert [row.split()[0] for row in rows] == ["overwritten", "updated", "deleted", "created"]
    assert "1 field " in rows[0]
    assert "16 bytes" in rows[3]
    assert pulled.json("diff", "--pull", "9", code=1)["error"]["code"] == "unknown_pull"
    error = pulled.json("diff", "--pull", "2", "readme.txt", code=1)["error"]
    assert error["code"] == "unknown_assets"


def test_an_undo_is_a_past_pull_too(pulled: Command):
    pulled("undo")
    (asset,) = pulled.json("diff", "--pull", "3", ORDERS)["assets"]
    assert (asset["fields"][0]["before"], asset["fields"][0]["after"]) == (5, 9)


def test_text_is_shown_as_lines_from_before_to_after(pulled: Command, repository: GitRepository):
    repository.commit({"readme.txt": b"Theirs.\n"})
    pulled("pull")
    assert "  --- before\n  +++ after\n" in pulled("diff", "--pull", "3", "readme.txt").out


def test_what_is_no_longer_stored_is_named(pulled: Command):
    edit(pulled, ORDERS, b"{}\n")
    shutil.rmtree(pulled.folder / ".towline/cache.git")
    (asset,) = pulled.json("diff", "--pull", "2", ORDERS)["assets"]
    assert (asset["format"], asset["fields"]) == ("digests_only", [])
    assert asset["note"] == f"the content of {asset['after']['digest'][:12]} is not here"
