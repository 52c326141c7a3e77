"""Clone, status, plan, pull, apply and undo, and each form of their output."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.command import BASE, ORDERS, THEIRS, Command, edit, files, paths, states
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer


def test_clone_makes_the_folder_and_reports_it(
    towline: Command, repository: GitRepository, url: str
):
    revision = repository.commit(BASE)
    report = towline.json("clone", url)
    assert (report["status"], report["base"], report["revision"]) == ("updated", None, revision)
    assert paths(report["created"]) == sorted(BASE)
    clone = towline.at(towline.folder / "team")
    assert report == clone.json("log", "1")
    assert files(clone) == BASE
    assert set(states(clone).values()) == {"unchanged"}
    assert clone.json("pull")["status"] == "up-to-date"


def test_a_clone_of_many_lists_a_screenful(towline: Command, repository: GitRepository, url: str):
    repository.commit({f"rules/{number}.json": b"{}" for number in range(100)})
    lines = towline("clone", url).out.splitlines()
    assert ": 100 created." in lines[0]
    assert len(lines) == 23
    assert lines[-1] == "and 80 more; towline log 1 lists all"
    assert len(towline.at(towline.folder / "team")("log", "1").out.splitlines()) == 102
    assert len(towline("clone", url, "again", "--verbose").out.splitlines()) == 102


def test_a_pull_of_many_lists_a_screenful(project: Command, repository: GitRepository):
    repository.commit({f"many/{number}.json": b"{}" for number in range(100)})
    planned = project("plan").out.splitlines()
    assert re.fullmatch(r"and \d+ more; --verbose lists all", planned[-1])
    assert len(project("plan", "--verbose").out.splitlines()) > 100
    for arguments in (["pull", "--yes"], ["undo", "--yes"]):
        lines = project(*arguments).out.splitlines()
        assert len(lines) == 23
        assert re.fullmatch(r"and \d+ more; towline log \d+ lists all", lines[-1])
    assert len(project("pull", "--yes", "--verbose").out.splitlines()) > 100


def test_clone_takes_a_folder_a_ref_and_a_scope(
    towline: Command, repository: GitRepository, url: str
):
    first = repository.commit(BASE)
    repository.commit(THEIRS)
    repository.set_ref("side", first)
    towline("clone", url, "here/and there", "--ref", "side", "--scope", "rules")
    clone = towline.at(towline.folder / "here/and there")
    assert files(clone) == {
        "late.json": BASE["rules/late.json"],
        "lost.json": BASE["rules/lost.json"],
    }
    settings = clone.json("config")
    assert (settings["url"], settings["ref"], settings["scope"]) == (url, "side", "rules")


def test_a_clone_of_an_empty_scope_says_where_to_correct_it(
    towline: Command, repository: GitRepository, url: str
):
    repository.commit({"rules/a": b"1"})
    assert "no assets below rulez" in towline("clone", url, "p", "--scope", "rulez").err
    clone = towline.at(towline.folder / "p")
    clone("config", "scope", "rules")
    clone("pull")
    assert files(clone) == {"a": b"1"}


def test_clone_takes_kinds_and_limits(towline: Command, repository: GitRepository, url: str):
    repository.commit(BASE)
    kinds = '[[kinds]]\nname = "pipeline"\nglobs = ["pipelines/*.json"]\n'
    (towline.folder / "kinds.toml").write_text(kinds)
    report = towline.json("clone", url, "--kinds", "kinds.toml", "--max-assets", "2")
    assert {item["kind"] for item in report["created"]} == {"pipeline"}
    assert paths(report["ignored"]) == ["readme.txt", "rules/late.json", "rules/lost.json"]
    clone = towline.at(towline.folder / "team")
    assert clone.json("config", "limit.assets") == {"limit.assets": 2}
    assert clone.json("config", "kinds")["kinds"]["kinds"][0]["name"] == "pipeline"


def test_pull_takes_over_what_changed_and_keeps_what_was_edited(project: Command):
    edit(project, "readme.txt", b"mine\n")
    edit(project, "own.json", b"{}\n")
    report = project.json("pull")
    assert report["status"] == "updated"
    assert paths(report["updated"]) == [ORDERS, "pipelines/returns.json"]
    assert paths(report["created"]) == ["rules/new.json"]
    assert paths(report["deleted"]) == ["rules/late.json"]
    assert (report["overwritten"], report["ignored"], report["conflicts"]) == ([], [], [])
    assert files(project) == {**THEIRS, "readme.txt": b"mine\n", "own.json": b"{}\n"}
    assert states(project)["readme.txt"] == "modified-here"
    assert project.json("pull")["status"] == "up-to-date"


def test_all_five_lists(project: Command):
    edit(project, ORDERS, b"mine\n")
    report = project.json("pull", "--use-theirs", ORDERS, "--use-ours", "pipelines/returns.json")
    lists = ("overwritten", "updated", "created", "deleted", "ignored")
    assert {name: paths(report[name]) for name in lists} == {
        "overwritten": [ORDERS],
        "updated": [],
        "created": ["rules/new.json"],
        "deleted": ["rules/late.json"],
        "ignored": ["pipelines/returns.json"],
    }
    assert report["overwritten"][0]["discarded"] is True
    assert report["ignored"][0]["reason"] == "declined"


def test_a_plan_and_a_dry_run_show_what_the_pull_then_does(project: Command):
    before = files(project)
    plan = project.json("plan")
    assert project.json("pull", "--dry-run") == plan
    assert files(project) == before
    assert project.json("pull") == plan


def test_a_plan_is_written_and_applied_later(project: Command, repository: GitRepository):
    planned = project.json("plan", "--plan-out", "../plan.json")
    repository.commit({**THEIRS, "rules/newer.json": b"{}\n"})
    # What it needs is fetched again where it is not here any more.
    shutil.rmtree(project.folder / ".towline" / "cache.git")
    assert project.json("apply", "../plan.json") == planned
    assert files(project) == THEIRS
    assert states(project)["rules/new.json"] == "unchanged"


def test_a_plan_is_read_from_standard_input(project: Command):
    project("plan", "--plan-out", "../plan.json")
    text = (project.folder.parent / "plan.json").read_text()
    project("apply", "-", stdin=text)
    assert files(project) == THEIRS


def test_a_stale_plan_changes_nothing(project: Command):
    project("plan", "--plan-out", "../plan.json")
    edit(project, ORDERS, b"mine\n")
    before = files(project)
    error = project.json("apply", "../plan.json", code=1)["error"]
    assert error["code"] == "stale_plan"
    assert ORDERS in error["paths"]
    assert files(project) == before


def test_a_plan_of_other_kinds_is_stale(project: Command):
    project("plan", "--plan-out", "../plan.json")
    rules = [{"name": "file", "globs": ["**"], "merge": "never"}]
    kinds = project.folder.parent / "kinds.json"
    kinds.write_text(json.dumps({"kinds": rules}))
    project("config", "kinds", "../kinds.json")
    before = files(project)
    assert project.json("apply", "../plan.json", code=1)["error"]["code"] == "stale_plan"
    assert files(project) == before


@pytest.mark.parametrize("damage", ["altered", "cut", "empty", "not text"])
def test_a_damaged_plan_is_refused(project: Command, damage: str):
    project("plan", "--plan-out", "../plan.json")
    file = project.folder.parent / "plan.json"
    content = file.read_bytes()
    damaged = {
        "altered": re.sub(b"rules/new.json", b"rules/own.json", content),
        "cut": content[:-20],
        "empty": b"",
        "not text": b"\xff\xfe",
    }
    file.write_bytes(damaged[damage])
    assert project.json("apply", "../plan.json", code=1)["error"]["code"] == "invalid_plan"
    assert files(project) == BASE


def test_a_plan_with_open_conflicts_is_not_applied(torn: Command):
    report = torn.json("pull", "--dry-run", "--plan-out", "../plan.json", code=3)
    assert report["status"] == "conflicts"
    before = files(torn)
    assert torn.json("apply", "../plan.json", code=3)["error"]["code"] == "unresolved_conflicts"
    assert files(torn) == before


def test_status_shows_every_state_without_the_network(torn: Command, server: GitServer):
    edit(torn, "readme.txt", b"mine\n")
    edit(torn, "own.json", b"{}\n")
    (torn.folder / "rules/lost.json").unlink()
    torn("plan", code=3)
    server.tally.clear()
    found = torn.json("status")
    assert {asset["path"]: asset["state"] for asset in found["assets"]} == {
        ORDERS: "conflict",
        "own.json": "local-only",
        "pipelines/returns.json": "modified-there",
        "readme.txt": "modified-here",
        "rules/late.json": "deleted-there",
        "rules/lost.json": "deleted-here",
        "rules/new.json": "added-there",
    }
    assert set(found) == {"base", "revision", "assets", "unused", "commits_behind"}
    asset = {
        "asset_id",
        "path",
        "name",
        "kind",
        "state",
        "behind",
        "resolved",
        "renamed_from",
        "renamed_there",
    }
    assert set(found["assets"][0]) == asset
    assert found["base"] != found["revision"]
    printed = torn("status").out
    for state in ("conflict", "local-only", "modified-there", "deleted-here", "added-there"):
        assert state in printed
    assert server.tally.requests == []


def test_status_without_the_cache_shows_local_changes(project: Command):
    project("plan")
    edit(project, "readme.txt", b"mine\n")
    shutil.rmtree(project.folder / ".towline" / "cache.git")
    found = states(project)
    assert found["readme.txt"] == "modified-here"
    assert found[ORDERS] == "unchanged"
    assert "Only local changes" in project("status").err
    assert project.json("pull")["status"] == "updated"


def test_status_hides_the_unchanged_unless_asked(project: Command):
    assert "readme.txt" not in project("status").out
    assert "5 unchanged" in project("status").out
    assert "readme.txt" in project("status", "--all").out


def test_diff_shows_conflicts_and_edits_field_by_field(torn: Command):
    edit(torn, "readme.txt", b"A team's project.\nMine.\n")
    edit(torn, "own.json", b"{}\n")
    torn("plan", code=3)
    orders, readme = torn.json("diff")["assets"]
    assert (orders["path"], orders["state"], orders["format"]) == (ORDERS, "conflict", "json")
    assert orders["fields"] == [
        {"pointer": "/retries", "clashes": True, "base": 1, "ours": 9, "theirs": 5}
    ]
    assert (readme["state"], readme["format"]) == ("modified-here", "text")
    assert "+Mine." in readme["lines"][0]["diff"]
    printed = torn("diff").out
    assert re.search(r"/retries +1 +9 +5 +clash", printed)
    assert "+Mine." in printed


def test_diff_takes_an_id_a_path_or_a_path_from_the_working_folder(torn: Command):
    by_path = torn.json("diff", ORDERS)["assets"]
    assert torn.json("diff", by_path[0]["asset_id"])["assets"] == by_path
    assert torn.at(torn.folder / "pipelines").json("diff", "./orders.json")["assets"] == by_path
    assert torn.json("diff", "rules/lost.json")["assets"][0]["state"] == "unchanged"
    assert torn.json("diff", "nothing", code=1)["error"]["code"] == "unknown_assets"
    for name in ("pipelines", "pipelines/", "pipe*/*.json"):
        assert torn.json("diff", name)["assets"] == by_path
    assert torn.json("diff", "rules")["assets"] == []
    assert torn.json("diff", ".") == torn.json("diff")


def test_diff_counts_what_differs(torn: Command):
    torn("plan", code=3)
    (torn.folder / "readme.txt").write_text("Mine.\n")
    _, orders, readme = torn("diff", "--stat").out.splitlines()
    assert ORDERS in orders
    assert "1 field, 1 clashing" in orders
    assert "1 line added, 1 removed" in readme


def test_show_writes_the_bytes_of_one_side(torn: Command):
    torn("plan", code=3)
    assert torn("show", ORDERS).out == (torn.folder / ORDERS).read_text()
    assert torn("show", "--theirs", ORDERS).out == THEIRS[ORDERS].decode()
    assert torn("show", "--base", ORDERS).out == BASE[ORDERS].decode()
    assert "does not exist in base" in torn("show", "--base", "rules/new.json", code=1).err
    assert torn("show", "rules", code=1).out == ""
    assert (
        "--base and --ours cannot be used together"
        in torn("show", "--base", "--ours", ORDERS, code=2).err
    )


def test_diff_of_an_untouched_project(project: Command):
    assert project("diff").out == "No conflicts and no local edits.\n"
    assert project.json("diff") == {"assets": []}


def test_commands_work_from_a_folder_inside_and_with_c(project: Command):
    inside = project.at(project.folder / "rules")
    assert inside.json("plan") == project.json("plan")
    outside = project.at(project.folder.parent)
    assert outside.json("-C", "team/rules", "status") == project.json("status")
    outside("-C", "team/rules", "plan", "--plan-out", "../../plan.json")
    assert (project.folder.parent / "plan.json").exists()


def test_reports_for_people_go_to_stdout_whole(project: Command):
    ran = project("pull")
    assert ran.err == ""
    first, *table = ran.out.splitlines()
    assert re.fullmatch(
        r"Pulled [0-9a-f]{12}\.\.[0-9a-f]{12}: 2 updated, 1 created, 1 deleted\.", first
    )
    assert any(line.split()[:3] == ["created", "rules/new.json", "file"] for line in table)
    assert project("pull").out.startswith("Up to date at ")


def test_a_rewritten_branch_is_reported(project: Command, repository: GitRepository):
    repository.commit(THEIRS, parents=[])
    assert project.json("plan")["history_rewritten"] is True
    assert "rewritten" in project("pull").out
    assert files(project) == THEIRS


def test_settings_are_shown_and_changed(project: Command, url: str):
    assert project("config", "url").out == f"{url}\n"
    project("config", "on_conflict", "skip")
    project("config", "limit.assets", "2000")
    project("config", "scope", "rules")
    project("config", "names", "portable")
    project("config", "keep", "3")
    shown = project.json("config")
    assert (shown["on_conflict"], shown["limit.assets"], shown["scope"]) == ("skip", 2000, "rules")
    assert "limit.assets = 2000" in project("config").out
    project("config", "--unset", "limit.assets")
    project("config", "--unset", "scope")
    assert (shown["names"], shown["keep"]) == ("portable", 3)
    project("config", "--unset", "names")
    project("config", "--unset", "keep")
    assert project.json("config", "keep") == {"keep": 50}
    shown = {**shown, "names": project.json("config")["names"], "keep": 50}
    assert shown["names"] != "portable"
    assert project.json("config", "limit.assets") == {"limit.assets": 1000}
    for name, value in [
        ("on_conflict", "perhaps"),
        ("limit.assets", "many"),
        ("nothing", "x"),
        ("ref", "a..b"),
        ("names", "exact"),
        ("keep", "0"),
        ("url", "ext::sh"),
    ]:
        assert project.json("config", name, value, code=2)["error"]["code"] in (
            "invalid_value",
            "usage",
        )
    assert project.json("config") == {**shown, "limit.assets": 1000, "scope": ""}


def test_changed_kinds_are_compared_in_full(project: Command):
    (project.folder.parent / "kinds.json").write_text(
        json.dumps({"kinds": [{"name": "rule", "globs": ["rules/**"]}]})
    )
    project("config", "kinds", "../kinds.json")
    report = project.json("pull")
    assert paths(report["created"]) == ["rules/new.json"]
    assert {asset["kind"] for asset in project.json("status")["assets"]} == {"rule"}
    assert (project.folder / "readme.txt").exists()


def test_clone_from_a_local_path_that_is_relative(
    towline: Command, repository: GitRepository, tmp_path: Path
):
    repository.commit(BASE)
    link = tmp_path / "work" / "mirror.git"
    link.symlink_to(repository.path)
    towline("clone", "../work/mirror.git", "copy")
    clone = towline.at(towline.folder / "copy")
    assert files(clone) == BASE
    assert clone.json("config", "url") == {"url": str(link)}
    assert clone.json("pull")["status"] == "up-to-date"
