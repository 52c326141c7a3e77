"""A project that its user edits, in memory or in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeAlias

from towline import AssetPath, AssetStore, DirectoryStore, Kinds, MemoryStore
from towline.remotes.memory import MemoryRemote
from towline.testing.plans import now

Files: TypeAlias = Mapping[AssetPath, tuple[bytes, bool]]
"""The bytes of each file, asset or not, and whether it is executable."""


class EditedProject(Protocol):
    """A store and its remote, and what a user does to the files."""

    remote: MemoryRemote

    @property
    def store(self) -> AssetStore: ...
    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None: ...
    def delete(self, path: AssetPath) -> None: ...
    def move(self, path: AssetPath, to: AssetPath) -> None: ...
    def set_kinds(self, kinds: Kinds) -> None: ...
    def files(self) -> Files: ...
    def state_hash(self) -> str: ...
    def close(self) -> None: ...


class MemoryProject:
    """A project in a `MemoryStore`."""

    def __init__(self, store: MemoryStore, remote: MemoryRemote | None = None) -> None:
        self.store = store
        self.remote = remote or MemoryRemote()

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None:
        if self.store.kinds.of(path) is None:
            self.store.put_file(path, content)
        else:
            self.store.put(path, content, executable=executable)

    def delete(self, path: AssetPath) -> None:
        if (record := now(self.store).at(path)) is not None:
            self.store.delete(record.id)
        else:
            self.store.delete_file(path)

    def move(self, path: AssetPath, to: AssetPath) -> None:
        record = now(self.store).at(path)
        assert record is not None
        self.store.move(record.id, to)

    def set_kinds(self, kinds: Kinds) -> None:
        self.store.set_kinds(kinds)

    def files(self) -> Files:
        return self.store.contents()

    def state_hash(self) -> str:
        return self.store.state_hash()

    def close(self) -> None:
        pass


class DirectoryProject:
    """A project in a `DirectoryStore`, whose files are edited behind its back."""

    def __init__(self, store: DirectoryStore, remote: MemoryRemote | None = None) -> None:
        self.store = store
        self.remote = remote or MemoryRemote()

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)

    def delete(self, path: AssetPath) -> None:
        self._file(path).unlink()
        self._prune(self._file(path).parent)

    def move(self, path: AssetPath, to: AssetPath) -> None:
        # By way of another name: a file may move into a folder of its own name.
        moving = self._file(path).rename(self.store.root / ".moving")
        self._file(to).parent.mkdir(parents=True, exist_ok=True)
        moving.rename(self._file(to))
        self._prune(self._file(path).parent)

    def _file(self, path: AssetPath) -> Path:
        return self.store.root / path

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, so that a file can take their name."""
        while folder != self.store.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def set_kinds(self, kinds: Kinds) -> None:
        self.store.set_kinds(kinds)

    def files(self) -> Files:
        files = {}
        for file in sorted(self.store.root.rglob("*")):
            path = file.relative_to(self.store.root)
            if file.is_file() and ".towline" not in path.parts:
                executable = bool(file.stat().st_mode & 0o100)
                files[AssetPath(path.as_posix())] = (file.read_bytes(), executable)
        return dict(sorted(files.items()))

    def state_hash(self) -> str:
        held = (
            now(self.store).state(),
            list(now(self.store).records()),
            [(entry.number, entry.plan, entry.undone) for entry in self.store.log()],
            list(self.files().items()),
        )
        return sha256(repr(held).encode()).hexdigest()

    def close(self) -> None:
        self.store.close()
