"""Files and folders by their descriptors: stat, digest, calls that Python does not have."""

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
MOST_FOLDERS = 128
"""The most descriptors of folders that are held from one call to the next."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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


def is_missing_error(error: OSError) -> bool:
    """Whether the path does not exist; one through a symbolic link counts as missing."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


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


# --- folders that are held open, so that paths are not walked from the root again ---------------


class _HeldFolder(NamedTuple):
    descriptor: int
    device: int
    inode: int


class OpenFolders:
    """The folders below one that is open (``root``), by their paths relative to it.

    Owns the rule for when a held descriptor may be used: only while every name of its path leads to
    the folders that are held, by one stat of each name, which follows no symbolic link. A folder
    that was replaced since, by another or by a link, is opened again, which refuses links.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._held: dict[str, _HeldFolder] = {}
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
        while len(self._held) > MOST_FOLDERS:
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
        self._held[path] = _HeldFolder(descriptor, found.st_dev, found.st_ino)
        return descriptor


def _leads_to(held: _HeldFolder, name: str, parent: int) -> bool:
    """Whether a name is still that of a held folder, whose inode is not reused meanwhile."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == held[1:]
