"""The directory store's one seam to the file system.

Every operation goes through here, so that tests can count them and fail any of them. Paths are
names joined by ``/`` below the project's folder, which is held open; no operation follows a
symbolic link, at any depth.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha1

from towline.model import Digest
from towline.stores.directory.files import FileStat, FileType

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe that someone put there must not wait for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What a file system without hard links answers to link().
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
# What it answers to a rename that a folder at the new name forbids.
_IN_THE_WAY = {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}
# What it answers to an rmdir of a folder that is not empty, or must not be removed.
_STAYS = {errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EBUSY}
_CHUNK = 1024 * 1024
_EMPTY = bytes(_CHUNK)
_PROBE = ".towline-probe"


class Disk:
    """A project's folder. ``counts`` tells how often each operation was done."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._unflushed: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.moved: dict[str, str] = {}
        """Paths that are read elsewhere, while an interrupted apply cannot be recovered."""

    def step(self, operation: str, path: str) -> None:  # noqa: ARG002 - for those who override it
        """Called before each operation; fault injection overrides it."""
        self.counts[operation] += 1

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._root)

    def now_ns(self) -> int:
        """The time, in the file system's unit."""
        return time.time_ns()

    # --- looking ------------------------------------------------------------------------------

    def look(self, path: str) -> FileStat | None:
        """What stands at a path; None also where one of its folders is none."""
        path = self.moved.get(path, path)
        self.step("look", path)
        try:
            with self._parent(path) as (folder, name):
                return FileStat.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
        except OSError as error:
            if _is_absence(error):
                return None
            raise

    def listing(self, folder: str) -> list[tuple[str, FileStat]]:
        """The names in a folder and what stands there, sorted; nothing where it is no folder."""
        self.step("list", folder)
        try:
            with self._folder(folder) as descriptor, os.scandir(descriptor) as entries:
                found = dict(_seen_entries(entries))
        except OSError as error:
            if _is_absence(error):
                return []
            raise
        for path in self.moved:
            if _above(path) == folder and (seen := self.look(path)) is not None:
                found[path.rpartition("/")[2]] = seen
        return sorted(found.items(), key=lambda entry: entry[0])

    def read(self, path: str) -> tuple[bytes, FileStat] | None:
        """A file's bytes, and what was seen of it before reading; None where there is no file."""
        with self._open_file(path) as opened:
            if opened is None:
                return None
            descriptor, seen = opened
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.readall(), seen

    def digest(self, path: str) -> tuple[Digest, FileStat] | None:
        """The digest of a file of any size, as `read`."""
        with self._open_file(path) as opened:
            if opened is None:
                return None
            descriptor, seen = opened
            while (digest := _hashed(descriptor, seen.size)) is None:
                # It was cut off meanwhile.
                os.lseek(descriptor, 0, os.SEEK_SET)
                seen = FileStat.of(os.fstat(descriptor))
            return digest, seen

    # --- trying -------------------------------------------------------------------------------

    def try_leaving(self, path: str, above: str) -> None:
        """Raise what moving a file from its place would raise; nothing moves.

        ``above`` is a folder with something in it, beside the path: a file cannot take its place,
        which the system finds out only after it has checked that the file may be moved.
        """
        self.step("try", path)
        try:
            with self._parent(path) as (folder, name), self._parent(above) as (beyond, new):
                os.rename(name, new, src_dir_fd=folder, dst_dir_fd=beyond)
        except OSError as error:
            if error.errno not in _IN_THE_WAY and not _is_absence(error):
                raise

    def try_arriving(self, folder: str, source: str) -> None:
        """Raise what moving a file from one folder to another would raise; no name is made."""
        self.step("try", folder)
        nothing = ".towline-nothing"
        with self._folder(source) as above, self._folder(folder) as beyond:
            # That it is missing is found out after that both are on one file system.
            with suppress(FileNotFoundError):
                os.rename(nothing, nothing, src_dir_fd=above, dst_dir_fd=beyond)
            _try_creating(beyond)

    def try_chmod(self, path: str) -> None:
        """Raise what setting a file's permissions would raise; they stay as they are."""
        self.step("try", path)
        with self._open_file(path) as opened:
            if opened is not None:
                os.fchmod(opened[0], opened[1].mode)

    # --- writing ------------------------------------------------------------------------------

    def write(self, path: str, content: bytes, mode: int, *, exactly: bool = False) -> FileStat:
        """Make a new file; ``mode`` is held to the process's umask unless ``exactly``."""
        with self._create(path, mode, exactly=exactly) as descriptor:
            _write_all(descriptor, content)
            return FileStat.of(os.fstat(descriptor))

    def copy(
        self, source: str, target: str, mode: int | None = None, *, exactly: bool = False
    ) -> tuple[Digest, FileStat] | None:
        """Make a new file of a file's content, of any size; what is empty in it stays unwritten.

        Returns the digest of the copy, and what was seen of the source before; None where there
        is no file, or it is cut off meanwhile. ``mode`` is the source's unless given.
        """
        with self._open_file(source) as opened:
            if opened is None:
                return None
            descriptor, seen = opened
            wanted = seen.mode & 0o666 | 0o600 if mode is None else mode
            with self._create(target, wanted, exactly=exactly) as copy:
                digest = _hashed(descriptor, seen.size, copy)
                os.ftruncate(copy, os.lseek(copy, 0, os.SEEK_CUR))
                return None if digest is None else (digest, seen)

    def rename(self, source: str, target: str) -> None:
        """Move what stands at a path; a file at the target is replaced."""
        self.step("rename", source)
        with self._parent(source) as (above, name), self._parent(target) as (beyond, new):
            os.rename(name, new, src_dir_fd=above, dst_dir_fd=beyond)
        self._unflushed |= {_above(source), _above(target)}

    def rename_new(self, source: str, target: str) -> None:
        """Move what stands at a path to one where nothing stands.

        Raises:
            FileExistsError: something does. Nothing is ever replaced.
        """
        self.step("link", source)
        try:
            with self._parent(source) as (above, name), self._parent(target) as (beyond, new):
                os.link(name, new, src_dir_fd=above, dst_dir_fd=beyond, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self.look(target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            self.rename(source, target)
        else:
            self._unflushed |= {_above(target)}
            self.unlink(source)

    def unlink(self, path: str) -> None:
        """Remove a file, if it is there."""
        self.step("unlink", path)
        try:
            with self._parent(path) as (folder, name):
                os.unlink(name, dir_fd=folder)
        except OSError as error:
            if not _is_absence(error):
                raise
        self._unflushed.discard(path)
        self._unflushed.add(_above(path))

    def mkdir(self, path: str) -> None:
        """Make a folder, if there is none.

        Raises:
            FileExistsError: something else is there.
        """
        self.step("mkdir", path)
        try:
            with self._parent(path) as (folder, name):
                os.mkdir(name, dir_fd=folder)
        except FileExistsError:
            seen = self.look(path)
            if seen is None or seen.type is not FileType.FOLDER:
                raise
        self._unflushed.add(_above(path))

    def rmdir(self, path: str) -> bool:
        """Remove a folder if it is empty and may be removed; whether it is gone."""
        self.step("rmdir", path)
        try:
            with self._parent(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno in _STAYS:
                return False
            if _is_absence(error):
                return True
            raise
        self._unflushed.discard(path)
        self._unflushed.add(_above(path))
        return True

    def chmod(self, path: str, mode: int) -> None:
        """Set a file's permissions; nothing where there is no file."""
        self.step("chmod", path)
        with self._open_file(path) as opened:
            if opened is not None:
                os.fchmod(opened[0], mode)
                self._unflushed.add(path)

    # --- durability and exclusion -------------------------------------------------------------

    def flush(self) -> None:
        """Make all that was written last, whatever becomes of the machine.

        One flush of the whole file system where there is such a thing, else one of each file and
        folder that was written here.
        """
        self.step("flush", "")
        self.sync_all(self._unflushed)
        self._unflushed.clear()

    def flush_one(self, path: str) -> None:
        """Make one file or folder last."""
        self.step("flush", path)
        self.sync(path)

    def sync_all(self, paths: Iterable[str]) -> None:
        """What `flush` asks of the machine; tests that kill processes alone may leave it out."""
        if not _syncfs(self._root):
            for path in sorted(paths):
                self.sync(path)

    def note_written(self, path: str) -> None:
        """Have the next `flush` cover a file that was not written through here."""
        self._unflushed.add(path)

    def sync(self, path: str) -> None:
        """What `flush_one` asks of the machine, and nothing where nothing stands."""
        try:
            with self._parent(path) if path else self._itself() as (folder, name):
                descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            if _is_absence(error):
                return
            raise
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> int | None:
        """Take an exclusive lock, held until the descriptor is closed; None: another has it."""
        import fcntl

        self.step("lock", path)
        with self._parent(path) as (folder, name):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    # --- paths --------------------------------------------------------------------------------

    @contextmanager
    def _folder(self, path: str) -> Iterator[int]:
        descriptor = os.dup(self._root)
        try:
            for name in _names(path) if path else ():
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        *above, name = _names(path)
        if not above:
            yield self._root, name
            return
        with self._folder("/".join(above)) as descriptor:
            yield descriptor, name

    @contextmanager
    def _itself(self) -> Iterator[tuple[int, str]]:
        yield self._root, "."

    @contextmanager
    def _create(self, path: str, mode: int, *, exactly: bool) -> Iterator[int]:
        self.step("create", path)
        with self._parent(path) as (folder, name):
            descriptor = os.open(name, _CREATE, mode, dir_fd=folder)
        try:
            self._unflushed |= {path, _above(path)}
            self.step("write", path)
            yield descriptor
            if exactly:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    @contextmanager
    def _open_file(self, path: str) -> Iterator[tuple[int, FileStat] | None]:
        path = self.moved.get(path, path)
        self.step("read", path)
        try:
            with self._parent(path) as (folder, name):
                descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            # A socket cannot be opened at all.
            if not _is_absence(error) and error.errno != errno.ENXIO:
                raise
            yield None
            return
        try:
            seen = FileStat.of(os.fstat(descriptor))
            yield (descriptor, seen) if seen.type is FileType.FILE else None
        finally:
            os.close(descriptor)


def _names(path: str) -> list[str]:
    names = path.split("/")
    if "\0" in path or not {"", ".", ".."}.isdisjoint(names):
        raise OSError(errno.EINVAL, "is no path below the project", path)
    return names


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _is_absence(error: OSError) -> bool:
    """Whether nothing stands there, a symbolic link on the way counting for nothing."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk


def _hashed(descriptor: int, size: int, copy: int | None = None) -> Digest | None:
    """The digest of a file's first ``size`` bytes, which are copied; None where it has fewer."""
    # The size comes first in what is hashed; what is appended meanwhile is left out.
    hashed = sha1(b"blob %d\0" % size, usedforsecurity=False)
    left = size
    for chunk in _chunks(descriptor) if size else ():
        part = chunk[:left]
        hashed.update(part)
        if copy is not None and part == _EMPTY:
            os.lseek(copy, len(part), os.SEEK_CUR)
        elif copy is not None:
            _write_all(copy, part)
        left -= len(part)
        if not left:
            break
    return None if left else Digest(hashed.hexdigest())


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _try_creating(folder: int) -> None:
    """Make a file without a name, or with one where the file system has no such files."""
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
    os.close(os.open(_PROBE, _CREATE, 0o600, dir_fd=folder))
    os.unlink(_PROBE, dir_fd=folder)


def _seen_entries(entries: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, FileStat]]:
    for entry in entries:
        # It may be gone since the folder was read.
        with suppress(FileNotFoundError):
            yield entry.name, FileStat.of(entry.stat(follow_symlinks=False))


def _syncfs(descriptor: int) -> bool:
    """Flush the file system of a descriptor; False where that cannot be asked for."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    if call(descriptor) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(problem, os.strerror(problem))
