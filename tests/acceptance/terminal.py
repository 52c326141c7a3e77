"""The command at a pseudo-terminal of 80 columns."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

from tests.acceptance.command import Command, wait_until_asleep

WIDTH = 80


def strip(line: str) -> str:
    """A line without its colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


def at_a_terminal(
    project: Command, *arguments: str, answers: Sequence[tuple[str, str]]
) -> tuple[int, str]:
    """Run a command at a terminal, answering its questions; its exit code, and what it showed.

    ``answers`` are to the questions that begin so, in their order. At any other question the input
    ends, so that a test does not wait for ever.
    """
    waiting = list(answers)
    command = [sys.executable, "-m", "towline_cli", *arguments]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.folder)
        os.execve(command[0], command, project.environment(TERM="xterm", COLUMNS=str(WIDTH)))
    shown, answered = b"", 0
    # The end of a terminal is an error on Linux, and an empty read elsewhere.
    with suppress(OSError):
        while read := os.read(terminal, 65536):
            shown += read
            while waiting and (match := re.search(_question(waiting[0][0]), shown[answered:])):
                answered += match.end()
                wait_until_asleep(child)
                os.write(terminal, waiting.pop(0)[1].encode())
            if shown.endswith(b"? ") and answered < len(shown):
                answered = len(shown)
                wait_until_asleep(child)
                os.write(terminal, b"\x04")
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def _question(start: str) -> bytes:
    return re.escape(start).encode() + rb"[^\n]*[:?] "
