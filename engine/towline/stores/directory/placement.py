"""The moves of files that an apply makes: checked first, repeatable, and revertible.

No file is ever overwritten: what is at the target is renamed first, as a saved edit beside it
(``NAME.local-DIGEST``). So is an old file that is not what the plan was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha1
from types import MappingProxyType

from towline.errors import StoreError
from towline.model import AssetPath, AssetState, Digest
from towline.names import path_problem
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType, permissions
from towline.stores.directory.journal import Step
from towline.stores.directory.state_folder import STATE_FOLDER

_NAME_BYTES = 255
"""The longest name in common file systems."""
_SHOWN_PROBLEMS = 5


class Placement:
    """Moves files into their places, and back.

    ``saved`` lists the saved edits, ``placed`` the stat of each file before it was moved into
    place, by the number of its step. ``written`` are the stats of files that were just staged.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        sets_executable: bool,
        written: Mapping[int, FileStat] = MappingProxyType({}),
    ) -> None:
        self._disk = disk
        self._written = written
        self._sets_executable = sets_executable
        self.saved: list[AssetPath] = []
        self.placed: dict[int, FileStat] = {}

    def back_up(self, steps: Iterable[Step]) -> None:
        """Move every old file that is replaced, renamed or deleted to its backup."""
        for step in steps:
            if step.before is None or not step.moves_old_file or self._disk.stat(step.backup):
                continue
            # It may have been deleted since it was checked.
            with suppress(FileNotFoundError, NotADirectoryError):
                self._disk.rename(step.before.path, step.backup)

    def place(self, steps: Iterable[Step]) -> None:
        """Move every new or renamed file into its place, and set permissions."""
        for step in steps:
            if step.after is None:
                continue
            if step.writes_content:
                self._place(step, step.staged, step.after.path)
            elif step.is_rename:
                self._rename(step, step.after)
            else:
                self._set_executable(step.after.path, executable=step.after.executable)

    def _rename(self, step: Step, after: AssetState) -> None:
        stat = self._disk.stat(step.backup)
        if stat is None or step.before is None:
            return
        if stat.type is not FileType.FILE:
            # It was a file when it was checked.
            self.save_edit(step.backup, step.before.path)
            return
        self._set_executable(step.backup, executable=after.executable)
        self._place(step, step.backup, after.path)

    def _set_executable(self, path: str, *, executable: bool) -> None:
        stat = self._disk.stat(path) if self._sets_executable else None
        if stat is not None and stat.type is FileType.FILE and stat.executable != executable:
            self._disk.chmod(path, permissions(stat.mode, executable=executable))

    def _place(self, step: Step, source: str, target: AssetPath) -> None:
        stat = self._written.get(step.number)
        if stat is not None and self._move_to_free_place(source, target):
            self.placed[step.number] = stat
            return
        stat = self._disk.stat(source)
        if stat is not None:
            self.placed[step.number] = stat
            self._move(source, stat, target)

    def _move_to_free_place(self, source: str, target: str) -> bool:
        """Move a file if its folder exists and its name is free, as for most; whether it was."""
        try:
            self._disk.rename_noreplace(source, target)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _move(self, source: str, stat: FileStat, target: AssetPath) -> None:
        self._make_folders(target)
        while True:
            current = self._disk.stat(target)
            if current is not None and current.is_same_file(stat):
                self._disk.unlink(source)
                return
            if current is not None and not self._remove_empty(target, current):
                self.save_edit(target, target)
            try:
                self._disk.rename_noreplace(source, target)
            except FileExistsError:
                continue
            return

    def _make_folders(self, target: AssetPath) -> None:
        for folder in target.folders:
            while (stat := self._disk.stat(folder)) is None or stat.type is not FileType.FOLDER:
                if stat is not None:
                    self.save_edit(folder, AssetPath(folder))
                with suppress(FileExistsError):
                    self._disk.mkdir(folder)

    def _remove_empty(self, path: str, stat: FileStat) -> bool:
        """Remove a folder with no files below it; whether it is gone."""
        if stat.type is not FileType.FOLDER:
            return False
        inner = [
            self._remove_empty(f"{path}/{name}", below) for name, below in self._disk.scandir(path)
        ]
        return all(inner) and self._disk.rmdir(path)

    # --- saved edits --------------------------------------------------------------------------

    def save_edit(self, source: str, origin: AssetPath) -> None:
        """Rename what is at ``source`` to a saved edit beside ``origin``."""
        digest = self._fingerprint(source)
        if digest is None:
            return
        folder = innermost_folder(self._disk, origin.folders)
        if folder:
            folder += "/"
        attempt = 0
        while self._disk.stat(target := folder + _saved_edit_name(origin.name, digest, attempt)):
            if source.startswith(STATE_FOLDER) and self._fingerprint(target) == digest:
                # It was saved before an interruption.
                self._disk.unlink(source)
                break
            attempt += 1
        else:
            # A rename, so that no write to the source meanwhile is lost.
            with suppress(FileNotFoundError):
                self._disk.rename(source, target)
        self.saved.append(AssetPath(target))

    def _fingerprint(self, path: str) -> Digest | None:
        """Return a file's digest, or one of the inode of a folder or link."""
        stat = self._disk.stat(path)
        if stat is None:
            return None
        found = self._disk.digest(path) if stat.type is FileType.FILE else None
        if found is not None:
            return found[0]
        name = f"{stat.type.value} {stat.inode}".encode()
        return Digest(sha1(name, usedforsecurity=False).hexdigest())

    # --- reverting ----------------------------------------------------------------------------

    def revert_placed(self, steps: Iterable[Step]) -> None:
        """Move placed files back to staged or backup, and reset permissions.

        Files that were changed since stay in place.
        """
        for step in steps:
            before, after = step.before, step.after
            if after is None:
                continue
            if step.writes_content:
                self._unplace(after, step.staged)
            elif before is not None:
                if step.is_rename:
                    self._unplace(after, step.backup)
                path = step.backup if step.is_rename else before.path
                self._set_executable(path, executable=before.executable)

    def _unplace(self, placed: AssetState, source: str) -> None:
        target, waiting = self._disk.stat(placed.path), self._disk.stat(source)
        if target is None or target.type is not FileType.FILE:
            return
        if waiting is not None:
            if waiting.is_same_file(target):
                self._disk.unlink(placed.path)
            return
        found = self._disk.digest(placed.path)
        if found is not None and found[0] == placed.digest:
            self._disk.rename_noreplace(placed.path, source)

    def restore_backups(self, steps: Iterable[Step]) -> None:
        """Move the old files back to their places, and remove folders that were made."""
        folders: set[str] = set()
        for step in steps:
            stat = self._disk.stat(step.backup) if step.moves_old_file else None
            if stat is not None and step.before is not None:
                self._move(step.backup, stat, step.before.path)
            if step.after is None:
                continue
            folders.update(step.after.path.folders)
            found = self._disk.digest(step.staged) if step.writes_content else None
            if found is not None and found[0] != step.after.digest:
                self.save_edit(step.staged, step.after.path)
        for folder in _innermost_first(folders):
            self._disk.rmdir(folder)


def emptied_folders(steps: Iterable[Step]) -> Iterator[AssetPath]:
    """Yield the folders that files were moved out of, innermost first."""
    old = [step.before for step in steps if step.moves_old_file and step.before is not None]
    yield from _innermost_first({folder for state in old for folder in state.path.folders})


def _innermost_first(folders: set[str]) -> Iterator[AssetPath]:
    yield from (AssetPath(each) for each in sorted(folders, key=lambda f: (-f.count("/"), f)))


def innermost_folder(disk: Disk, folders: Iterable[str]) -> str:
    """Return the innermost of nested folders that exists, without following links."""
    found = ""
    for folder in folders:
        stat = disk.stat(folder)
        if stat is None or stat.type is not FileType.FOLDER:
            break
        found = folder
    return found


def _saved_edit_name(name: str, digest: Digest, attempt: int) -> str:
    ending = f".local-{digest[:8]}" + (f"-{attempt}" if attempt else "")
    while len(name.encode("utf-8", "surrogateescape")) + len(ending) > _NAME_BYTES:
        name = name[:-1]
    return name + ending


# --- checks before the commit point -------------------------------------------------------------


def check_moves(disk: Disk, steps: Iterable[Step], shown: str, *, sets_executable: bool) -> None:
    """Refuse a plan whose moves would fail; nothing is changed.

    Mode bits alone do not show access lists, immutable files, sticky folders, quotas and mounts,
    so the system is asked for the operations themselves.

    Raises:
        StoreError: files cannot be moved to or from the named paths.
    """
    steps = tuple(steps)
    problems = list(_name_problems(steps)) or list(
        _move_problems(disk, steps, sets_executable=sets_executable)
    )
    if problems:
        left = len(problems) - _SHOWN_PROBLEMS
        more = f" (and {left} more)" if left > 0 else ""
        problem = "; ".join(problems[:_SHOWN_PROBLEMS]) + f"{more}; nothing was changed"
        raise StoreError(project=shown, problem=problem)


def _name_problems(steps: tuple[Step, ...]) -> Iterator[str]:
    states = (state for step in steps for state in (step.before, step.after))
    for path in sorted({state.path for state in states if state is not None}):
        problem = path_problem(path)
        if len(path.encode()) > _NAME_BYTES and any(
            len(name.encode()) > _NAME_BYTES for name in path.split("/")
        ):
            problem = "has a name that is too long for a file"
        if problem is not None:
            yield f"{path!r} {problem}"


def _move_problems(disk: Disk, steps: tuple[Step, ...], *, sets_executable: bool) -> Iterator[str]:
    left: set[str] = set()
    entered: set[tuple[str, ...]] = set()
    for step in steps:
        before, after = step.before, step.after
        if before is not None and step.moves_old_file:
            left.add(before.path.rpartition("/")[0])
            yield from _attempt(before.path, partial(disk.probe_rename_from, above=STATE_FOLDER))
        if after is None:
            continue
        chmods = sets_executable and not step.writes_content
        if before is not None and chmods and before.executable != after.executable:
            yield from _attempt(before.path, disk.probe_chmod)
        if step.writes_content or step.moves_old_file:
            entered.add(after.path.folders)
    innermost = {innermost_folder(disk, folders) for folders in entered}
    # A folder that files can be moved out of can take files, too.
    for folder in sorted(innermost - left):
        yield from _attempt(folder, partial(disk.probe_rename_into, source=STATE_FOLDER))


def _attempt(path: str, probe: Callable[[str], None]) -> Iterator[str]:
    try:
        probe(path)
    except OSError as error:
        yield f"cannot move files to or from {path or '.'!r}: {error.strerror}"
