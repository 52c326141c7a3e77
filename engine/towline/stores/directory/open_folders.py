"""The folders of a project that are held open, so that paths are not walked from the root again.

Owns the rule for when a held descriptor may be used: only while every name of its path leads to the
folders that are held, by one stat of each name, which follows no symbolic link. A folder that was
replaced since, by another or by a link, is opened again, which refuses links.
"""

from __future__ import annotations

import os
from typing import NamedTuple

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 128
"""The most descriptors that are held from one call to the next."""


class _Held(NamedTuple):
    descriptor: int
    device: int
    inode: int


class OpenFolders:
    """The folders below one that is open (``root``), by their paths relative to it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._held: dict[str, _Held] = {}
        self._replaced: list[int] = []

    def descriptors(self, *paths: str) -> list[int]:
        """Return a descriptor of each folder, to be used before the next call, and not closed.

        The empty path is the root. Raises OSError if one is not a folder, or is behind a link.
        """
        self._close_surplus()
        return [self._descriptor(path) for path in paths]

    def descriptor(self, path: str) -> int:
        """Return the descriptor of one folder, as `descriptors`."""
        self._close_surplus()
        return self._descriptor(path)

    def _close_surplus(self) -> None:
        while self._replaced:
            os.close(self._replaced.pop())
        while len(self._held) > _MOST:
            os.close(self._held.pop(next(iter(self._held))).descriptor)

    def close(self) -> None:
        """Close what is held."""
        for held in self._held.values():
            os.close(held.descriptor)
        for descriptor in self._replaced:
            os.close(descriptor)
        self._held, self._replaced = {}, []

    def _descriptor(self, path: str) -> int:
        if not path:
            return self._root
        above, _, name = path.rpartition("/")
        parent = self._descriptor(above)
        held = self._held.get(path)
        if held is not None:
            if _leads_to(held, name, parent):
                # The last used is closed last.
                self._held[path] = self._held.pop(path)
                return held.descriptor
            # The caller may be using it for another path.
            self._replaced.append(self._held.pop(path).descriptor)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        found = os.fstat(descriptor)
        self._held[path] = _Held(descriptor, found.st_dev, found.st_ino)
        return descriptor


def _leads_to(held: _Held, name: str, parent: int) -> bool:
    """Whether a name is still that of a held folder, whose inode is not reused meanwhile."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == held[1:]
