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

from .disk import Disk
from .own_folder import EXECUTABLE, STATE_FILE, Trusts, check_own_folder
from .state import State, create_state
from .walking import OWN_FOLDER

_NEW = f"{STATE_FILE}.new"
_LOCK = f"{OWN_FOLDER}/lock"
_IGNORE = f"{OWN_FOLDER}/.gitignore"
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
        _ignore_in_git(disk)
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


def upgrade_project(disk: Disk, state: State, shown: str) -> None:
    """Bring what an older version made up to this one's format.

    Raises:
        StoreBusy: someone is applying.
    """
    lock = disk.lock(_LOCK)
    if lock is None:
        raise StoreBusy(project=shown)
    try:
        _ignore_in_git(disk)
        state.upgrade(filemode=probe_executable(disk))
    finally:
        os.close(lock)


def _ignore_in_git(disk: Disk) -> None:
    """Keep the folder out of a Git work tree around it: it names one machine's state."""
    if disk.look(_IGNORE) is None:
        disk.write(_IGNORE, b"*\n", 0o666)


def probe_executable(disk: Disk) -> bool:
    """Whether the file system keeps a file's executable bit, by trying.

    The file stays, so that a copy of the folder can be told from it; see `shows_executable`.
    """
    disk.unlink(EXECUTABLE)
    disk.write(EXECUTABLE, b"", 0o666)
    plain = disk.look(EXECUTABLE)
    # vfat refuses what it cannot keep, others ignore it.
    with suppress(PermissionError):
        disk.chmod(EXECUTABLE, 0o755)
    marked = disk.look(EXECUTABLE)
    return [seen and seen.executable for seen in (plain, marked)] == [False, True]


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
