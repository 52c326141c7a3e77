"""Digests of files by what the file system says of them, so that unchanged ones stay unopened.

Owns the rule for when that can be trusted, which is git's: a file that was written at about the
time it was looked into is looked into again, because its times could hide a later write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from towline.model import Digest
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType

_MILLISECOND = 1_000_000
_SECOND = 1_000 * _MILLISECOND
# Linux stamps files with the time of the last timer tick, at most 10 ms ago.
_TICK = 20 * _MILLISECOND
# FAT counts in two seconds, HFS+ and some network file systems in one.
_COARSE_TICK = 2 * _SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedFile:
    """The digest of a file, what was seen of it then, and the time just before looking."""

    digest: Digest
    checked_ns: int
    seen: FileStat

    def holds_for(self, seen: FileStat) -> bool:
        """Whether a file that is seen so must still have this digest."""
        return self.seen.ctime_ns == seen.ctime_ns and self.is_unwritten(seen)

    def is_unwritten(self, seen: FileStat) -> bool:
        """Whether nobody can have written to a file that was moved since, and is seen so."""
        tick = _TICK if seen.mtime_ns % _SECOND else _COARSE_TICK
        return self.is_content_of(seen) and seen.mtime_ns + tick < self.checked_ns

    def is_content_of(self, seen: FileStat) -> bool:
        """Whether it is the same file, written to at the same time, though perhaps renamed.

        The device does not count: its number may be another after a restart.
        """
        return seen.type is FileType.FILE and (
            (self.seen.inode, self.seen.size, self.seen.mtime_ns)
            == (seen.inode, seen.size, seen.mtime_ns)
        )

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """The same, from its columns in the state file."""
        digest, checked_ns, size, mtime_ns, ctime_ns, inode = row
        seen = FileStat(FileType.FILE, size, mtime_ns, ctime_ns, inode, mode=0, device=0, owner=0)
        return cls(digest=Digest(digest), checked_ns=checked_ns, seen=seen)

    def row(self) -> tuple[object, ...]:
        """Its columns in the state file."""
        seen = self.seen
        stamps = (seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode)
        return (self.digest, self.checked_ns, *stamps)


class DigestCache:
    """What is known of files' digests: from the state file, and found since it was written.

    ``on_change`` is called when a file turns out to be new, or to have changed.
    """

    def __init__(
        self,
        disk: Disk,
        stored: Callable[[str], HashedFile | None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._disk = disk
        self._stored = stored
        self._on_change = on_change
        self._found: dict[str, HashedFile | None] = {}

    def last(self, path: str) -> HashedFile | None:
        """What was last known of the file at a path, whether or not it holds still."""
        return self._found[path] if path in self._found else self._stored(path)

    def check(self, path: str, seen: FileStat) -> HashedFile | None:
        """The digest of a file that was seen at a path; None where it is gone since."""
        last = self.last(path)
        if last is not None and last.holds_for(seen):
            # Permissions are as they are now, whatever they were.
            return HashedFile(digest=last.digest, checked_ns=last.checked_ns, seen=seen)
        checked_ns = self._disk.now_ns()
        found = self._disk.digest(path)
        if found is None:
            return None
        if last is None or last.digest != found[0]:
            self._on_change()
        checked = HashedFile(digest=found[0], checked_ns=checked_ns, seen=found[1])
        self._found[path] = checked
        return checked

    def put(self, path: str, checked: HashedFile | None) -> None:
        """Take in what is known otherwise; None: that there is no file."""
        self._found[path] = checked

    @property
    def found(self) -> Mapping[str, HashedFile | None]:
        """What the state file does not hold yet."""
        return self._found

    def forget_found(self) -> None:
        """Call when the state file holds it all."""
        self._found = {}
