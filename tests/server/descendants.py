"""The processes below a process, and whether they are gone; on Linux alone."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.server.serving import LONG


def descendants(pid: int) -> dict[int, str]:
    """Handles (pidfd) of all processes below one, each with its command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name, in parentheses, may hold anything.
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
    return {
        os.pidfd_open(child): Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        for child in _below(pid, parents)
    }


def _below(pid: int, parents: dict[int, int]) -> Iterator[int]:
    for child, parent in parents.items():
        if parent == pid:
            yield child
            yield from _below(child, parents)


def await_end(handles: dict[int, str]) -> None:
    """Wait until they are gone, and close the handles."""
    for handle, command in handles.items():
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        assert poll.poll(LONG * 1000), f"it lives on: {command}"
        os.close(handle)
