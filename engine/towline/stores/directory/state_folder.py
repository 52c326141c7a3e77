"""The folder ``.towline``: made with a project, and checked before anything in it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from towline.errors import (
    AlreadyAssociated,
    LinkRefused,
    NotAssociated,
    StoreBusy,
    StoreDamaged,
    StoreError,
    TowlineError,
    UnsafeOwner,
)
from towline.names import NamePolicy
from towline.stores.directory.files import FileStat, FileType, permissions, reason_of
from towline.stores.directory.schema import create_state

if TYPE_CHECKING:
    from towline.kinds import Kinds
    from towline.stores.directory.database import StateDatabase
    from towline.stores.directory.disk import Disk

STATE_FOLDER = ".towline"
STATE_FILE = f"{STATE_FOLDER}/state.db"
STAGED = f"{STATE_FOLDER}/staged"
REPLACED = f"{STATE_FOLDER}/replaced"
"""See `towline.stores.directory.journal`."""
_NEW = f"{STATE_FILE}.new"
_LOCK = f"{STATE_FOLDER}/lock"
_IGNORE = f"{STATE_FOLDER}/.gitignore"
"""Hides the folder from a Git work tree around it; never executable."""
_EXECUTABLE = f"{STATE_FOLDER}/executable"
"""An empty file that is executable if the file system stores that."""
_PROBE = f"{STATE_FOLDER}/Probe-\u00e9"

Trusts: TypeAlias = Callable[[int], bool]
"""Whether the folder of a project may belong to the user with this id."""


def trusts_current_user(owner: int) -> bool:
    """Trust the user of this process, and root."""
    return owner in (0, os.geteuid())


@contextmanager
def store_errors(shown: str) -> Iterator[None]:
    """Raise StoreError instead of errors of the system and of SQLite."""
    try:
        yield
    except TowlineError:
        raise
    except sqlite3.OperationalError as error:
        raise StoreError(project=shown, problem=f"{STATE_FILE}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(project=shown, problem=f"{STATE_FILE}: {error}") from error
    except OSError as error:
        raise StoreError(project=shown, problem=reason_of(error)) from error


@contextmanager
def locked(disk: Disk, shown: str) -> Iterator[None]:
    """Hold the project's lock.

    Raises:
        StoreBusy: another process or thread holds it.
    """
    descriptor = disk.lock(_LOCK)
    if descriptor is None:
        raise StoreBusy(project=shown)
    try:
        yield
    finally:
        os.close(descriptor)


def remove_files(disk: Disk, folder: str) -> None:
    """Remove a folder of ``.towline`` and the files in it, if it exists."""
    if not disk.rmdir(folder):
        for name, _ in disk.scandir(folder):
            disk.unlink(f"{folder}/{name}")
        disk.rmdir(folder)


def check_project(disk: Disk, shown: str, trusts: Trusts) -> Mapping[str, FileStat]:
    """Return the contents of ``.towline``, by path; refuse one that is not safe to open.

    Raises:
        NotAssociated: there is no state file.
        LinkRefused: the folder, or something in it, is a link or a special file.
        UnsafeOwner: the folder, or something in it, belongs to a user who is not trusted.
    """
    found = _check_state_folder(disk, shown, trusts)
    state = found.get(STATE_FILE)
    if state is None:
        raise NotAssociated(project=shown)
    if state.type is not FileType.FILE:
        raise StoreError(project=shown, problem=f"{STATE_FILE} is not a file")
    return found


def _check_state_folder(disk: Disk, shown: str, trusts: Trusts) -> Mapping[str, FileStat]:
    folder = disk.stat(STATE_FOLDER)
    if folder is None:
        return {}
    if folder.type is FileType.FILE:
        raise StoreError(project=shown, problem=f"{STATE_FOLDER} is not a folder")
    found = {f"{STATE_FOLDER}/{name}": stat for name, stat in disk.scandir(STATE_FOLDER)}
    for path, stat in {STATE_FOLDER: folder, **found}.items():
        if stat.type is FileType.OTHER:
            problem = f"{path} is a link or a special file"
            raise LinkRefused(project=shown, problem=problem)
        if not trusts(stat.owner):
            raise UnsafeOwner(project=shown, problem=path, owner=stat.owner)
    return found


def create_project(
    disk: Disk,
    root: Path,
    project: str | None,
    kinds: Kinds,
    names: NamePolicy | None,
    keep: int,
    trusts: Trusts,
) -> None:
    """Make ``.towline`` and the state file in it, which appears complete or not at all.

    Raises:
        AlreadyAssociated: there is a state file.
        StoreBusy: another process is making it.
        LinkRefused, UnsafeOwner: see `check_project`.
    """
    import secrets

    _check_state_folder(disk, str(root), trusts)
    disk.mkdir(STATE_FOLDER)
    with locked(disk, str(root)):
        if disk.stat(STATE_FILE) is not None:
            raise AlreadyAssociated(project=str(root))
        # SQLite would apply a log file that is left over to the new database.
        for ending in ("-journal", "-wal", "-shm"):
            disk.unlink(_NEW + ending)
            disk.unlink(STATE_FILE + ending)
        disk.unlink(_NEW)
        create_state(
            str(root / _NEW),
            project=project or secrets.token_hex(12),
            kinds=kinds,
            names=names or probe_names(disk),
            filemode=probe_executable(disk),
            keep=keep,
        )
        disk.mark_unflushed(_NEW)
        disk.flush()
        disk.rename(_NEW, STATE_FILE)
        disk.flush_one(STATE_FOLDER)


def upgrade_project(disk: Disk, state: StateDatabase, shown: str) -> None:
    """Convert the state file of an older version to the current format.

    Raises:
        StoreBusy: another process is applying.
    """
    with locked(disk, shown):
        state.upgrade(filemode=probe_executable(disk))


def preserves_executable(found: Mapping[str, FileStat]) -> bool:
    """Whether the marker files of ``.towline`` have the executable bits that they were given.

    They do not after a copy to, or by, something that does not store the bits.
    """
    executable, ignore = found.get(_EXECUTABLE), found.get(_IGNORE)
    return executable is not None and executable.executable and not (ignore and ignore.executable)


def probe_executable(disk: Disk) -> bool:
    """Find out whether the file system stores the executable bit; leaves the marker files."""
    for path, content, executable in ((_IGNORE, b"*\n", False), (_EXECUTABLE, b"", True)):
        stat = disk.stat(path) or disk.write(path, content, 0o666)
        # vfat refuses modes that it cannot store, other file systems ignore them.
        with suppress(PermissionError):
            disk.chmod(path, permissions(stat.mode, executable=executable))
    found = {path: disk.stat(path) for path in (_IGNORE, _EXECUTABLE)}
    return preserves_executable({path: stat for path, stat in found.items() if stat is not None})


def probe_names(disk: Disk) -> NamePolicy:
    """Find out which names the file system treats as equal."""
    import unicodedata

    disk.unlink(_PROBE)
    disk.write(_PROBE, b"", 0o666)
    try:
        folds = disk.stat(_PROBE.replace("Probe", "pROBE")) is not None
        normalises = disk.stat(unicodedata.normalize("NFD", _PROBE)) is not None
    finally:
        disk.unlink(_PROBE)
    match folds, normalises:
        case True, True:
            return NamePolicy.FOLDS_CASE_AND_NORMALISES
        case True, False:
            return NamePolicy.FOLDS_CASE
        case False, True:
            return NamePolicy.NORMALISES
        case _:
            return NamePolicy.EXACT
