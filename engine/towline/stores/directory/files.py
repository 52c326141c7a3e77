"""What the file system says of a path."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum

# SQLite counts no further.
_MOST = 2**63 - 1


class FileType(Enum):
    """What stands at a path, as far as a store cares."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"
    """A symbolic link, a pipe, a device."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """What the file system said of a path: its type, and what changes when its content does."""

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
        """The same, of a stat result."""
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
        """Whether its owner may execute it, as Git asks."""
        return bool(self.mode & 0o100)

    def is_same_file(self, other: FileStat) -> bool:
        """Whether both are one file, by whatever name."""
        return (self.inode, self.device) == (other.inode, other.device)
