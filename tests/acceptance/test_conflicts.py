"""Conflicts: every policy, every way to choose a side, a folder that has assets already."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.command import BASE, ORDERS, THEIRS, Command, edit, files, paths, states
from towline.testing.git_repository import GitRepository

OURS = b'{"name": "orders", "retries": 9, "steps": ["read"]}\n'


def orders_id(project: Command) -> str:
    found = project.json("status")["assets"]
    return next(str(asset["asset_id"]) for asset in found if asset["path"] == ORDERS)


def test_left_alone_a_conflict_changes_nothing_and_ends_with_3(torn: Command):
    before = files(torn)
    report = torn.json("pull", code=3)
    assert report["status"] == "conflicts"
    assert all(not report[name] for name in ("overwritten", "updated", "created", "deleted"))
    (conflict,) = report["conflicts"]
    assert (conflict["kind"], conflict["path"]) == ("content", ORDERS)
    (party,) = conflict["parties"]
    assert party["asset_id"] == orders_id(torn)
    assert party["base"]["digest"] != party["ours"]["digest"] != party["theirs"]["digest"]
    assert len(report["error_msgs"]) == 1
    assert files(torn) == before
    ran = torn("pull", code=3)
    assert ran.out.startswith("Nothing was changed: 1 conflict left.\n")
    assert "--use-theirs" in ran.err
    assert torn("pull", "--on-conflict", "refuse", code=3).out == ran.out


@pytest.mark.parametrize("command", [["plan"], ["pull", "--dry-run"]])
def test_a_plan_shows_the_conflicts_first_and_then_all_that_a_pull_would_do(
    torn: Command, command: list[str]
):
    first, second, *table = torn(*command, code=3).out.splitlines()
    assert first == "Would change nothing: 1 conflict left."
    assert second == "Once resolved: 1 updated, 1 created, 1 deleted."
    assert [line.split()[0] for line in table] == [
        *("conflict", "content", "path", "updated", "created", "deleted")
    ]
    planned, pulled = torn.json(*command, code=3), torn.json("pull", "--on-conflict", "skip")
    for name in ("updated", "created", "deleted"):
        assert paths(planned[name]) == paths(pulled[name]) != []
    assert paths(planned["conflicts"]) == [ORDERS]


def test_a_stored_plan_with_a_conflict_names_it_by_path(torn: Command):
    torn("plan", "--plan-out", "../plan.json", code=3)
    message = torn.json("apply", "../plan.json", code=3)["error"]["message"]
    assert message.startswith(f"the plan leaves 1 asset in conflict: {ORDERS!r};")


def test_skip_pulls_the_rest_and_offers_the_conflict_again(torn: Command):
    report = torn.json("pull", "--on-conflict", "skip")
    assert report["status"] == "updated"
    assert paths(report["ignored"]) == [ORDERS]
    assert report["ignored"][0]["reason"] == "conflict"
    assert len(report["conflicts"]) == len(report["error_msgs"]) == 1
    assert files(torn) == {**THEIRS, ORDERS: OURS}
    assert states(torn)[ORDERS] == "conflict"
    assert paths(torn.json("pull", code=3)["conflicts"]) == [ORDERS]
    assert torn.json("diff")["assets"][0]["fields"][0]["clashes"] is True
    torn("pull", "--use-theirs", ORDERS)
    assert files(torn) == THEIRS


@pytest.mark.parametrize(
    ("choice", "listed", "content"),
    [
        (["--on-conflict", "theirs"], "overwritten", THEIRS[ORDERS]),
        (["--on-conflict", "ours"], "ignored", OURS),
        (["--use-theirs", ORDERS], "overwritten", THEIRS[ORDERS]),
        (["--use-ours", ORDERS], "ignored", OURS),
        (["--use-ours=pipelines/orders.json", "--on-conflict=theirs"], "ignored", OURS),
        (["--use-theirs", "pipelines/"], "overwritten", THEIRS[ORDERS]),
        (["--use-ours", "**/o*.json"], "ignored", OURS),
        (["--use-theirs", ".", "--use-ours", ORDERS], "ignored", OURS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_side_is_taken(torn: Command, choice: list[str], listed: str, content: bytes):
    report = torn.json("pull", *choice)
    assert paths(report[listed]) == [ORDERS]
    assert report["conflicts"] == []
    assert files(torn) == {**THEIRS, ORDERS: content}
    assert torn.json("pull")["status"] == "up-to-date"


def test_folders_and_globs_choose_for_conflicts_alone(torn: Command):
    edit(torn, "readme.txt", b"mine\n")
    edit(torn, "own.json", b"{}\n")
    torn("pull", "--use-theirs", "*.txt", code=3)
    both = torn.json("plan", "--use-theirs", ".", "--use-ours", "pipelines", code=2)
    assert both["error"]["code"] == "conflicting_resolutions"
    report = torn.json("pull", "--use-theirs", ".")
    assert paths(report["overwritten"]) == [ORDERS]
    assert files(torn) == {**THEIRS, "readme.txt": b"mine\n", "own.json": b"{}\n"}


@pytest.mark.parametrize("option", ["--use-theirs", "--use-ours"])
def test_a_side_is_taken_by_id(torn: Command, option: str):
    asset_id = orders_id(torn)
    report = torn.json("pull", option, asset_id)
    listed = report["overwritten"] + report["ignored"]
    assert [item["asset_id"] for item in listed] == [asset_id]


def test_the_configured_policy_holds_until_the_command_line_names_one(torn: Command):
    torn("config", "on_conflict", "skip")
    assert torn.json("plan")["status"] == "updated"
    assert torn.json("plan", "--on-conflict", "refuse", code=3)["status"] == "conflicts"


def test_contents_are_merged_unless_the_project_says_never(
    project: Command, repository: GitRepository
):
    base = b'{"name": "orders", "limit": 1, "steps": []}\n'
    repository.commit({ORDERS: base})
    project("pull")
    (project.folder / ORDERS).write_bytes(base.replace(b"1", b"2"))
    repository.commit({ORDERS: base.replace(b"[]", b'["read"]')})
    project("config", "content_merge", "never")
    assert project("pull", code=3).out
    project("config", "--unset", "content_merge")
    ran = project("pull")
    assert "merged with local edits, by structure" in ran.out
    assert files(project)[ORDERS] == b'{"name": "orders", "limit": 2, "steps": ["read"]}\n'


def test_only_some_are_pulled(torn: Command):
    report = torn.json("pull", "--only", "rules/*", "--only", orders_id(torn), code=3)
    assert paths(report["conflicts"]) == [ORDERS]
    report = torn.json("pull", "--only", "rules/*")
    assert paths(report["created"]) == ["rules/new.json"]
    assert paths(report["updated"]) == []
    assert states(torn)["pipelines/returns.json"] == "behind"
    report = torn.json("pull", "--only", "pipelines/returns.json")
    assert paths(report["updated"]) == ["pipelines/returns.json"]
    assert torn.json("pull", code=3)["status"] == "conflicts"


def test_only_takes_a_folder(project: Command):
    for name in ("./rules", "rules/", "/rules", "rules/**"):
        planned = project.json("plan", "--only", name)
        assert paths(planned["created"] + planned["deleted"]) == [
            "rules/new.json",
            "rules/late.json",
        ]
        assert planned["updated"] == []
    assert "2 changes left out" in project("pull", "--only", "rules").out
    assert files(project) == {
        **THEIRS,
        **{path: BASE[path] for path in (ORDERS, "pipelines/returns.json")},
    }
    assert "left out" not in project("pull", "--only", "pipelines").out


def test_a_skipped_conflict_that_only_leaves_out_stays_one(torn: Command):
    torn("pull", "--on-conflict", "skip")
    skipped, left_out = "1 left in conflict", "1 change left out; a pull without --only applies"
    found = torn("pull", "--only", "rules").out
    assert (skipped in found, left_out in found) == (True, False), found
    (conflict,) = torn.json("resolve", "--list")["conflicts"]
    assert conflict["path"] == ORDERS
    for settling in (["--on-conflict", "theirs"], []):
        found = torn("pull", "--only", "rules", *settling, "--dry-run").out
        assert (skipped in found, left_out in found) == (not settling, bool(settling)), found
    torn("resolve", ORDERS, "--ours")
    found = torn("pull", "--only", "rules").out
    assert (skipped in found, left_out in found) == (False, True), found


def test_only_starts_from_the_working_folder_where_it_begins_with_a_dot(project: Command):
    inside = project.at(project.folder / "rules")
    planned = inside.json("plan", "--only", ".")
    assert paths(planned["created"]) == ["rules/new.json"]
    assert planned["updated"] == []
    assert "2 changes left out" in inside("plan", "--only", ".").out


def test_only_refuses_a_name_that_matches_nothing(project: Command):
    before = files(project)
    for name, near in (("rule/late.json", "rules/late.json"), ("fiel", "file"), ("rulez", "rules")):
        error = project.json("plan", "--only", name, code=1)["error"]
        assert (error["code"], error["asset_ids"]) == ("unknown_assets", [name])
        assert near in error["near"]
    assert project.json("pull", "--only", "rulez", code=1)["error"]["code"] == "unknown_assets"
    assert (files(project), len(project.json("log")["pulls"])) == (before, 1)


def test_only_takes_a_kind(towline: Command, repository: GitRepository, url: str):
    repository.commit(BASE)
    (towline.folder / "kinds.toml").write_text(
        '[[kinds]]\nname = "rule"\nglobs = ["rules/**"]\n[[kinds]]\nname = "file"\nglobs = ["**"]\n'
    )
    towline("clone", url, "--kinds", "kinds.toml")
    repository.commit(THEIRS)
    project = towline.at(towline.folder / "team")
    report = project.json("pull", "--only", "rule")
    assert (paths(report["created"]), paths(report["updated"])) == (["rules/new.json"], [])


def test_init_associates_a_folder_that_has_assets(
    towline: Command, repository: GitRepository, url: str
):
    revision = repository.commit(BASE)
    edit(towline, ORDERS, OURS)
    edit(towline, "readme.txt", BASE["readme.txt"])
    edit(towline, "own.json", b"{}\n")
    before = files(towline)
    assert towline.json("init", url) == {
        "project": str(towline.folder),
        "url": url,
        "ref": "main",
        "scope": "",
        "revision": revision,
    }
    assert files(towline) == before
    assert states(towline) == {
        ORDERS: "conflict",
        "own.json": "local-only",
        "pipelines/returns.json": "added-there",
        "readme.txt": "unchanged",
        "rules/late.json": "added-there",
        "rules/lost.json": "added-there",
    }
    (conflict,) = towline.json("pull", code=3)["conflicts"]
    assert (conflict["kind"], conflict["path"]) == ("add/add", ORDERS)
    report = towline.json("pull", "--use-ours", ORDERS)
    assert "readme.txt" not in str(report)
    assert files(towline) == {**BASE, ORDERS: OURS, "own.json": b"{}\n"}
    assert towline.json("init", url, code=1)["error"]["code"] == "already_associated"


def collide(towline: Command, repository: GitRepository, url: str) -> Command:
    repository.commit({"a": b"1\n"})
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    edit(project, "new/own.json", b"mine\n")
    repository.commit({"a": b"1\n", "new": b"theirs\n"})
    return project


def test_what_never_gives_way_must_be_moved_first(
    towline: Command, repository: GitRepository, url: str
):
    project = collide(towline, repository, url)
    report: Any = project.json("pull", code=3)
    assert report["conflicts"][0]["kind"] == "path collision"
    assert report["conflicts"][0]["blockers"] == ["new/own.json"]
    assert project.json("pull", "--on-conflict", "theirs", code=3)["status"] == "conflicts"
    assert "in the way: new/own.json" in project("pull", code=3).out
    (project.folder / "new").rename(project.folder / "moved")
    assert paths(project.json("pull")["created"]) == ["new"]
    assert files(project)["moved/own.json"] == b"mine\n"
