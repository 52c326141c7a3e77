"""Conflicts settled one at a time, and applied by the next pull."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.command import (
    BASE,
    MINE,
    NUMBERS,
    ORDERS,
    OURS,
    README,
    THEIRS,
    YOURS,
    Command,
    edit,
    files,
    paths,
)
from tests.acceptance.terminal import at_a_terminal
from towline.testing.git_repository import GitRepository


def test_a_side_is_saved_and_the_next_pull_applies_it(clashing: Command):
    before = files(clashing)
    ran = clashing("resolve", ORDERS, "--theirs")
    assert ran.out == f"Resolved {ORDERS}: theirs\n1 conflict left.\n"
    assert files(clashing) == before
    status = clashing("status")
    assert "resolved: theirs" in status.out
    assert "towline resolve resolves" in status.err
    planned = clashing.json("plan", code=3)
    assert paths(planned["conflicts"]) == [README]
    ran = clashing("resolve", "readme.txt", "--ours")
    assert ran.out.endswith("No conflicts left; towline pull applies the resolutions.\n")
    assert "towline pull applies" in clashing("status").err
    assert "by a saved resolution" in clashing("plan").out
    clashing("pull", "--yes")
    assert files(clashing) == {**THEIRS, README: MINE}
    assert clashing("resolve", "--list").out == "No conflicts with the last fetched revision.\n"


@pytest.mark.parametrize("names", [["."], ["**"], ["pipelines/", README]], ids=" ".join)
def test_folders_and_globs_resolve_what_they_cover(clashing: Command, names: list[str]):
    resolved = clashing.json("resolve", "--theirs", *names)
    assert paths(resolved["resolved"]) == [ORDERS, README]
    assert resolved["conflicts_left"] == 0
    clashing("pull", "--yes")
    assert files(clashing) == {**THEIRS, README: YOURS}


@pytest.mark.parametrize("choice", [["--field", "/retries=theirs"], ["--theirs"]], ids=" ".join)
def test_a_folder_leaves_what_was_chosen_for_one_asset(clashing: Command, choice: list[str]):
    clashing("resolve", ".", "--ours")
    clashing("resolve", ORDERS, *choice)
    chosen = clashing.json("resolve", "--list")["conflicts"][0]["resolution"]
    for names in ([".", "**"], ["pipelines/", "read*"]):
        ran = clashing("resolve", *names, "--theirs")
        assert f"Resolved {README}: theirs\n{ORDERS} is resolved already: " in ran.out
    found = clashing.json("resolve", ".", "--ours")
    assert (paths(found["resolved"]), found["unchanged"]) == ([README], [chosen])
    for one in (["--field", "/retries=ours"], ["--with", "readme.txt"]):
        found = clashing.json("resolve", "pipelines/", *one)
        assert (found["resolved"], found["unchanged"]) == ([], [chosen])
    found = clashing.json("resolve", ".", ORDERS, "--ours")
    assert (paths(found["resolved"]), found["unchanged"]) == ([ORDERS, README], [])
    clashing("pull")
    assert files(clashing)[ORDERS] == OURS


def test_a_side_for_each_field_merges_the_rest(clashing: Command):
    refused = clashing.json("resolve", ORDERS, "--field", "/name=theirs", code=1)["error"]
    assert (refused["code"], refused["fields"]) == ("invalid_resolution", ["/retries"])
    clashing("resolve", ORDERS, "--field", "/retries=theirs")
    clashing("resolve", README, "--ours")
    clashing("pull")
    assert json.loads(files(clashing)[ORDERS]) == {
        "name": "mine",
        "retries": 5,
        "steps": ["read"],
    }


def test_any_content_resolves_one(clashing: Command):
    (clashing.folder.parent / "merged").write_bytes(b"by hand\n")
    clashing("resolve", README, "--with", "../merged")
    clashing("resolve", ORDERS, "--with", "-", stdin='{"by": "hand"}\n')
    assert clashing.json("resolve", ".", "--with", "../merged", code=2)["error"]
    clashing("pull")
    found = files(clashing)
    assert (found[README], found[ORDERS]) == (b"by hand\n", b'{"by": "hand"}\n')


@pytest.mark.parametrize(
    ("content", "doubt"),
    [
        (b'<<<<<<< ours\n{"a": 1}\n', "has conflict markers"),
        (b'{"a": 1', "is not valid JSON"),
        (b"", "is empty"),
    ],
    ids=["markers", "cut off", "empty"],
)
def test_a_content_that_looks_unfinished_is_warned_of(
    clashing: Command, content: bytes, doubt: str
):
    edit(clashing, "../merged", content)
    command = ["resolve", ORDERS, "--with", "../merged"]
    code, shown = at_a_terminal(clashing, *command, answers=[("Use it", "n\n")])
    assert (code, "nothing was saved" in shown) == (1, True), shown
    assert clashing.json("resolve", "--list")["conflicts"][0]["resolution"] is None
    assert f"warning: ../merged {doubt}\n" in clashing(*command).err
    assert clashing.json(*command)["warnings"][0] == f"../merged {doubt}"
    assert at_a_terminal(clashing, *command, "--yes", answers=[])[0] == 0


def test_markers_that_the_sides_have_are_no_doubt(
    towline: Command, repository: GitRepository, url: str
):
    marker = b"<<<<<<< how a conflict begins\n"
    repository.commit({"a.md": b"1\n" + marker})
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    edit(project, "a.md", b"2\n" + marker)
    repository.commit({"a.md": b"3\n" + marker})
    project("fetch")
    edit(project, "../merged", b"4\n" + marker)
    assert project.json("resolve", "a.md", "--with", "../merged")["warnings"] == []


def test_a_side_that_does_not_settle_a_collision_leaves_it_open(
    project: Command, repository: GitRepository
):
    edit(project, "n", b"mine\n")
    repository.commit({**BASE, "n/x.txt": b"theirs\n"})
    project("fetch")
    ran = project("resolve", "n/x.txt", "--theirs")
    assert ran.out.endswith("in the way: n\n1 conflict left.\n")
    assert "its path collides with another asset" in ran.err
    listed = project("resolve", "--list")
    assert "theirs, does not resolve it" in listed.out
    assert listed.out.endswith("in the way: n\n1 conflict left.\n")
    document = project.json("resolve", "--list")
    assert (document["conflicts_left"], document["conflicts"][0]["settled"]) == (1, False)
    status = project("status")
    assert "resolved:" not in status.out
    assert "towline resolve resolves" in status.err
    assert len(project.json("plan", code=3)["conflicts"]) == 1
    code, shown = at_a_terminal(project, "resolve", answers=[("Resolve it", "o\n")])
    assert (code, "No conflicts left" in shown) == (0, True), shown
    assert "conflicts" in project.json("pull")


def test_two_assets_of_a_collision_are_settled_by_one_of_them(
    project: Command, repository: GitRepository
):
    (project.folder / "n").mkdir()
    (project.folder / "rules/late.json").rename(project.folder / "n/late.json")
    renamed = {**BASE, "n": BASE["rules/lost.json"]}
    del renamed["rules/lost.json"]
    repository.commit(renamed)
    project("fetch")
    assert len(project.json("resolve", "--list")["conflicts"]) == 2
    ran = project("resolve", "rules/lost.json", "--ours")
    assert ran.out.endswith("No conflicts left; towline pull applies the resolutions.\n")
    assert "resolved by the other choices" in project("resolve", "--list").out
    status = project("status")
    assert "resolved by the other choices" in status.out
    assert "towline pull applies the resolutions" in status.err
    assert all(
        each["resolved"] for each in project.json("status")["assets"] if each["state"] == "conflict"
    )
    assert project.json("plan")["conflicts"] == []


def test_remembered_resolutions_can_be_turned_off(clashing: Command):
    clashing("resolve", ".", "--ours")
    clashing("config", "remember", "false")
    assert clashing("config", "remember").out == "false\n"
    clashing("pull")
    clashing("undo", "--yes")
    assert clashing.json("resolve", "--list")["conflicts"][0]["remembered"] is None
    clashing("config", "remember", "true")
    assert clashing.json("resolve", "--list")["conflicts"][0]["remembered"] is None
    clashing("resolve", ".", "--ours")
    clashing("pull")
    clashing("undo", "--yes")
    remembered = clashing.json("resolve", "--list")["conflicts"][0]["remembered"]
    assert remembered["side"] == "ours"
    clashing("config", "--unset", "remember")
    assert clashing.json("config", "remember") == {"remember": True}
    assert clashing.json("config", "remember", "maybe", code=2)["error"]["field"] == "remember"


def test_conflicts_are_listed_with_what_clashes(clashing: Command):
    clashing("resolve", ORDERS, "--ours")
    listed = clashing.json("resolve", "--list")
    orders, readme = listed["conflicts"]
    assert orders["fields"] == [
        {"pointer": "/retries", "reason": "both_changed", "base": 1, "ours": 9, "theirs": 5}
    ]
    assert (orders["resolution"]["side"], readme["resolution"]) == ("ours", None)
    assert orders["commit"]["revision"] == clashing.json("status")["revision"]
    assert orders["problem"] == readme["problem"] == ""
    assert [each["theirs"] for each in readme["lines"]] == [
        {"start": 4, "text": "III\n"},
        {"start": 9, "text": "VIII\n"},
    ]
    printed = clashing("resolve", "--list").out.splitlines()
    assert printed[0].split() == ["conflict", "path", "resolution", "id"]
    assert printed[1].split()[:3] == ["content", ORDERS, "ours"]
    assert printed[-1] == "1 conflict left."


def test_resolutions_are_cleared_by_name_or_all(clashing: Command):
    clashing("resolve", ".", "--ours")
    assert clashing("resolve", "--clear", "pipelines").out == "1 resolution cleared.\n"
    assert clashing.json("resolve", "--clear", ORDERS, code=1)["error"]["code"] == "no_resolution"
    assert paths(clashing.json("resolve", "--clear")["cleared"]) == [README]
    assert len(clashing.json("pull", code=3)["conflicts"]) == 2


def test_a_resolution_whose_asset_moved_is_reported(clashing: Command, repository: GitRepository):
    clashing("resolve", ".", "--theirs")
    repository.commit({**THEIRS, README: YOURS + b"more\n"})
    refused = clashing("pull", code=3)
    assert f"{README}: the saved resolution is not used: theirs changed since" in refused.err
    assert "hint: towline resolve goes through them" in refused.err
    for command in (["resolve", "--list"], ["status"]):
        shown = clashing(*command).err
        assert f"{README}: the saved resolution is not used: theirs changed since" in shown
    for command in (["resolve", "--list"], ["status"]):
        assert paths(clashing.json(*command)["unused"]) == [README]


def test_a_remembered_resolution_is_taken_again(clashing: Command):
    clashing("resolve", ORDERS, "--field", "/retries=theirs")
    clashing("resolve", README, "--ours")
    clashing("pull")
    clashing("undo", "--yes")
    assert clashing.json("resolve", "--list")["conflicts"][0]["remembered"]["fields"] == {
        "/retries": "theirs"
    }
    ran = clashing("resolve", "--remembered")
    assert ran.out.startswith(f"Resolved {ORDERS}: /retries=theirs\nResolved {README}: ours\n")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["--theirs"], 2, "usage"),
        (["--theirs", "--ours", "."], 2, "usage"),
        (["--field", "/retries", ORDERS], 2, "usage"),
        (["rules/new.json", "--theirs"], 1, "no_conflict"),
        ([], 2, "not_interactive"),
        (["--tool"], 1, "no_merge_tool"),
    ],
    ids=str,
)
def test_what_cannot_be_done_says_what_to_do(
    clashing: Command, arguments: list[str], code: int, error: str
):
    assert clashing.json("resolve", *arguments, code=code)["error"]["code"] == error
    assert "hint: " in clashing("resolve", *arguments, code=code).err


def test_the_merge_tool_of_git_merges(clashing: Command):
    tool = '[merge]\n\ttool = cat\n[mergetool "cat"]\n\ttrustExitCode = true\n\tcmd = '
    command = 'cat \\"$BASE\\" \\"$LOCAL\\" \\"$REMOTE\\" > \\"$MERGED\\"'
    config = clashing.home / ".gitconfig"
    config.write_text(f'{tool}"{command}"\n')
    answers = [("Resolve it", "g\n"), ("Resolve it", "q\n")]
    assert at_a_terminal(clashing, "resolve", ORDERS, answers=answers)[0] == 0
    clashing("resolve", ORDERS, "--theirs")
    clashing("resolve", README, "--tool")
    clashing("pull", "--yes")
    assert files(clashing)[README] == NUMBERS + MINE + YOURS
    config.write_text(f'{tool}"false"\n')
    clashing("undo", "--yes")
    assert (
        clashing.json("resolve", README, "--tool", code=1)["error"]["code"] == "merge_tool_failed"
    )
    mine = '[mergetool "mine"]\n\ttrustExitCode = true\n\tcmd = cp \\"$REMOTE\\" \\"$MERGED\\"\n'
    config.write_text(f'{tool}"false"\n{mine}')
    clashing("resolve", "--tool=mine", README)
    clashing("resolve", ORDERS, "--theirs")
    clashing("pull", "--yes")
    assert files(clashing)[README] == YOURS
    clashing("undo", "--yes")
    unknown = clashing("resolve", "--tool=unknown", README, code=1)
    assert "git mergetool --tool-help" in unknown.err
