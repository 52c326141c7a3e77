"""At a terminal: questions before local work is discarded, tables as wide as the window."""

from __future__ import annotations

import re

import pytest

from tests.acceptance import terminal
from tests.acceptance.command import BASE, ORDERS, SECRET, THEIRS, USER, Command, edit, files
from tests.acceptance.terminal import WIDTH, strip
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

QUESTION = "Continue?"


def at_a_terminal(
    project: Command, *arguments: str, answer: str = "\x04", **answers: str
) -> tuple[int, str]:
    """Run a command at a terminal, answering its question; its exit code, and what it showed.

    ``answers`` are to other questions, by their first word, in their order.
    """
    return terminal.at_a_terminal(
        project, *arguments, answers=[*answers.items(), (QUESTION, answer)]
    )


DISCARDING = [
    ["pull", "--use-theirs", ORDERS],
    ["pull", "--on-conflict", "theirs"],
]


@pytest.mark.parametrize("arguments", DISCARDING, ids=" ".join)
def test_discarding_is_asked_for(torn: Command, arguments: list[str]):
    before = files(torn)
    code, shown = at_a_terminal(torn, *arguments, answer="n\n")
    assert code == 1
    assert f"will be discarded:\r\n  {ORDERS}\r\n" in shown
    assert "nothing was changed" in shown
    assert files(torn) == before
    code, shown = at_a_terminal(torn, *arguments, answer="y\n")
    assert code == 0
    assert "overwritten" in shown
    assert files(torn) == THEIRS


@pytest.mark.parametrize("arguments", DISCARDING, ids=" ".join)
def test_yes_asks_nothing(torn: Command, arguments: list[str]):
    code, shown = at_a_terminal(torn, *arguments, "--yes")
    assert code == 0
    assert "Continue?" not in shown
    assert files(torn) == THEIRS


def test_a_stored_plan_that_discards_is_asked_for(torn: Command):
    torn("plan", "--use-theirs", ORDERS, "--plan-out", "../plan.json")
    code, shown = at_a_terminal(torn, "apply", "../plan.json", answer="n\n")
    assert (code, "Continue?" in shown) == (1, True)
    assert at_a_terminal(torn, "apply", "../plan.json", answer="y\n")[0] == 0


def test_a_pull_that_discards_nothing_asks_nothing(project: Command):
    code, shown = at_a_terminal(project, "pull")
    assert code == 0
    assert "Continue?" not in shown


def test_undo_is_asked_for(project: Command):
    project("pull")
    code, shown = at_a_terminal(project, "undo", answer="n\n")
    assert (code, "reverts pull 2" in shown) == (1, True)
    assert files(project) == THEIRS
    assert at_a_terminal(project, "undo", answer="y\n")[0] == 0
    assert files(project) == BASE


def test_ctrl_c_at_a_question_changes_nothing(torn: Command):
    before = files(torn)
    code, shown = at_a_terminal(torn, "pull", "--use-theirs", ORDERS, answer="\x03")
    assert code == 130
    assert "Traceback" not in shown
    assert files(torn) == before


def test_paths_and_ids_are_whole_on_their_lines(torn: Command):
    name = "a long folder name/" * 4 + "x" * 40 + ".json"
    edit(torn, name, b"{}\n")
    ids = {asset["path"]: asset["asset_id"] for asset in torn.json("status")["assets"]}
    for arguments, listed in [
        (["status", "--all"], [name, ORDERS, "readme.txt"]),
        (["plan"], [ORDERS]),
        (["pull", "--on-conflict", "skip"], ["pipelines/returns.json", ORDERS]),
        (["diff"], [ORDERS]),
    ]:
        _, shown = at_a_terminal(torn, *arguments)
        lines = shown.replace("\r", "").split("\n")
        for path in listed:
            assert any(path in line for line in lines), (arguments, path)
            assert any(ids[path] in line for line in lines), (arguments, path)
        assert not re.search(r"[0-9a-f]{25}", shown), arguments
        assert "…" not in shown
        progress = "━"
        heads = [line for line in lines if not any(path in line for path in [*listed, progress])]
        assert all(len(strip(line)) <= WIDTH for line in heads), heads


def test_log_is_one_line_a_pull(project: Command, repository: GitRepository):
    project("pull")
    project("undo")
    project("pull")
    _, shown = at_a_terminal(project, "log")
    lines = [strip(line) for line in shown.replace("\r", "").splitlines()]
    assert len(lines) == 1 + 4
    assert all(len(line) <= WIDTH for line in lines)
    assert "undo of 2" in lines[2]
    assert "4 assets" in lines[1]


def test_missing_credentials_are_asked_for(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    above = towline.at(towline.folder.parent)
    code, shown = at_a_terminal(
        above, "-C", "work", "clone", url, Username=f"{USER}\n", Password=f"{SECRET}\n"
    )
    assert (code, SECRET in shown) == (0, False), shown
    assert f"{url}: authentication required\r\nUsername for 127.0.0.1" in shown
    clone = towline.at(towline.folder / "team")
    assert files(clone) == BASE
    clone.json("pull", code=4)
    code, shown = at_a_terminal(clone, "pull", Username="\n", Token="wrong\n")
    assert (code, shown.count("Token: ")) == (4, 1)
    assert "the credentials from the terminal were refused" in shown
    code, shown = at_a_terminal(clone, "pull", Username="\x04")
    assert code == 130
    code, shown = at_a_terminal(clone, "pull", "--json")
    assert (code, "Username" in shown) == (4, False)
