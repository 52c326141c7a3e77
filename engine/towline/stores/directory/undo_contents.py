"""The contents that undoing pulls needs: files in ``.towline/undo``, named by their digests.

A pull copies them before its commit point, piece by piece, so that their size does not matter.
Projects of earlier versions hold theirs in the state file, where they are still read.
"""

from __future__ import annotations

from collections.abc import Iterable

from towline.model import Digest
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat
from towline.stores.directory.journal import STAGED
from towline.stores.directory.walk import OWN_FOLDER

FOLDER = f"{OWN_FOLDER}/undo"


class UndoContents:
    """The contents that a project's log refers to."""

    def __init__(self, disk: Disk, state: StateDatabase) -> None:
        self._disk = disk
        self._state = state
        self._made = False

    def has(self, digest: Digest) -> bool:
        """Whether this content is kept for a pull in the log."""
        return self._state.has_blob(digest) or (
            self._state.is_undo_content(digest) and self._disk.look(_path(digest)) is not None
        )

    def read(self, digest: Digest) -> bytes | None:
        """The bytes of this content, or None."""
        if (row := self._state.blob(digest)) is not None:
            return row
        found = self._disk.read(_path(digest))
        return found[0] if found is not None and Digest.of(found[0]) == digest else None

    def copy(self, digest: Digest, target: str, mode: int, *, exactly: bool) -> bool:
        """Copy this content to a new file; False where there is none, or it was altered."""
        found = self._disk.copy(_path(digest), target, mode, exactly=exactly)
        if found is not None and found[0] == digest:
            return True
        self._disk.unlink(target)
        return False

    def stage(self, digest: Digest, source: str) -> FileStat | None:
        """Copy a file that an apply will displace; what was seen of it, None if it differs."""
        if not self._made:
            self._disk.mkdir(FOLDER)
            self._made = True
        found = self._disk.copy(source, _staged(digest))
        if found is not None and found[0] == digest:
            return found[1]
        self._disk.unlink(_staged(digest))
        return None

    def keep(self, number: int, digest: Digest, displaced: str) -> None:
        """Keep a staged content for the pull of this number, within a transaction of the state."""
        here = self.has(digest) or self._move_in(digest)
        if not here and self._disk.look(_path(digest)) is None:
            # An earlier version began this apply, and has not staged it.
            here = self.stage(digest, displaced) is not None and self._move_in(digest)
            if not here:
                return
        self._state.keep_blob(number, digest)

    def _move_in(self, digest: Digest) -> bool:
        try:
            self._disk.rename(_staged(digest), _path(digest))
        except FileNotFoundError:
            return False
        return True

    def drop(self, digests: Iterable[Digest]) -> None:
        """Remove contents that no pull in the log refers to."""
        for digest in digests:
            self._disk.unlink(_path(digest))

    def sweep(self) -> None:
        """Remove what an interrupted apply left."""
        for name, _ in self._disk.listing(FOLDER):
            if not self._state.is_undo_content(name):
                self._disk.unlink(f"{FOLDER}/{name}")


def _path(digest: str) -> str:
    return f"{FOLDER}/{digest}"


def _staged(digest: str) -> str:
    return f"{STAGED}/undo-{digest}"
