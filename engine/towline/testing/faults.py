"""Fault injection for the directory store: death, failure or an edit at any of its operations.

A `FaultyDisk` takes the place of the store's seam to the file system. What only looks counts as
no operation here: nothing that could be lost lies between two of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from towline.stores.directory.disk import Disk

Root: TypeAlias = str | os.PathLike[str]
Fault: TypeAlias = Callable[[str, str], None]
"""What happens just before an operation, given its name and path."""
OpenDisk: TypeAlias = Callable[[Root], Disk]

READING = frozenset({"stat", "list", "read"})
_DIED = 86


class FaultyDisk(Disk):
    """A disk on which something happens at some of its operations, counted from 1.

    ``done`` tells the operations so far. Nothing is really flushed: a killed process loses
    nothing that it wrote.
    """

    def __init__(self, root: Root, fault: Fault | None = None, at: Sequence[int] = ()) -> None:
        super().__init__(root)
        self._fault = fault
        self._at = at
        self.done: list[tuple[str, str]] = []

    def step(self, operation: str, path: str) -> None:
        """Count the operation, and let the fault happen if it is its turn."""
        super().step(operation, path)
        if operation in READING:
            return
        self.done.append((operation, path))
        if self._fault is not None and len(self.done) in self._at:
            self._fault(operation, path)

    def sync_all(self, paths: Iterable[str]) -> None:
        """Flush nothing."""

    def sync(self, path: str) -> None:
        """Flush nothing."""


def faulty(fault: Fault | None = None, *at: int) -> OpenDisk:
    """What a store is opened with, for the fault to happen at its operations of these numbers."""
    return lambda root: FaultyDisk(root, fault, at)


def fail(problem: int) -> Fault:
    """A fault of the machine: an operation fails with this errno."""

    def failing(_: str, path: str) -> None:
        raise OSError(problem, os.strerror(problem), path)

    return failing


def killed_at(number: int, action: Callable[[OpenDisk], None]) -> bool:
    """Run an action in a process that dies just before its operation of this number.

    False where it came to its end first. The action opens its stores itself, with what it is
    given, and nothing that is open here.

    Raises:
        AssertionError: it failed by itself.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action(faulty(lambda *_: os._exit(_DIED), number))
            status = 0
        finally:
            # Whatever the parent has open is the parent's to close.
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, _DIED), f"the action failed by itself at operation {number}"
    return code == _DIED
