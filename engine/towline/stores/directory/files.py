"""The stat of a path, and its permissions."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum

# SQLite's largest integer.
_MOST = 2**63 - 1


class FileType(Enum):
    """The types of a path that a store distinguishes."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"
    """A symbolic link, a pipe, a device."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """The stat of a path: its type, and what changes with its content."""

    type: FileType
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int
    device: int
    owner: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileStat:
        """Convert a stat result."""
        kind = FileType.OTHER
        if stat.S_ISREG(found.st_mode):
            kind = FileType.FILE
        elif stat.S_ISDIR(found.st_mode):
            kind = FileType.FOLDER
        return cls(
            kind,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_ino & _MOST,
            stat.S_IMODE(found.st_mode),
            found.st_dev,
            found.st_uid,
        )

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it, as in Git."""
        return bool(self.mode & 0o100)

    def is_same_file(self, other: FileStat) -> bool:
        """Whether both are one file, perhaps by two names."""
        return (self.inode, self.device) == (other.inode, other.device)


def permissions(mode: int, *, executable: bool | None) -> int:
    """Return permissions, executable by all who may read or by none; None leaves them."""
    mode &= 0o777
    if executable is None:
        return mode
    return mode | 0o100 | (mode & 0o444) >> 2 if executable else mode & ~0o111
