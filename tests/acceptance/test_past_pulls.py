"""The log, what a past pull changed, and undo."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.acceptance.command import BASE, ORDERS, THEIRS, Command, edit, files, paths, states
from towline.testing.git_repository import GitRepository


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


def test_undo_takes_the_last_pull_back_and_the_next_offers_it_again(project: Command):
    planned = project.json("pull")
    report = project.json("undo")
    assert paths(report["created"]) == ["rules/late.json"]
    assert paths(report["deleted"]) == ["rules/new.json"]
    assert files(project) == BASE
    again = project.json("plan")
    # The id of what was created is used up for ever.
    again["created"][0]["asset_id"] = planned["created"][0]["asset_id"]
    assert again == planned


def test_undo_shows_first_and_takes_a_number(project: Command, repository: GitRepository):
    project("pull")
    repository.commit({**THEIRS, "rules/newer.json": b"{}\n"})
    project("pull")
    numbers = [pull["number"] for pull in project.json("log")["pulls"]]
    assert numbers == [3, 2, 1]
    planned = project.json("undo", "2", "--dry-run")
    assert paths(planned["created"]) == ["rules/late.json"]
    assert "rules/newer.json" in files(project)
    project("undo", "2")
    assert files(project) == {**BASE, "rules/newer.json": b"{}\n"}


def test_an_undo_is_undone_by_its_number(project: Command):
    project("pull")
    pulled = states(project)
    printed = project("undo").out
    assert re.search(r"Reverted pull 2: .*1 created.*; now at [0-9a-f]{12}\.\n", printed)
    assert project("undo", "3").out.startswith("Reverted undo 3: ")
    assert files(project) == THEIRS
    assert states(project) == pulled
    assert [pull["undone"] for pull in project.json("log")["pulls"]] == [False, True, False, False]
    assert "undo of 2 (undone)" in project("log").out
    assert "Undo 3 reverted 2: " in project("log", "3").out
    project("undo")
    assert files(project) == BASE


def test_undo_names_the_later_pull_that_is_in_its_way(project: Command, repository: GitRepository):
    project("pull")
    repository.commit({**THEIRS, ORDERS: b"{}\n"})
    project("pull")
    error = project.json("undo", "2", code=1)["error"]
    assert (error["pulls"], error["paths"]) == ([3], [ORDERS])
    assert "undo those first" in project("undo", "2", code=1).err
    edit(project, "rules/late.json", b"mine\n")
    project("undo", "3")
    # Written again at its path it is the asset that the pull deleted, edited since.
    error = project.json("undo", "2", code=1)["error"]
    assert (error["in_the_way"], error["paths"]) == (False, ["rules/late.json"])
    (project.folder / "rules/late.json").unlink()
    edit(project, "rules/late.json/note", b"mine\n")
    error = project.json("undo", "2", code=1)["error"]
    assert (error["in_the_way"], error["paths"]) == (True, ["rules/late.json/note"])


def test_undo_of_the_first_pull_of_a_folder_that_had_assets(
    towline: Command, repository: GitRepository, url: str
):
    repository.commit(BASE)
    for path in BASE:
        edit(towline, path, BASE[path])
    towline("init", url)
    towline("pull")
    assert towline("undo").out == (
        "Reverted pull 1: no asset changed; now as before the first pull.\n"
    )
    assert files(towline) == BASE


def test_undo_tramples_no_edit(project: Command):
    project("pull")
    edit(project, ORDERS, b"mine\n")
    error = project.json("undo", code=1)["error"]
    assert (error["code"], error["paths"]) == ("undo_blocked", [ORDERS])
    assert error["pulls"] == []
    assert project.json("undo", "7", code=1)["error"]["code"] == "unknown_pull"


def test_log_lists_pulls_and_undos(project: Command):
    project("pull")
    project("undo")
    undo, pull, clone = project.json("log")["pulls"]
    assert (undo["kind"], undo["undoes"], pull["undone"]) == ("undo", 2, True)
    assert pull["counts"] == {
        "overwritten": 0,
        "updated": 2,
        "created": 1,
        "deleted": 1,
        "ignored": 0,
    }
    assert (clone["base"], clone["revision"]) == (None, pull["base"])
    assert clone["at"].endswith("+00:00")
    assert paths(project.json("log", "2")["created"]) == ["rules/new.json"]
    printed = project("log").out
    assert "undo of 2" in printed
    assert "2 updated, 1 created, 1 deleted" in printed
    assert project.json("log", "9", code=1)["error"]["code"] == "unknown_pull"
