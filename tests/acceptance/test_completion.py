"""Tab completion: what is offered, and what real shells insert."""

from __future__ import annotations

import os
import pty
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.command import ORDERS, Command, edit
from towline.testing.git_repository import GitRepository


def completed(project: Command, *words: str) -> list[str]:
    """What is offered for the last word."""
    ran = project(
        _TOWLINE_COMPLETE="bash_complete",
        COMP_WORDS="\n".join(words),
        COMP_CWORD=str(len(words) - 1),
    )
    assert ran.err == ""
    return [line.partition(",")[2] for line in ran.out.splitlines() if line]


def test_commands_options_and_assets_are_offered(project: Command):
    assert "pull" in completed(project, "towline", "pu")
    assert "--use-theirs" in completed(project, "towline", "pull", "--use")
    assert completed(project, "towline", "diff", "read") == ["readme.txt"]
    assert completed(project, "towline", "-C", "rules", "diff", "read") == ["readme.txt"]
    assert completed(project, "towline", "-C", "..", "diff", "read") == []
    assert completed(project, "towline", "help", "pl") == ["plan"]


def test_a_side_is_offered_for_conflicts_alone(torn: Command):
    for option in ("--use-theirs", "--use-ours"):
        assert completed(torn, "towline", "pull", option, "") == []
    torn("plan", code=3)
    for option in ("--use-theirs", "--use-ours"):
        assert completed(torn, "towline", "pull", option, "") == [ORDERS]
        assert completed(torn, "towline", "pull", option, "rules") == []
    assert completed(torn, "towline", "resolve", "pi") == [ORDERS]


def test_a_side_of_each_field_that_clashes_is_offered(torn: Command):
    line = ["towline", "resolve", ORDERS, "--field"]
    assert completed(torn, *line, "") == []
    torn("plan", code=3)
    both = ["/retries=theirs", "/retries=ours"]
    assert completed(torn, *line, "") == both
    assert completed(torn, "towline", "resolve", "--field", "/re") == both
    assert completed(torn, *line, "/other") == []
    # Bash replaces what is after the = alone.
    assert completed(torn, *line, "/retries=") == ["theirs", "ours"]
    assert completed(torn, *line, "/retries=t") == ["theirs"]
    assert completed(torn, "towline", "resolve", "read") == []


def test_kinds_settings_and_pulls_are_offered(project: Command):
    assert completed(project, "towline", "pull", "--only", "file") == ["file"]
    assert completed(project, "towline", "pull", "--only", "rules/l") == [
        "rules/late.json",
        "rules/lost.json",
    ]
    assert completed(project, "towline", "config", "on") == ["on_conflict"]
    assert completed(project, "towline", "config", "limit.asset_") == ["limit.asset_bytes"]
    assert completed(project, "towline", "config", "on_conflict", "t") == ["theirs"]
    project("pull")
    project("undo")
    assert completed(project, "towline", "log", "") == ["3", "2", "1"]
    assert completed(project, "towline", "undo", "") == ["3", "1"]


# --- real shells ------------------------------------------------------------------------------

READY = "towline-is-ready>"
STUB = """#!/bin/sh
if [ -n "$_TOWLINE_COMPLETE" ] || [ "$1" = completion ]; then
    exec "{python}" -m towline_cli "$@"
fi
echo
printf '[%s]' "$@"
echo THE-END
"""
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": 'eval "$(towline completion bash)"; bind "set enable-bracketed-paste off"; PS1=$READY',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(towline completion zsh)"; PS1=$READY',
    "fish": "towline completion fish | source; function fish_prompt; echo $READY; end",
}
NAMED = [
    "with space.json",
    "a,b;c|d&e<f>.json",
    "quote'\"`$(id).json",
    "s*r.json",
    "名前/データ.json",
]


@pytest.fixture
def named(towline: Command, repository: GitRepository, url: str, tmp_path: Path) -> Command:
    """A clone with names that shells must quote; the command of its shells is `STUB`."""
    repository.commit(dict.fromkeys(NAMED, b"1\n"))
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    stub = tmp_path / "bin" / "towline"
    stub.parent.mkdir()
    stub.write_text(STUB.format(python=sys.executable))
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    project.variables["PATH"] = f"{stub.parent}:{os.environ['PATH']}"
    return project


def inserted(project: Command, shell: str, line: str) -> str:
    """The arguments, each in brackets, that the command gets after a line and a tab."""
    program = shutil.which(shell)
    assert program is not None, f"{shell} is missing"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.folder)
        environment = project.environment(TERM="xterm", READY=READY, COLUMNS="500")
        os.execve(program, SHELLS[shell], environment)
    shown = b""

    def read_until(text: str) -> None:
        nonlocal shown
        while text.encode() not in shown:
            shown += os.read(terminal, 65536)

    os.write(terminal, f"{SETUP[shell]}\r".encode())
    # The line that sets it up names the variable, not its text.
    read_until(READY)
    os.write(terminal, f"{line}\t".encode())
    os.write(terminal, b"\r")
    read_until("THE-END")
    os.write(terminal, b"exit\r")
    with suppress(OSError):
        while os.read(terminal, 65536):
            pass
    os.close(terminal)
    os.waitpid(child, 0)
    return shown.decode().rpartition("THE-END")[0].rpartition("\n")[2]


@pytest.mark.services
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_inserted_as_one_word(named: Command, shell: str, name: str):
    assert inserted(named, shell, f"towline diff {name[:1]}") == f"[diff][{name}]"


@pytest.mark.services
@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_the_side_of_a_field(named: Command, repository: GitRepository, shell: str):
    repository.commit({"a.json": b'{"x": 1}'})
    named("pull", "--allow-empty")
    edit(named, "a.json", b'{"x": 2}')
    repository.commit({"a.json": b'{"x": 3}'})
    named("plan", code=3)
    typed = "towline resolve a.json --field "
    for line in (f"{typed}/x=t", f"{typed}/x=th"):
        assert inserted(named, shell, line) == "[resolve][a.json][--field][/x=theirs]"


@pytest.mark.services
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("towline pull --use-theirs ", "[pull][--use-theirs][with space.json]"),
        ("towline pull --use-theirs=w", "[pull][--use-theirs=with space.json]"),
        ("towline diff with\\ s", "[diff][with space.json]"),
        ("towline pull --only fi", "[pull][--only][file]"),
        ("towline config on_c", "[config][on_conflict]"),
        ("towline undo ", "[undo][1]"),
        ("towline statu", "[status]"),
    ],
)
def test_shells_complete_what_is_offered(
    named: Command, repository: GitRepository, shell: str, line: str, words: str
):
    repository.commit({**dict.fromkeys(NAMED, b"1\n"), "with space.json": b"theirs\n"})
    edit(named, "with space.json", b"mine\n")
    named("plan", code=3)
    assert inserted(named, shell, line) == words
