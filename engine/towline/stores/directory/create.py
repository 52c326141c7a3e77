"""Making a folder a project: its state file comes into being whole, or not at all."""

from __future__ import annotations

import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from towline.errors import AlreadyAssociated, StoreBusy
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline.stores.directory.database import StateDatabase, create_state
from towline.stores.directory.disk import Disk
from towline.stores.directory.own_folder import (
    EXECUTABLE,
    IGNORE,
    STATE_FILE,
    Trusts,
    check_own_folder,
    shows_executable,
)
from towline.stores.directory.placement import permissions
from towline.stores.directory.walk import OWN_FOLDER

_NEW = f"{STATE_FILE}.new"
_LOCK = f"{OWN_FOLDER}/lock"
_PROBE = f"{OWN_FOLDER}/Probe-\u00e9"


def create_project(
    disk: Disk,
    root: Path,
    project: str | None,
    kinds: Kinds,
    names: NamePolicy | None,
    keep: int,
    trusts: Trusts,
) -> None:
    """Make the store's own folder and state file.

    Raises:
        AlreadyAssociated: there is a state file.
        StoreBusy: someone else is making it.
        LinkRefused, UnsafeOwner: what there is of its own folder is not safe to use.
    """
    check_own_folder(disk, str(root), trusts)
    disk.mkdir(OWN_FOLDER)
    lock = disk.lock(_LOCK)
    if lock is None:
        raise StoreBusy(project=str(root))
    try:
        if disk.look(STATE_FILE) is not None:
            raise AlreadyAssociated(project=str(root))
        # A log file without its state file would be taken for the new one's.
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
        disk.note_written(_NEW)
        disk.flush()
        disk.rename(_NEW, STATE_FILE)
        disk.flush_one(OWN_FOLDER)
    finally:
        os.close(lock)


def upgrade_project(disk: Disk, state: StateDatabase, shown: str) -> None:
    """Bring what an older version made up to this one's format.

    Raises:
        StoreBusy: someone is applying.
    """
    lock = disk.lock(_LOCK)
    if lock is None:
        raise StoreBusy(project=shown)
    try:
        state.upgrade(filemode=probe_executable(disk))
    finally:
        os.close(lock)


def probe_executable(disk: Disk) -> bool:
    """Whether the file system keeps a file's executable bit, by trying.

    The files stay, so that a copy that lost the bits can be told; see `shows_executable`.
    """
    for path, content, executable in ((IGNORE, b"*\n", False), (EXECUTABLE, b"", True)):
        seen = disk.look(path) or disk.write(path, content, 0o666)
        # vfat refuses what it cannot keep, others ignore it.
        with suppress(PermissionError):
            disk.chmod(path, permissions(seen.mode, executable=executable))
    found = {path: disk.look(path) for path in (IGNORE, EXECUTABLE)}
    return shows_executable({path: seen for path, seen in found.items() if seen is not None})


def probe_names(disk: Disk) -> NamePolicy:
    """Which names the file system holds equal, by trying."""
    disk.unlink(_PROBE)
    disk.write(_PROBE, b"", 0o666)
    try:
        folds = disk.look(_PROBE.replace("Probe", "pROBE")) is not None
        normalises = disk.look(unicodedata.normalize("NFD", _PROBE)) is not None
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
