"""At a terminal: questions before local work is discarded, tables as wide as the window."""

from __future__ import annotations

import os
import pty
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.command import BASE, THEIRS, Command, edit, files

ORDERS = "pipelines/orders.json"


QUESTION = "Go on?"


def at_a_terminal(project: Command, *arguments: str, answer: str = "\x04") -> tuple[int, str]:
    """Run a command at a terminal, answering its question; its exit code, and what it showed.

    Without an answer the input ends at the question, so that a test does not wait for ever.
    """
    command = [sys.executable, "-m", "towline_cli", *arguments]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.folder)
        os.execve(command[0], command, project.environment(TERM="xterm", COLUMNS="60"))
    shown = b""
    # The end of a terminal is an error on Linux, and an empty read elsewhere.
    with suppress(OSError):
        while read := os.read(terminal, 65536):
            shown += read
            if answer and QUESTION.encode() in shown:
                os.write(terminal, answer.encode())
                answer = ""
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


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
    assert "Go on?" not in shown
    assert files(torn) == THEIRS


def test_a_stored_plan_that_discards_is_asked_for(torn: Command):
    torn("plan", "--use-theirs", ORDERS, "--plan-out", "../plan.json")
    code, shown = at_a_terminal(torn, "apply", "../plan.json", answer="n\n")
    assert (code, "Go on?" in shown) == (1, True)
    assert at_a_terminal(torn, "apply", "../plan.json", answer="y\n")[0] == 0


def test_a_pull_that_discards_nothing_asks_nothing(project: Command):
    code, shown = at_a_terminal(project, "pull")
    assert code == 0
    assert "Go on?" not in shown


def test_undo_is_asked_for(project: Command):
    project("pull")
    code, shown = at_a_terminal(project, "undo", answer="n\n")
    assert (code, "takes back pull 2" in shown) == (1, True)
    assert files(project) == THEIRS
    assert at_a_terminal(project, "undo", answer="y\n")[0] == 0
    assert files(project) == BASE


def test_ctrl_c_at_a_question_changes_nothing(torn: Command):
    before = files(torn)
    code, shown = at_a_terminal(torn, "pull", "--use-theirs", ORDERS, answer="\x03")
    assert code == 130
    assert "Traceback" not in shown
    assert files(torn) == before


def test_long_names_are_folded_and_never_cut(project: Command):
    name = "x" * 150 + ".json"
    edit(project, name, b"{}\n")
    _, shown = at_a_terminal(project, "status")
    lines = shown.replace("\r", "").split("\n")
    assert "…" not in shown
    assert sum(line.count("x") for line in lines) >= 150
    assert any("local-only" in line for line in lines)


def test_completion_offers_commands_options_and_assets(project: Command, tmp_path: Path):
    def completed(*words: str) -> list[str]:
        ran = project(
            code=0,
            _TOWLINE_COMPLETE="bash_complete",
            COMP_WORDS="\n".join(words),
            COMP_CWORD=str(len(words) - 1),
        )
        return [line.partition(",")[2] for line in ran.out.splitlines() if line]

    assert "pull" in completed("towline", "pu")
    assert "--use-theirs" in completed("towline", "pull", "--use")
    assert completed("towline", "pull", "--use-theirs", "rules/l") == [
        "rules/late.json",
        "rules/lost.json",
    ]
    assert completed("towline", "diff", "read") == ["readme.txt"]
    assert completed("towline", "-C", "rules", "diff", "read") == ["readme.txt"]
    assert completed("towline", "-C", "..", "diff", "read") == []
    for shell in ("zsh", "fish"):
        assert "_TOWLINE_COMPLETE" in project("completion", shell).out
