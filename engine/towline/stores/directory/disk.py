"""The directory store's access to the file system.

Every operation goes through `Disk`, so that tests can count operations and make any of them fail.
Paths are relative to the project's folder, which is held open; no operation follows a symbolic
link, at any depth.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from towline.model import Digest
from towline.stores.directory.files import (
    CREATE,
    FileStat,
    FileType,
    OpenFolders,
    hash_file,
    is_missing_error,
    rename_exclusively,
    stat_entries,
    sync_file_system,
    try_creating,
    write_all,
)

# Opening a pipe must not wait for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# link() on a file system without hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
# rename() of a file to the name of a folder.
_TARGET_EXISTS = {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}
_NO_NAMES = frozenset({"", ".", ".."})
# rmdir() of a folder that is not empty, or may not be removed.
_NOT_REMOVED = {errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EBUSY}

Stats: TypeAlias = Callable[[Iterator[os.DirEntry[str]]], Iterable[tuple[str, FileStat]]]


class Disk:
    """A project's folder. ``counts`` has the number of calls by operation."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._folders = OpenFolders(self._root)
        self._unflushed: set[str] = set()
        self.fsync = True
        """Whether `flush` and `flush_one` do anything; without it a loss of power is not safe."""
        self.counts: Counter[str] = Counter()
        self.redirects: dict[str, str] = {}
        """Paths to read instead of others, while an interrupted apply cannot be recovered."""

    def step(self, operation: str, path: str) -> None:  # noqa: ARG002 - for those who override it
        """Count an operation that is about to start; fault injection overrides this."""
        self.counts[operation] += 1

    def close(self) -> None:
        """Close the folder's descriptor, and those of the folders below it."""
        self._folders.close()
        os.close(self._root)

    def now_ns(self) -> int:
        """Return the time in nanoseconds, as in `FileStat`."""
        return time.time_ns()

    # --- reading ------------------------------------------------------------------------------

    def stat(self, path: str) -> FileStat | None:
        """Return the stat of a path; None if it, or one of its folders, does not exist."""
        path = self.redirects.get(path, path)
        self.step("stat", path)
        try:
            folder, name = self._parent(path)
            return FileStat.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
        except OSError as error:
            if is_missing_error(error):
                return None
            error.filename = path
            raise

    def scandir(self, folder: str, stats: Stats = stat_entries) -> list[tuple[str, FileStat]]:
        """Return the names in a folder with their stats, sorted; empty if it is not a folder.

        ``stats`` may leave out some of them.
        """
        self.step("list", folder)
        try:
            with os.scandir(self._open_folders(folder)[0]) as entries:
                found = dict(stats(entries))
        except OSError as error:
            if is_missing_error(error):
                return []
            error.filename = folder or "."
            raise
        for path in self.redirects:
            if _parent_path(path) == folder and (stat := self.stat(path)) is not None:
                found[path.rpartition("/")[2]] = stat
        return sorted(found.items(), key=lambda entry: entry[0])

    def read(self, path: str, most: int | None = None) -> tuple[bytes, FileStat] | None:
        """Return a file's bytes, and its stat from before reading.

        None if there is no file, or it has more than ``most`` bytes.
        """
        with self._open_file(path) as opened:
            if opened is None:
                return None
            descriptor, stat = opened
            with open(descriptor, "rb", closefd=False) as file:
                if most is None:
                    return file.read(), stat
                content = file.read(most + 1) if stat.size <= most else None
                return (content, stat) if content is not None and len(content) <= most else None

    def read_content(self, path: str, digest: Digest, most: int) -> bytes | None:
        """Return a file's bytes as `read`, if they have this digest."""
        found = self.read(path, most)
        return found[0] if found is not None and Digest.of(found[0]) == digest else None

    def digest(self, path: str) -> tuple[Digest, FileStat] | None:
        """Return the digest of a file of any size, and its stat, as `read`."""
        with self._open_file(path) as opened:
            if opened is None:
                return None
            descriptor, stat = opened
            while (digest := hash_file(descriptor, stat.size)) is None:
                # It was truncated meanwhile.
                os.lseek(descriptor, 0, os.SEEK_SET)
                stat = FileStat.of(os.fstat(descriptor))
            return digest, stat

    # --- probing ------------------------------------------------------------------------------

    def probe_rename_from(self, path: str, above: str) -> None:
        """Raise what renaming a file would raise; nothing is renamed.

        ``above`` is a folder that is not empty: a file cannot replace it, which the system checks
        only after it has checked that the file may be renamed.
        """
        self.step("probe", path)
        try:
            self._rename(path, above)
        except OSError as error:
            if error.errno not in _TARGET_EXISTS and not is_missing_error(error):
                raise

    def probe_rename_into(self, folder: str, source: str) -> None:
        """Raise what renaming a file from one folder to another would raise."""
        self.step("probe", folder)
        nothing = ".towline-nothing"
        above, beyond = self._open_folders(source, folder)
        # ENOENT comes after the check that both folders are on one file system.
        with suppress(FileNotFoundError):
            os.rename(nothing, nothing, src_dir_fd=above, dst_dir_fd=beyond)
        try_creating(beyond)

    def probe_chmod(self, path: str) -> None:
        """Raise what setting a file's permissions would raise; they are not changed."""
        self.step("probe", path)
        with self._open_file(path) as opened:
            if opened is not None:
                os.fchmod(opened[0], opened[1].mode)

    # --- writing ------------------------------------------------------------------------------

    def write(self, path: str, content: bytes, mode: int, *, exactly: bool = False) -> FileStat:
        """Write a new file; the umask applies to ``mode`` unless ``exactly``."""
        with self._create(path, mode, exactly=exactly) as descriptor:
            write_all(descriptor, content)
            return FileStat.of(os.fstat(descriptor))

    def copy(
        self, source: str, target: str, mode: int | None = None, *, exactly: bool = False
    ) -> tuple[Digest, FileStat] | None:
        """Copy a file of any size to a new file; holes are preserved.

        Returns the digest of the copy, and the stat of the source from before; None if there is
        no file, or it is truncated meanwhile. ``mode`` is the source's unless given.
        """
        with self._open_file(source) as opened:
            if opened is None:
                return None
            descriptor, stat = opened
            wanted = stat.mode & 0o666 | 0o600 if mode is None else mode
            with self._create(target, wanted, exactly=exactly) as copy:
                digest = hash_file(descriptor, stat.size, copy)
                os.ftruncate(copy, os.lseek(copy, 0, os.SEEK_CUR))
                return None if digest is None else (digest, stat)

    def rename(self, source: str, target: str) -> None:
        """Rename a file or folder; a file at the target is replaced."""
        self.step("rename", source)
        self._rename(source, target)
        self._unflushed |= {_parent_path(source), _parent_path(target)}

    def rename_noreplace(self, source: str, target: str) -> None:
        """Rename a file to a path where nothing exists.

        Raises:
            FileExistsError: the target exists.
        """
        self.step("link", source)
        try:
            (above, name), (beyond, new) = self._parents(source, target)
            if rename_exclusively(above, name, beyond, new):
                self._unflushed |= {_parent_path(source), _parent_path(target)}
                return
            os.link(name, new, src_dir_fd=above, dst_dir_fd=beyond, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self.stat(target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            self.rename(source, target)
        else:
            self._unflushed |= {_parent_path(target)}
            self.unlink(source)

    def unlink(self, path: str) -> None:
        """Remove a file, if it exists."""
        self.step("unlink", path)
        try:
            folder, name = self._parent(path)
            os.unlink(name, dir_fd=folder)
        except OSError as error:
            if not is_missing_error(error):
                raise
        self._unflushed.discard(path)
        self._unflushed.add(_parent_path(path))

    def mkdir(self, path: str) -> None:
        """Make a folder, if it does not exist.

        Raises:
            FileExistsError: the path is not a folder.
        """
        self.step("mkdir", path)
        try:
            folder, name = self._parent(path)
            os.mkdir(name, dir_fd=folder)
        except FileExistsError:
            stat = self.stat(path)
            if stat is None or stat.type is not FileType.FOLDER:
                raise
        self._unflushed.add(_parent_path(path))

    def rmdir(self, path: str) -> bool:
        """Remove a folder if it is empty and may be removed; return whether it is gone."""
        self.step("rmdir", path)
        try:
            folder, name = self._parent(path)
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno in _NOT_REMOVED:
                return False
            if is_missing_error(error):
                return True
            raise
        self._unflushed.discard(path)
        self._unflushed.add(_parent_path(path))
        return True

    def chmod(self, path: str, mode: int) -> None:
        """Set a file's permissions, if it exists."""
        self.step("chmod", path)
        with self._open_file(path) as opened:
            if opened is not None:
                os.fchmod(opened[0], mode)
                self._unflushed.add(path)

    # --- durability and exclusion -------------------------------------------------------------

    def flush(self) -> None:
        """Make everything that was written durable.

        One flush of the whole file system where the system has that, else one of each file and
        folder that was written.
        """
        if self.fsync:
            self.step("flush", "")
            self.sync_all(self._unflushed)
        self._unflushed.clear()

    def flush_one(self, path: str) -> None:
        """Make one file or folder durable."""
        if self.fsync:
            self.step("flush", path)
            self.sync(path)

    def sync_all(self, paths: Iterable[str]) -> None:
        """Flush the file system; tests that only kill processes override this."""
        if not sync_file_system(self._root):
            for path in sorted(paths):
                self.sync(path)

    def mark_unflushed(self, path: str) -> None:
        """Include a file that was written by other means in the next `flush`."""
        self._unflushed.add(path)

    def sync(self, path: str) -> None:
        """Flush one path, if it exists."""
        try:
            folder, name = self._parent(path) if path else (self._root, ".")
            descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            if is_missing_error(error):
                return
            raise
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> int | None:
        """Take an exclusive lock until the descriptor is closed; None if it is held."""
        import fcntl

        self.step("lock", path)
        folder, name = self._parent(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        return descriptor

    # --- paths --------------------------------------------------------------------------------

    def _open_folders(self, *paths: str) -> list[int]:
        """Return descriptors of folders, which are valid until the next call."""
        return self._folders.descriptors(*(_checked(path) if path else "" for path in paths))

    def _parents(self, *paths: str) -> list[tuple[int, str]]:
        """Return the descriptor of each path's folder, valid until the next call, and its name."""
        split = [_checked(path).rpartition("/") for path in paths]
        folders = self._folders.descriptors(*(above for above, _, _ in split))
        return [(folder, name) for folder, (_, _, name) in zip(folders, split, strict=True)]

    def _parent(self, path: str) -> tuple[int, str]:
        above, _, name = _checked(path).rpartition("/")
        return self._folders.descriptor(above), name

    def _rename(self, source: str, target: str) -> None:
        (above, name), (beyond, new) = self._parents(source, target)
        os.rename(name, new, src_dir_fd=above, dst_dir_fd=beyond)

    @contextmanager
    def _create(self, path: str, mode: int, *, exactly: bool) -> Iterator[int]:
        self.step("create", path)
        folder, name = self._parent(path)
        descriptor = os.open(name, CREATE, mode, dir_fd=folder)
        try:
            self._unflushed |= {path, _parent_path(path)}
            self.step("write", path)
            yield descriptor
            if exactly:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    @contextmanager
    def _open_file(self, path: str) -> Iterator[tuple[int, FileStat] | None]:
        path = self.redirects.get(path, path)
        self.step("read", path)
        try:
            folder, name = self._parent(path)
            descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            # A socket cannot be opened at all.
            if not is_missing_error(error) and error.errno != errno.ENXIO:
                error.filename = path
                raise
            yield None
            return
        try:
            stat = FileStat.of(os.fstat(descriptor))
            yield (descriptor, stat) if stat.type is FileType.FILE else None
        finally:
            os.close(descriptor)


def _checked(path: str) -> str:
    if "\0" in path or not _NO_NAMES.isdisjoint(path.split("/")):
        raise OSError(errno.EINVAL, "is not a path below the project", path)
    return path


def _parent_path(path: str) -> str:
    return path.rpartition("/")[0]
