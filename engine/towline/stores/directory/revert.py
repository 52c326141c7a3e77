"""Returning files to the places that they had before an apply that failed after its commit point.

Each of the two steps can be done again from its start. What is not what the apply put there stays
where it is, or is put aside.
"""

from __future__ import annotations

from collections.abc import Iterable

from towline.model import AssetState
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileType
from towline.stores.directory.journal import Step
from towline.stores.directory.placement import Placement


def take_back(disk: Disk, steps: Iterable[Step], placing: Placement) -> None:
    """Move files that have arrived back to where they waited, and reset permissions."""
    for step in steps:
        before, after = step.before, step.after
        if after is None:
            continue
        if step.brings:
            _move_back(disk, after, step.staged)
        elif before is not None and step.carries:
            _move_back(disk, after, step.displaced)
            placing.set_permissions(step.displaced, executable=before.executable)
        elif before is not None:
            placing.set_permissions(before.path, executable=before.executable)


def _move_back(disk: Disk, arrived: AssetState, waiting: str) -> None:
    there, source = disk.look(arrived.path), disk.look(waiting)
    if there is None or there.type is not FileType.FILE:
        return
    if source is not None:
        if source.is_same_file(there):
            disk.unlink(arrived.path)
        return
    found = disk.digest(arrived.path)
    if found is not None and found[0] == arrived.digest:
        disk.rename_new(arrived.path, waiting)


def put_back(disk: Disk, steps: tuple[Step, ...], placing: Placement) -> None:
    """Move the displaced files to their old places."""
    for step in steps:
        seen = disk.look(step.displaced) if step.displaces else None
        if seen is not None and step.before is not None:
            placing.put(step.displaced, seen, step.before.path)
        if step.brings and step.after is not None:
            found = disk.digest(step.staged)
            if found is not None and found[0] != step.after.digest:
                placing.put_aside(step.staged, step.after.path)
    for folder in sorted(_new_folders(steps), key=lambda folder: -folder.count("/")):
        disk.rmdir(folder)


def _new_folders(steps: Iterable[Step]) -> set[str]:
    return {
        folder for step in steps if step.after is not None for folder in step.after.path.folders
    }
