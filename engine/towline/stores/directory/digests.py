"""Digests of files by their stat, as in git's index, so that unchanged files are not read.

Owns the rule for when a stat can be trusted, which is git's for "racily clean" entries: a file that
was modified at about the time it was hashed is hashed again, because its times could be those of a
later write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from towline.model import Digest
from towline.stores.directory.files import FileStat, FileType

if TYPE_CHECKING:
    from towline.stores.directory.disk import Disk

_MILLISECOND = 1_000_000
_SECOND = 1_000 * _MILLISECOND
# Linux uses the time of the last timer tick, at most 10 ms ago.
_TICK = 20 * _MILLISECOND
# FAT has a resolution of two seconds, HFS+ and some network file systems of one.
_COARSE_TICK = 2 * _SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedFile:
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
