"""What an apply tries in the folder before its commit point, so that nothing fails after it.

Permissions alone do not tell: access lists, immutable files, sticky folders, quotas and mounts are
found out by asking the system for the very operations. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from towline.errors import StoreError
from towline.model import AssetPath, AssetState
from towline.names import path_problem
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileType
from towline.stores.directory.journal import Step
from towline.stores.directory.saved_edits import NAME_BYTES
from towline.stores.directory.walk import OWN_FOLDER

_SHOWN = 5


def check_places(disk: Disk, steps: Iterable[Step], shown: str, *, sets_executable: bool) -> None:
    """Refuse a plan that could not be carried out to its end.

    Raises:
        StoreError: naming the paths that files cannot be moved to, or away from, and why.
    """
    steps = tuple(steps)
    problems = list(_name_problems(steps)) or list(
        _move_problems(disk, steps, sets_executable=sets_executable)
    )
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        problem = "; ".join(problems[:_SHOWN]) + f"{more}; nothing was changed"
        raise StoreError(project=shown, problem=problem)


def _name_problems(steps: tuple[Step, ...]) -> Iterator[str]:
    states = (state for step in steps for state in (step.before, step.after))
    for path in sorted({state.path for state in states if state is not None}):
        problem = path_problem(path)
        if any(len(name.encode()) > NAME_BYTES for name in path.split("/")):
            problem = "has a name that is too long for a file"
        if problem is not None:
            yield f"{path!r} {problem}"


def _move_problems(disk: Disk, steps: tuple[Step, ...], *, sets_executable: bool) -> Iterator[str]:
    left: set[str] = set()
    folders: set[str] = set()
    for step in steps:
        before, after = step.before, step.after
        if before is not None and step.displaces:
            left.add(before.path.rpartition("/")[0])
            yield from _tried(before.path, lambda path: disk.try_leaving(path, OWN_FOLDER))
        if before is not None and sets_executable and _sets_permissions(before, after):
            yield from _tried(before.path, disk.try_chmod)
        if after is not None and (step.brings or step.displaces):
            folders.add(_standing_folder(disk, after.path))
    # Where a file may leave a folder another may come.
    for folder in sorted(folders - left):
        yield from _tried(folder, lambda path: disk.try_arriving(path, OWN_FOLDER))


def _sets_permissions(before: AssetState, after: AssetState | None) -> bool:
    same = after is not None and before.digest == after.digest
    return after is not None and same and before.executable != after.executable


def _standing_folder(disk: Disk, path: AssetPath) -> str:
    """The innermost folder of a path that is there."""
    for folder in reversed(path.folders):
        seen = disk.look(folder)
        if seen is not None and seen.type is FileType.FOLDER:
            return folder
    return ""


def _tried(path: str, attempt: Callable[[str], None]) -> Iterator[str]:
    try:
        attempt(path)
    except OSError as error:
        yield f"files cannot be moved to or from {path or '.'!r}: {error.strerror}"
