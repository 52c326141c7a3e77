"""Fault injection for the directory store: a kill, an error or an edit at any of its operations.

A `FaultyDisk` replaces the store's access to the file system. Operations that only read are not
counted: nothing can be lost between two of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from towline.stores.directory.disk import Disk

Root: TypeAlias = str | os.PathLike[str]
Fault: TypeAlias = Callable[[str, str], None]
"""Called just before an operation, with its name and path."""
OpenDisk: TypeAlias = Callable[[Root], Disk]

READING = frozenset({"stat", "list", "read"})
_DIED = 86


class FaultyDisk(Disk):
    """A disk with faults at some of its operations, counted from 1.

    ``done`` lists the operations so far. Nothing is flushed: a killed process loses nothing that it
    wrote.
    """

    def __init__(self, root: Root, fault: Fault | None = None, at: Sequence[int] = ()) -> None:
        super().__init__(root)
        self._fault = fault
        self._at = at
        self.done: list[tuple[str, str]] = []

    def step(self, operation: str, path: str) -> None:
        """Count the operation, and call the fault if it is due."""
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
    """Return the ``disk`` of a store with a fault at these operations."""
    return lambda root: FaultyDisk(root, fault, at)


def fail(problem: int) -> Fault:
    """Return a fault that makes an operation fail with this errno."""

    def failing(_: str, path: str) -> None:
        raise OSError(problem, os.strerror(problem), path)

    return failing


def killed_at(number: int, action: Callable[[OpenDisk], None]) -> bool:
    """Run an action in a process that is killed just before its operation with this number.

    Returns False if the action ended first. The action opens its own stores, with the given disk.

    Raises:
        AssertionError: the action failed by itself.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action(faulty(lambda *_: os._exit(_DIED), number))
            status = 0
        finally:
            # Skip the clean-up of what the parent has open.
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, _DIED), f"the action failed by itself at operation {number}"
    return code == _DIED
