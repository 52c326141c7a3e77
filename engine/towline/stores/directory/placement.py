"""Moving files out of their places and into them, so that no edit is lost and all can be redone.

Nothing is ever replaced: what stands where a file must go is moved aside first. What turns out
not to be what was checked comes back as a conflict copy beside its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha1

from towline.model import AssetPath, Digest
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType
from towline.stores.directory.journal import Step
from towline.stores.directory.saved_edits import saved_edit_name
from towline.stores.directory.walk import OWN_FOLDER


def displace(disk: Disk, steps: Iterable[Step]) -> None:
    """Move every file that leaves its place, or is rewritten, out of the way."""
    for step in steps:
        if not step.displaces or step.before is None or disk.look(step.displaced) is not None:
            continue
        # It may be gone since it was checked.
        with suppress(FileNotFoundError, NotADirectoryError):
            disk.rename(step.before.path, step.displaced)


class Placement:
    """Moves files into their places.

    ``kept`` tells where edits were put aside, ``placed`` what was seen of each file just before it
    was moved, by the number of its step.
    """

    def __init__(self, disk: Disk, *, sets_executable: bool) -> None:
        self._disk = disk
        self._sets_executable = sets_executable
        self.kept: list[AssetPath] = []
        self.placed: dict[int, FileStat] = {}

    def place(self, steps: Iterable[Step]) -> None:
        """Move every new or renamed file into its place, and set permissions."""
        for step in steps:
            if step.after is None:
                continue
            if step.brings:
                self._place(step, step.staged, step.after.path)
            elif step.carries:
                self._carry(step, step.after.path)
            else:
                self.set_permissions(step.after.path, executable=step.after.executable)

    def _carry(self, step: Step, target: AssetPath) -> None:
        seen = self._disk.look(step.displaced)
        if seen is None or step.after is None or step.before is None:
            return
        if seen.type is not FileType.FILE:
            # It was a file when it was checked; whatever replaced it stays where it was put.
            self.put_aside(step.displaced, step.before.path)
            return
        self.set_permissions(step.displaced, executable=step.after.executable)
        self._place(step, step.displaced, target)

    def set_permissions(self, path: str, *, executable: bool) -> None:
        """Make a file executable or not, where there is one and the file system keeps that."""
        seen = self._disk.look(path) if self._sets_executable else None
        if seen is not None and seen.type is FileType.FILE and seen.executable != executable:
            self._disk.chmod(path, permissions(seen.mode, executable=executable))

    def _place(self, step: Step, source: str, target: AssetPath) -> None:
        seen = self._disk.look(source)
        if seen is None:
            return
        self.placed[step.number] = seen
        self.put(source, seen, target)

    def put(self, source: str, seen: FileStat, target: AssetPath) -> None:
        """Move what is seen at ``source`` into its place."""
        self._make_folders(target)
        while True:
            standing = self._disk.look(target)
            if standing is not None and standing.is_same_file(seen):
                self._disk.unlink(source)
                return
            if standing is not None and not self._vanishes(target, standing):
                self.put_aside(target, target)
            try:
                self._disk.rename_new(source, target)
            except FileExistsError:
                continue
            return

    def _make_folders(self, target: AssetPath) -> None:
        for folder in target.folders:
            while (standing := self._disk.look(folder)) is None or (
                standing.type is not FileType.FOLDER
            ):
                if standing is not None:
                    self.put_aside(folder, AssetPath(folder))
                try:
                    self._disk.mkdir(folder)
                except FileExistsError:
                    continue

    def _vanishes(self, path: str, seen: FileStat) -> bool:
        """Whether it was a folder with nothing in it but such folders; then it is gone."""
        if seen.type is not FileType.FOLDER:
            return False
        inner = [
            self._vanishes(f"{path}/{name}", below) for name, below in self._disk.listing(path)
        ]
        return all(inner) and self._disk.rmdir(path)

    # --- putting aside ------------------------------------------------------------------------

    def put_aside(self, source: str, origin: AssetPath) -> None:
        """Have what stands at ``source`` come back beside ``origin`` as a conflict copy."""
        digest = self._identity(source)
        if digest is None:
            return
        folder = self._standing_folder(origin)
        attempt = 0
        while self._disk.look(target := folder + saved_edit_name(origin.name, digest, attempt)):
            if source.startswith(OWN_FOLDER) and self._identity(target) == digest:
                # It came back before an interruption.
                self._disk.unlink(source)
                break
            attempt += 1
        else:
            # One step, so that nothing that is saved to the source meanwhile can fall between.
            with suppress(FileNotFoundError):
                self._disk.rename(source, target)
        self.kept.append(AssetPath(target))

    def _identity(self, path: str) -> Digest | None:
        """What tells its content from another's: for a folder or a link, its place alone."""
        seen = self._disk.look(path)
        if seen is None:
            return None
        found = self._disk.digest(path) if seen.type is FileType.FILE else None
        if found is not None:
            return found[0]
        name = f"{seen.type.value} {seen.inode}".encode()
        return Digest(sha1(name, usedforsecurity=False).hexdigest())

    def _standing_folder(self, origin: AssetPath) -> str:
        """The innermost of its folders that still is one, with a slash at the end."""
        standing = ""
        for folder in origin.folders:
            seen = self._disk.look(folder)
            if seen is None or seen.type is not FileType.FOLDER:
                break
            standing = folder + "/"
        return standing


def permissions(mode: int, *, executable: bool | None) -> int:
    """A file's permissions, made executable by all who may read it, or by none; None: as is."""
    mode &= 0o777
    if executable is None:
        return mode
    return mode | 0o100 | (mode & 0o444) >> 2 if executable else mode & ~0o111


def emptied(steps: Iterable[Step]) -> Iterator[AssetPath]:
    """The folders that files left, innermost first."""
    folders = {
        folder
        for step in steps
        if step.displaces and step.before is not None
        for folder in step.before.path.folders
    }
    yield from (AssetPath(folder) for folder in sorted(folders, key=lambda f: (-f.count("/"), f)))
