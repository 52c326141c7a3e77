"""The store's own folder, before anything in it is opened: no links, and nobody else's files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from towline.errors import LinkRefused, NotAssociated, StoreError, UnsafeOwner
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType
from towline.stores.directory.walk import OWN_FOLDER

STATE_FILE = f"{OWN_FOLDER}/state.db"
IGNORE = f"{OWN_FOLDER}/.gitignore"
"""Keeps the folder out of a Git work tree around it; never executable, where that can be."""
EXECUTABLE = f"{OWN_FOLDER}/executable"
"""An empty file that is executable, where that can be."""

Trusts: TypeAlias = Callable[[int], bool]
"""Whether the folder of a project may belong to the user of this id."""


def trusts_ours(owner: int) -> bool:
    """Trust the user who runs this, and root."""
    return owner in (0, os.geteuid())


def check_project(disk: Disk, shown: str, trusts: Trusts) -> Mapping[str, FileStat]:
    """What `check_own_folder` gives. Refuses a folder that is no project or not safe to open.

    Raises:
        NotAssociated: it has no state file.
        LinkRefused, UnsafeOwner: see `check_own_folder`.
    """
    found = check_own_folder(disk, shown, trusts)
    state = found.get(STATE_FILE)
    if state is None:
        raise NotAssociated(project=shown)
    if state.type is not FileType.FILE:
        raise StoreError(project=shown, problem=f"{STATE_FILE} is no file")
    return found


def shows_executable(found: Mapping[str, FileStat]) -> bool:
    """Whether executable bits are seen as they were set, by those of the store's own files.

    They are not after the folder was copied to, or by, something that does not keep them.
    """
    marked, plain = found.get(EXECUTABLE), found.get(IGNORE)
    return marked is not None and marked.executable and not (plain and plain.executable)


def check_own_folder(disk: Disk, shown: str, trusts: Trusts) -> Mapping[str, FileStat]:
    """What is in the store's own folder, by path; nothing, if there is none.

    Raises:
        LinkRefused: it, or something in it, is a link or a special file.
        UnsafeOwner: it, or something in it, belongs to a user who is not trusted.
    """
    folder = disk.look(OWN_FOLDER)
    if folder is None:
        return {}
    if folder.type is FileType.FILE:
        raise StoreError(project=shown, problem=f"{OWN_FOLDER} is no folder")
    found = {f"{OWN_FOLDER}/{name}": seen for name, seen in disk.listing(OWN_FOLDER)}
    for path, seen in {OWN_FOLDER: folder, **found}.items():
        if seen.type is FileType.OTHER:
            problem = f"{path} is a link or a special file"
            raise LinkRefused(project=shown, problem=problem)
        if not trusts(seen.owner):
            raise UnsafeOwner(project=shown, problem=path, owner=seen.owner)
    return found
