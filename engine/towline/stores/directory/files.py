"""Files by their descriptors: stat, permissions, digest, and calls that Python does not have."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from functools import cache
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from towline.model import Digest

if TYPE_CHECKING:
    import ctypes

# SQLite's largest integer.
_MOST = 2**63 - 1
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1024 * 1024
_EMPTY = bytes(_CHUNK)
_PROBE = ".towline-probe"
_NOREPLACE = 1
"""RENAME_NOREPLACE of Linux."""


class FileType(Enum):
    """The types of a path that a store distinguishes."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"
    """A symbolic link, a pipe, a device."""


EXECUTABLE = 0o100
"""The bit of a mode that lets the owner execute the file, as in Git."""
_TYPES = {stat.S_IFREG: FileType.FILE, stat.S_IFDIR: FileType.FOLDER}


class FileStat(NamedTuple):
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
        mode = found.st_mode
        return cls(
            _TYPES.get(stat.S_IFMT(mode), FileType.OTHER),
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            stored_inode(found),
            stat.S_IMODE(mode),
            found.st_dev,
            found.st_uid,
        )

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it, as in Git."""
        return bool(self.mode & EXECUTABLE)

    def is_same_file(self, other: FileStat) -> bool:
        """Whether both are one file, perhaps by two names."""
        return (self.inode, self.device) == (other.inode, other.device)


def stored_inode(found: os.stat_result) -> int:
    """Return the inode as the state file stores it."""
    return found.st_ino & _MOST


def permissions(mode: int, *, executable: bool | None) -> int:
    """Return permissions, executable by all who may read or by none; None leaves them."""
    mode &= 0o777
    if executable is None:
        return mode
    return mode | 0o100 | (mode & 0o444) >> 2 if executable else mode & ~0o111


def reason_of(error: Exception) -> str:
    """Return the message of an error of the system or of SQLite, with the file that it names."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return str(error)


# --- calls on descriptors ------------------------------------------------------------------------


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk


def hash_file(descriptor: int, size: int, copy: int | None = None) -> Digest | None:
    """Hash, and copy, a file's first ``size`` bytes; None if it has fewer."""
    # The hash begins with the size, so bytes that are appended meanwhile are left out.
    hashed = sha1(b"blob %d\0" % size, usedforsecurity=False)
    left = size
    for chunk in _chunks(descriptor) if size else ():
        part = chunk[:left]
        hashed.update(part)
        if copy is not None and part == _EMPTY:
            os.lseek(copy, len(part), os.SEEK_CUR)
        elif copy is not None:
            write_all(copy, part)
        left -= len(part)
        if not left:
            break
    return None if left else Digest(hashed.hexdigest())


def write_all(descriptor: int, content: bytes) -> None:
    """Write bytes, in as many calls as it takes."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def try_creating(folder: int) -> None:
    """Create a file without a name, or with one where the file system has no O_TMPFILE."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        os.close(os.open(".", flags | getattr(os, "O_TMPFILE", 0), 0o600, dir_fd=folder))
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    else:
        return
    with suppress(FileNotFoundError):
        os.unlink(_PROBE, dir_fd=folder)
    os.close(os.open(_PROBE, CREATE, 0o600, dir_fd=folder))
    os.unlink(_PROBE, dir_fd=folder)


def stat_entries(entries: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, FileStat]]:
    """Yield the names in a folder with their stats."""
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # It was removed since the folder was read.
            continue
        yield entry.name, FileStat.of(found)


def sync_file_system(descriptor: int) -> bool:
    """Flush the file system of a descriptor; False where the system has no such call."""
    return _call("syncfs", descriptor)


def rename_exclusively(above: int, name: str, beyond: int, new: str) -> bool:
    """Rename to a name that is free, both relative to folders; False where that cannot be asked.

    Raises:
        FileExistsError: the name is taken.
    """
    return _call("renameat2", above, os.fsencode(name), beyond, os.fsencode(new), _NOREPLACE)


@cache
def _system() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: int | bytes) -> bool:
    """Call a function of the C library; False where it, or the file system, does not have it."""
    import ctypes

    call = getattr(_system(), function, None)
    if call is None:
        return False
    if call(*arguments) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(problem, os.strerror(problem))
