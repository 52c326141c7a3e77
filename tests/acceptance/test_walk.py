"""The walk through open conflicts at a terminal, and what ``resolve`` shows there."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.command import (
    BASE,
    ORDERS,
    README,
    THEIRS,
    YOURS,
    Command,
    edit,
    files,
    paths,
)
from tests.acceptance.terminal import at_a_terminal, strip
from towline.testing.git_repository import GitRepository


def test_the_walk_asks_for_each_conflict(clashing: Command):
    code, shown = at_a_terminal(
        clashing,
        "resolve",
        answers=[("Resolve it", "m\n"), ("/retries", "t\n"), ("Resolve it", "q\n")],
    )
    assert code == 0, shown
    lines = [strip(line) for line in shown.replace("\r", "").split("\n")]
    progress = "━"  # redrawn on one line, where the machine is slow
    assert all(len(line) <= 80 for line in lines if progress not in line), lines
    at = lines.index(f"(1/2) content conflict: {ORDERS}")
    assert re.fullmatch(r"  changed there in [0-9a-f]{12} by towline, 20.*", lines[at + 1])
    assert lines[at + 2] == "    a commit"
    assert lines[at + 3].split() == ["field", "base", "ours", "theirs"]
    assert lines[at + 4].split() == ["/retries", "1", "9", "5"]
    at = lines.index(f"(2/2) content conflict: {README}")
    assert lines[at + 3 : at + 7] == [
        "  @@ line 4 @@",
        "  base    3",
        "  ours    three",
        "  theirs  III",
    ]
    assert lines[-3:] == [f"Resolved {ORDERS}: /retries=theirs", "1 conflict left.", ""]


def test_the_walk_merges_lines_by_a_side_for_each_place(clashing: Command):
    answers = [("Resolve it", "m\n"), ("line 4", "t\n"), ("line 9", "o\n")]
    code, shown = at_a_terminal(clashing, "resolve", README, answers=answers)
    assert code == 0, shown
    clashing("resolve", ORDERS, "--ours")
    clashing("pull")
    assert files(clashing)[README] == YOURS.replace(b"VIII\n", b"eight\n")


def test_the_walk_can_be_left_at_a_place_that_clashes(clashing: Command):
    for answers in (
        [("Resolve it", "m\n"), ("line 4", "?\n"), ("line 4", "q\n")],
        [("Resolve it", "m\n"), ("line 4", "t\n"), ("line 9", "s\n")],
        [("Resolve it", "m\n"), ("line 4", "b\n"), ("Resolve it", "q\n")],
    ):
        code, shown = at_a_terminal(clashing, "resolve", README, answers=answers)
        assert (code, "Resolved" in shown) == (0, False), shown
        assert ("take theirs here" in shown) == (answers[1][1] == "?\n")


def test_long_values_are_folded_below_their_beginning(project: Command, repository: GitRepository):
    edit(project, ORDERS, json.dumps({"name": "mine " * 30}).encode())
    edit(project, README, b"mine " * 30)
    repository.commit({**BASE, ORDERS: b'{"name": "theirs"}', README: b"theirs " * 30})
    project("fetch")
    answers = [("Resolve it", "s\n"), ("Resolve it", "s\n")]
    code, shown = at_a_terminal(project, "resolve", answers=answers)
    assert code == 0, shown
    lines = [strip(line) for line in shown.replace("\r", "").split("\n")]
    assert all(len(line) <= 80 for line in lines if "━" not in line), lines
    at = next(at for at, line in enumerate(lines) if line.startswith('    ours    "mine'))
    assert (lines[at + 1][:12].strip(), "mine" in lines[at + 1]) == ("", True)
    at = next(at for at, line in enumerate(lines) if line.startswith("  theirs  theirs"))
    assert (lines[at + 1][:10].strip(), "theirs" in lines[at + 1]) == ("", True)


def test_the_walk_says_that_nothing_was_saved_in_the_editor(clashing: Command):
    clashing.variables["EDITOR"] = "true"
    answers = [("Resolve it", "e\n"), ("Resolve it", "s\n")]
    _, shown = at_a_terminal(clashing, "resolve", README, answers=answers)
    assert "was not saved in the editor; nothing was chosen" in shown


def test_the_walk_opens_the_editor_until_no_marker_is_left(clashing: Command):
    editor = clashing.home / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {clashing.home}/seen\nprintf "$TEXT" > "$1"\n')
    editor.chmod(0o700)
    clashing.variables["EDITOR"] = str(editor)
    clashing.variables["TEXT"] = "<<<<<<< ours\\n"
    answers = [("Resolve it", "e\n"), ("Resolve it", "s\n")]
    code, shown = at_a_terminal(clashing, "resolve", README, answers=answers)
    assert (code, "has conflict markers" in shown) == (0, True), shown
    seen = (clashing.home / "seen").read_bytes()
    assert b"<<<<<<< ours\nthree\n||||||| base\n3\n=======\nIII\n>>>>>>> theirs\n" in seen
    assert seen.endswith(b"XI\n")
    clashing.variables["TEXT"] = '{"edited": 1'
    code, shown = at_a_terminal(clashing, "resolve", ORDERS, answers=answers)
    assert "is not valid JSON" in shown
    clashing.variables["TEXT"] = '{"edited": 1}\\n'
    code, shown = at_a_terminal(clashing, "resolve", ORDERS, answers=[("Resolve it", "e\n")])
    assert code == 0, shown
    clashing("resolve", README, "--theirs")
    clashing("pull", "--yes")
    assert files(clashing)[ORDERS] == b'{"edited": 1}\n'


def test_the_walk_offers_what_is_remembered_first_and_helps(clashing: Command):
    clashing("resolve", ".", "--ours")
    clashing("pull")
    clashing("undo", "--yes")
    answers = [("Resolve it", "?\n"), ("Resolve it", "\n"), ("Resolve it", "t\n")]
    code, shown = at_a_terminal(clashing, "resolve", answers=answers)
    assert code == 0, shown
    assert "remembered: ours" in shown
    assert "r - use the remembered resolution" in shown
    assert "[r,t,o,m,e,s,q,?]?" in shown
    listed = clashing.json("resolve", "--list")["conflicts"]
    assert [each["resolution"]["side"] for each in listed] == ["ours", "theirs"]


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["interrupt", "end of input"])
def test_what_was_chosen_before_an_interrupt_is_saved(clashing: Command, key: str):
    answers = [("Resolve it", "o\n"), ("Resolve it", key)]
    code, shown = at_a_terminal(clashing, "resolve", answers=answers)
    assert (code, "Traceback" in shown) == (130, False)
    assert f"Resolved {ORDERS}: ours\r\n1 conflict left." in shown
    assert clashing.json("resolve", "--list")["conflicts"][0]["resolution"]["side"] == "ours"


def test_deletions_and_new_assets_on_both_sides_are_shown(
    project: Command, repository: GitRepository
):
    edit(project, "rules/late.json", b'{"when": "later"}\n')
    edit(project, "rules/new.json", b'{"when": "mine"}\n')
    project("fetch")
    answers = [("Resolve it", "o\n"), ("Resolve it", "t\n")]
    code, shown = at_a_terminal(project, "resolve", answers=answers)
    assert code == 0, shown
    assert "modify/delete conflict: rules/late.json" in shown
    assert "deleted there in " in shown
    assert "add/add conflict: rules/new.json" in shown
    project("pull", "--yes")
    assert files(project)["rules/late.json"] == b'{"when": "later"}\n'
    assert files(project)["rules/new.json"] == THEIRS["rules/new.json"]


def test_control_characters_of_the_repository_do_not_reach_the_terminal(
    towline: Command, repository: GitRepository, url: str
):
    def content(number: int) -> bytes:
        return json.dumps({"\x1b[31m\x07key": number, "other": 1}).encode()

    repository.commit({"a.json": content(1)})
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    edit(project, "a.json", content(2))
    repository.commit({"a.json": content(3)})
    project("fetch")
    answers = [("Resolve it", "m\n"), ("/", "t\n")]
    code, shown = at_a_terminal(project, "resolve", answers=answers)
    assert code == 0, shown
    assert "\x07" not in shown
    assert "\x1b[31m\x07key" not in shown
    assert "/␛[31m␇key [t,o,b,s,q,?]?" in shown


def test_what_is_in_the_way_is_shown_and_has_no_side(
    towline: Command, repository: GitRepository, url: str
):
    repository.commit({"a": b"1\n"})
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    edit(project, "new/own.json", b"mine\n")
    repository.commit({"a": b"1\n", "new": b"theirs\n"})
    project("fetch")
    assert "in the way: new/own.json\n1 conflict left." in project("resolve", "--list").out
    code, shown = at_a_terminal(project, "resolve", answers=[("Resolve it", "o\n")])
    assert (code, "in the way: new/own.json" in shown) == (0, True), shown
    assert paths(project.json("pull")["ignored"]) == ["new"]
    assert project.json("pull")["status"] == "up-to-date"


def test_contents_that_are_no_text_are_not_edited(project: Command, repository: GitRepository):
    edit(project, "new.bin", b"\0mine")
    repository.commit({**BASE, "new.bin": b"\0theirs"})
    project("fetch")
    _, shown = at_a_terminal(project, "resolve", answers=[("Resolve it", "q\n")])
    assert "[t,o,s,q,?]?" in shown


def test_what_was_never_fetched_is_fetched_first(project: Command):
    project("config", "ref", "main")
    error = project.json("resolve", "--list", code=1)["error"]
    assert (error["code"], error["message"]) == ("not_fetched", "nothing has been fetched yet")


def test_the_settings_of_a_pull_hold_for_status_too(project: Command):
    edit(project, ORDERS, BASE[ORDERS].replace(b"orders", b"mine"))
    project("fetch")
    found = {each["path"]: each["state"] for each in project.json("status")["assets"]}
    assert found[ORDERS] == "modified-there"
    project("config", "content_merge", "never")
    found = {each["path"]: each["state"] for each in project.json("status")["assets"]}
    assert found[ORDERS] == "conflict"
    (listed,) = project.json("resolve", "--list")["conflicts"]
    assert (listed["path"], listed["problem"]) == (ORDERS, "these contents are never merged")
