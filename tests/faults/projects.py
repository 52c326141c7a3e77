"""A project and a pull of it in which everything happens that can happen to a file."""

import os
import shutil
import sqlite3
from pathlib import Path

from towline.plan import Plan
from towline.ports import Watch
from towline.stores.directory.store import DirectoryStore
from towline.testing.faults import FaultyDisk, faulty
from towline.testing.plans import (
    KnownContents,
    change,
    create,
    delete,
    plan_of,
    pull_files,
)
from towline.undo import undo

BEFORE = {
    "stays": b"stays",
    "d/rewritten": b"rewritten before",
    "d/script": b"script",
    "e/f/deleted": b"deleted",
    "moved": b"moved",
    "one": b"one",
    "two": b"two",
    "file": b"file",
    "folder/inner": b"inner",
}
AFTER = {
    "stays": b"stays",
    "d/rewritten": b"rewritten after",
    "d/script": b"script",
    "g/h/moved": b"moved",
    "one": b"two",
    "two": b"one",
    "file/new": b"new",
    "folder": b"inner after",
    "other": b"file",
}
NEW = [b"rewritten after", b"new", b"inner after"]
LOCAL = "d/mine"


class ProjectFolder:
    """A project's folder, as it lies on the disk between two processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def copy(self, to: Path) -> "ProjectFolder":
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.root, to, symlinks=True)
        return ProjectFolder(to)

    def open(self, disk=None) -> DirectoryStore:
        return DirectoryStore.open(self.root, disk=disk or faulty())

    def pull(self, disk=None) -> None:
        with self.open(disk) as store:
            store.apply(the_plan(store), KnownContents(*NEW), Watch())

    def undo(self, disk=None) -> None:
        with self.open(disk) as store:
            undo(store)

    def recover(self, disk=None) -> None:
        self.open(disk).close()

    def files(self) -> dict[str, bytes]:
        found = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name != ".towline"]
            for name in names:
                place = Path(folder, name)
                found[str(place.relative_to(self.root))] = place.read_bytes()
        return found

    def folders(self) -> set[str]:
        inner = (path for path in self.root.rglob("*") if path.is_dir() and not path.is_symlink())
        names = {str(path.relative_to(self.root)) for path in inner}
        return {name for name in names if not name.startswith(".towline")}

    def own_files(self) -> set[str]:
        """What the store has beside the contents for undo."""
        return set(os.listdir(self.root / ".towline")) - {"undo"}

    def undo_contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.glob(".towline/undo/*")}

    def facts(self) -> tuple[object, ...]:
        """Everything that the store knows, and every file and folder; not what it watches yet."""
        connection = sqlite3.connect(self.root / ".towline/state.db")
        try:
            tables = ("meta", "assets", "used", "log", "blobs", "blob_uses")
            held = [sorted(connection.execute(f"SELECT * FROM {table}")) for table in tables]
        finally:
            connection.close()
        script = self.root / "d/script"
        executable = script.exists() and os.access(script, os.X_OK)
        own = self.own_files() - {"replaced"}
        return (held, self.files(), executable, self.folders(), own, self.undo_contents())


def the_plan(store: DirectoryStore) -> Plan:
    return plan_of(
        store,
        change(store, "d/rewritten", b"rewritten after"),
        change(store, "d/script", executable=True),
        delete(store, "e/f/deleted"),
        change(store, "moved", to="g/h/moved"),
        change(store, "one", to="two"),
        change(store, "two", to="one"),
        change(store, "file", to="other"),
        create(store, "file/new", b"new"),
        change(store, "folder/inner", b"inner after", to="folder"),
    )


def new_project(root: Path) -> ProjectFolder:
    """A project at `BEFORE`, with a local file."""
    root.mkdir()
    with DirectoryStore.create(root, project="project", disk=faulty()) as store:
        pull_files(store, **{path.replace("/", "__"): content for path, content in BEFORE.items()})
    (root / LOCAL).write_bytes(b"mine")
    return ProjectFolder(root)


def operations(project: ProjectFolder, action) -> list[tuple[str, str]]:
    """What an action does to a project, in order."""
    disks: list[FaultyDisk] = []

    def disk(root):
        disks.append(FaultyDisk(root))
        return disks[-1]

    action(project, disk)
    return [step for disk in disks for step in disk.done]
