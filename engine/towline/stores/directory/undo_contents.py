"""The contents that undoing pulls needs: files in ``.towline/undo``, named by their digests.

A pull copies them in chunks before its commit point, so that their size does not matter. Projects
of earlier versions have them in the state file, where they are still read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from towline.errors import StalePlan
from towline.model import AssetPath, Digest
from towline.stores.checks import undo_needs
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.digests import HashedFile
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat
from towline.stores.directory.journal import Journal
from towline.stores.directory.state_folder import STAGED, STATE_FOLDER

_FOLDER = f"{STATE_FOLDER}/undo"


class UndoContents:
    """The contents that a project's log refers to."""

    def __init__(self, disk: Disk, state: StateDatabase) -> None:
        self._disk = disk
        self._state = state
        self._has_folder = False

    def stored(self, digests: Iterable[Digest]) -> set[str]:
        """Return those of these contents that are stored for a pull in the log."""
        digests = tuple(digests)
        files = self._state.pulls.undo_contents(digests)
        return self._state.pulls.blobs(digests) | {
            digest for digest in files if self._disk.stat(_path(digest)) is not None
        }

    def read(self, digest: Digest, most: int) -> bytes | None:
        """Return the bytes of this content, or None: it is missing or has more than ``most``."""
        if (content := self._state.pulls.blob(digest)) is not None:
            return content if len(content) <= most else None
        return self._disk.read_content(_path(digest), digest, most)

    def copy(self, digest: Digest, target: str, mode: int, *, exactly: bool) -> bool:
        """Copy this content to a new file; False if it is missing or was altered."""
        found = self._disk.copy(_path(digest), target, mode, exactly=exactly)
        if found is not None and found[0] == digest:
            return True
        self._disk.unlink(target)
        return False

    def stage(self, journal: Journal) -> dict[AssetPath, HashedFile]:
        """Copy what undoing a plan needs of the files that it replaces; return their digests.

        Raises:
            StalePlan: a file was changed since it was checked.
        """
        needed = undo_needs(journal.plan.edits)
        needed -= self.stored(needed)
        copied: dict[AssetPath, HashedFile] = {}
        for step in journal.steps:
            before = step.before
            if before is None or not step.removes_old_file or before.digest not in needed:
                continue
            needed.remove(before.digest)
            checked_ns = self._disk.now_ns()
            stat = self._copy_in(before.digest, before.path)
            if stat is None:
                raise StalePlan(
                    reason="assets changed since the plan was made",
                    asset_ids=(journal.plan.edits[step.number].asset_id,),
                    paths=(before.path,),
                )
            copied[before.path] = HashedFile(digest=before.digest, checked_ns=checked_ns, stat=stat)
        return copied

    def _copy_in(self, digest: Digest, source: str) -> FileStat | None:
        """Copy a file to the staged contents; return its stat, None if its digest differs."""
        if not self._has_folder:
            self._disk.mkdir(_FOLDER)
            self._has_folder = True
        found = self._disk.copy(source, _staged(digest))
        if found is not None and found[0] == digest:
            return found[1]
        self._disk.unlink(_staged(digest))
        return None

    def add(self, number: int, backups: Mapping[Digest, str]) -> None:
        """Store staged contents for the pull of this number, in a transaction of the state.

        ``backups`` has each content's file, which an earlier version did not stage.
        """
        stored = self.stored(backups)
        added = [
            digest for digest in backups if digest in stored or self._add(digest, backups[digest])
        ]
        self._state.pulls.add_undo_contents(number, added)

    def _add(self, digest: Digest, backup: str) -> bool:
        if self._move_in(digest) or self._disk.stat(_path(digest)) is not None:
            return True
        return self._copy_in(digest, backup) is not None and self._move_in(digest)

    def _move_in(self, digest: Digest) -> bool:
        try:
            self._disk.rename(_staged(digest), _path(digest))
        except FileNotFoundError:
            return False
        return True

    def remove(self, digests: Iterable[Digest]) -> None:
        """Remove contents that the log no longer refers to."""
        for digest in digests:
            self._disk.unlink(_path(digest))

    def sweep(self) -> None:
        """Remove the contents that an interrupted apply left."""
        names = [name for name, _ in self._disk.scandir(_FOLDER)]
        needed = self._state.pulls.undo_contents(names)
        for name in names:
            if name not in needed:
                self._disk.unlink(f"{_FOLDER}/{name}")


def _path(digest: str) -> str:
    return f"{_FOLDER}/{digest}"


def _staged(digest: str) -> str:
    return f"{STAGED}/undo-{digest}"
