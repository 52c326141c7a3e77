"""Digests of files by their stat, as in git's index, so that unchanged files are not read.

Owns the rule for when a stat can be trusted, which is git's for "racily clean" entries: a file that
was modified at about the time it was hashed is hashed again, because its times could be those of a
later write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from towline.model import Digest
from towline.stores.directory.files import EXECUTABLE, FileStat, FileType, stored_inode

if TYPE_CHECKING:
    from towline.stores.directory.disk import Disk

_MILLISECOND = 1_000_000
_SECOND = 1_000 * _MILLISECOND
# Linux uses the time of the last timer tick, at most 10 ms ago.
_TICK = 20 * _MILLISECOND
# FAT has a resolution of two seconds, HFS+ and some network file systems of one.
_COARSE_TICK = 2 * _SECOND


class HashedFile(NamedTuple):
    """The digest of a file, with its stat, and the time just before both were read."""

    digest: Digest
    checked_ns: int
    stat: FileStat

    def is_current_for(self, stat: FileStat) -> bool:
        """Whether a file with this stat must still have this digest."""
        return _is_current(self.row(), stat)

    def is_unmodified(self, stat: FileStat) -> bool:
        """Whether the file, perhaps renamed since, cannot have been written to."""
        return self.has_content_of(stat) and _is_settled(stat.mtime_ns, self.checked_ns)

    def has_content_of(self, stat: FileStat) -> bool:
        """Whether it is the same file with the same modification time, perhaps renamed.

        The device is not compared: its number may change with a restart.
        """
        return stat.type is FileType.FILE and (
            (self.stat.inode, self.stat.size, self.stat.mtime_ns)
            == (stat.inode, stat.size, stat.mtime_ns)
        )

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Decode the columns of the state file."""
        digest, checked_ns, size, mtime_ns, ctime_ns, inode = row
        stat = FileStat(FileType.FILE, size, mtime_ns, ctime_ns, inode, mode=0, device=0, owner=0)
        return cls(digest=Digest(digest), checked_ns=checked_ns, stat=stat)

    def row(self) -> tuple[object, ...]:
        """Return the columns of the state file."""
        stat = self.stat
        stamps = (stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode)
        return (self.digest, self.checked_ns, *stamps)


def _is_current(row: Sequence[Any], stat: FileStat) -> bool:
    """Whether a file with this stat must still have the digest of this row."""
    _, checked_ns, size, mtime_ns, ctime_ns, inode = row
    return (
        stat.mtime_ns == mtime_ns
        and stat.ctime_ns == ctime_ns
        and stat.size == size
        and stat.inode == inode
        and stat.type is FileType.FILE
        and _is_settled(mtime_ns, checked_ns)
    )


def _is_settled(mtime_ns: int, checked_ns: int) -> bool:
    """Whether no write after the check can have the same modification time."""
    return mtime_ns + (_TICK if mtime_ns % _SECOND else _COARSE_TICK) < checked_ns


SETTLED = (
    f"mtime_ns + CASE WHEN mtime_ns % {_SECOND} THEN {_TICK} ELSE {_COARSE_TICK} END < checked_ns"
)
"""The same rule in SQL, of a row of the state file."""


class PulledFiles:
    """The assets whose files are as they were pulled, by their stats, which a scan compares.

    Each row has an asset's id, the path of its file (None where no stat can show that it is as it
    was pulled), and the size, times, inode and executable bit that the file then has.
    """

    def __init__(self, rows: Iterable[Sequence[Any]], *, reads_executable: bool) -> None:
        self._bits = stat.S_IFMT(0o177777) | (EXECUTABLE if reads_executable else 0)
        self._unseen = {row[1]: row for row in rows}
        self._changed = [row[0] for row in rows if row[1] is None]
        self._unseen.pop(None, None)
        self.unchanged = 0
        """How many assets were found to be as they were pulled."""

    def discard(self, path: str) -> None:
        """Do not compare the file at this path: something newer is known of it."""
        if (row := self._unseen.pop(path, None)) is not None:
            self._changed.append(row[0])

    def others(
        self, folder: str, entries: Iterator[os.DirEntry[str]]
    ) -> Iterator[tuple[str, FileStat]]:
        """Yield what is in a folder, with its stat, but for the files that are as pulled."""
        above, unseen, bits = f"{folder}/" if folder else "", self._unseen, self._bits
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                # It was removed since the folder was read.
                continue
            path = above + entry.name
            if path in unseen:
                _, _, size, mtime_ns, ctime_ns, inode, executable = unseen[path]
                mode = stat.S_IFREG | (EXECUTABLE if executable else 0)
                if (
                    found.st_mtime_ns == mtime_ns
                    and found.st_ctime_ns == ctime_ns
                    and found.st_size == size
                    and stored_inode(found) == inode
                    and (found.st_mode ^ mode) & bits == 0
                ):
                    del unseen[path]
                    self.unchanged += 1
                    continue
            yield entry.name, FileStat.of(found)

    def changed(self) -> list[str]:
        """Return the ids of the assets that were not found as they were pulled."""
        return [*self._changed, *(row[0] for row in self._unseen.values())]


class DigestCache:
    """The digests of files: from the state file, and those hashed since it was written.

    ``on_change`` is called when a file is new, or has changed.
    """

    def __init__(
        self,
        disk: Disk,
        stored: Callable[[str], HashedFile | None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._disk = disk
        self._stored = stored
        self._rows: Mapping[str, Sequence[Any]] = {}
        self._on_change = on_change
        self._pending: dict[str, HashedFile | None] = {}

    def load(self, rows: Mapping[str, Sequence[Any]]) -> None:
        """Use these rows of the state file, by path, until `clear_rows`."""
        self._rows = rows

    def clear_rows(self) -> None:
        """Forget what `load` gave."""
        self._rows = {}

    def current(self, path: str, stat: FileStat) -> Digest | None:
        """Return the digest of a file with this stat if a loaded row has it; nothing is read."""
        row = self._rows.get(path)
        if row is None or path in self._pending or not _is_current(row, stat):
            return None
        return Digest(row[0])

    def last(self, path: str) -> HashedFile | None:
        """Return the last known digest of a path, current or not."""
        return self._pending[path] if path in self._pending else self._stored(path)

    def hashed(self, path: str, stat: FileStat) -> HashedFile | None:
        """Return the digest of a file with this stat, read if need be; None if it is gone."""
        last = self.last(path)
        if last is not None and last.is_current_for(stat):
            # With the current permissions.
            return HashedFile(digest=last.digest, checked_ns=last.checked_ns, stat=stat)
        checked_ns = self._disk.now_ns()
        found = self._disk.digest(path)
        if found is None:
            return None
        if last is None or last.digest != found[0]:
            self._on_change()
        checked = HashedFile(digest=found[0], checked_ns=checked_ns, stat=found[1])
        self._pending[path] = checked
        return checked

    def put(self, path: str, checked: HashedFile | None) -> None:
        """Set the digest of a path; None if there is no file."""
        self._pending[path] = checked

    @property
    def pending(self) -> Mapping[str, HashedFile | None]:
        """The digests that are not in the state file yet, by path."""
        return self._pending

    def clear_pending(self) -> None:
        """Forget the pending digests; they are in the state file, or outdated."""
        self._pending = {}
        self._rows = {}
