"""Where a scenario happens: a project and a repository, edited as their users would."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeAlias

from fixtures.scenarios.loader import Entry, Scenario, kinds_of, raw_path
from towline import AssetId, AssetPath, AssetStore, DirectoryStore, Kinds, MemoryStore, Remote
from towline.remotes.git import GitRemote
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.testing.git_repository import GitRepository
from towline.testing.plans import now

Delta: TypeAlias = Mapping[str, Entry | None]
Standing: TypeAlias = Mapping[str, tuple[bytes, bool]]


class Project(Protocol):
    """Ours."""

    store: AssetStore

    def edit(self, delta: Delta) -> None:
        """Do this to it."""
        ...

    def rekind(self, kinds: Kinds) -> None:
        """Say anew what is an asset."""
        ...

    def standing(self) -> Standing:
        """Every file, asset or not: bytes, and whether it is executable."""
        ...

    def fingerprint(self) -> str:
        """A text that changes with anything that a pull may change."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Repository(Protocol):
    """Theirs."""

    def commit(self, tree: Mapping[str, Entry], *, rewrite: bool) -> None:
        """Commit a whole tree; ``rewrite`` leaves the old history."""
        ...

    def remote(self, scope: str) -> Remote:
        """A way to it, the cache kept from one to the next."""
        ...

    def forget(self) -> None:
        """Lose the cache."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


class MemoryProject:
    """A `MemoryStore`."""

    def __init__(self, scenario: Scenario, project: str, _: Path) -> None:
        self.store = MemoryStore(project, kinds=kinds_of(scenario.kinds), names=scenario.names)

    def edit(self, delta: Delta) -> None:
        standing = set(self.store.contents())
        moving = {path: entry for path, entry in delta.items() if entry and entry.moved_from}
        ids = {path: self._lift(path, str(entry.moved_from)) for path, entry in moving.items()}
        for path, entry in delta.items():
            if entry is None and AssetPath(path) in standing:
                self._delete(AssetPath(path))
        for path, asset_id in ids.items():
            self.store.move(asset_id, AssetPath(path))
        for path, entry in delta.items():
            if entry is not None and (entry.moved_from is None or entry.content is not None):
                self._put(AssetPath(path), entry)

    def _lift(self, path: str, source: str) -> AssetId:
        """Move an asset out of the way of a swap; its new path's spelling decides its kind."""
        record = now(self.store).at(AssetPath(source))
        assert record is not None
        folder, slash, name = path.rpartition("/")
        return self.store.move(record.id, AssetPath(f"{folder}{slash}moving {name}"))

    def _delete(self, path: AssetPath) -> None:
        if (record := now(self.store).at(path)) is not None:
            self.store.delete(record.id)
        else:
            self.store.delete_file(path)

    def _put(self, path: AssetPath, entry: Entry) -> None:
        content = (entry.content or "").encode()
        if self.store.kinds.of(path) is None:
            self.store.put_file(path, content)
        else:
            self.store.put(path, content, executable=entry.executable)

    def rekind(self, kinds: Kinds) -> None:
        self.store.set_kinds(kinds)

    def standing(self) -> Standing:
        return {str(path): held for path, held in self.store.contents().items()}

    def fingerprint(self) -> str:
        return self.store.state_hash()

    def close(self) -> None:
        pass


class DirectoryProject:
    """A `DirectoryStore`, edited as with any editor."""

    def __init__(self, scenario: Scenario, project: str, folder: Path) -> None:
        self._root = folder / "project"
        self._root.mkdir()
        self.store = DirectoryStore.create(
            self._root, project=project, kinds=kinds_of(scenario.kinds), names=scenario.names
        )

    def edit(self, delta: Delta) -> None:
        sources = ((path, entry.moved_from) for path, entry in delta.items() if entry)
        moving = [(path, source) for path, source in sources if source is not None]
        for number, (_, source) in enumerate(moving):
            (self._root / source).rename(self._root / f".moving{number}")
        for path, entry in delta.items():
            if entry is None:
                self._delete(path)
        for number, (path, _) in enumerate(moving):
            self._folder_of(path)
            (self._root / f".moving{number}").rename(self._root / path)
        if moving:
            # A person who renames and edits looks in between; so the rename is written down.
            list(now(self.store).records())
        for path, entry in delta.items():
            if entry is not None and (entry.moved_from is None or entry.content is not None):
                self._write(path, entry)

    def _delete(self, path: str) -> None:
        file = self._root / path
        file.unlink()
        while file.parent != self._root and not any(file.parent.iterdir()):
            file = file.parent
            file.rmdir()

    def _write(self, path: str, entry: Entry) -> None:
        file = self._folder_of(path)
        file.write_bytes((entry.content or "").encode())
        file.chmod(0o755 if entry.executable else 0o644)

    def _folder_of(self, path: str) -> Path:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def rekind(self, kinds: Kinds) -> None:
        self.store.set_kinds(kinds)

    def standing(self) -> Standing:
        return {
            file.relative_to(self._root).as_posix(): (
                file.read_bytes(),
                bool(file.stat().st_mode & 0o100),
            )
            for file in self._root.rglob("*")
            if file.is_file() and ".towline" not in file.parts
        }

    def fingerprint(self) -> str:
        held = (
            now(self.store).state(),
            list(now(self.store).records()),
            self.store.log(),
            sorted(self.standing().items()),
        )
        return sha256(repr(held).encode()).hexdigest()

    def close(self) -> None:
        self.store.close()


class InMemory:
    """A `MemoryRepository`."""

    def __init__(self, _: Path) -> None:
        self._repository = MemoryRepository()
        self._remotes: dict[str, MemoryRemote] = {}

    def commit(self, tree: Mapping[str, Entry], *, rewrite: bool) -> None:
        files = {raw_path(path): entry.file for path, entry in tree.items()}
        self._repository.commit(files, parents=() if rewrite else None)

    def remote(self, scope: str) -> MemoryRemote:
        return self._remotes.setdefault(
            scope, MemoryRemote(repository=self._repository, scope=scope)
        )

    def forget(self) -> None:
        self._remotes.clear()

    def close(self) -> None:
        pass


class OnDisk:
    """A real Git repository, and a cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._repository = GitRepository(folder / "repository.git")
        self._caches = 0
        self._remotes: dict[tuple[str, int], GitRemote] = {}

    def commit(self, tree: Mapping[str, Entry], *, rewrite: bool) -> None:
        files = {raw_path(path): entry.file for path, entry in tree.items()}
        self._repository.commit(files, parents=() if rewrite else None)

    def remote(self, scope: str) -> GitRemote:
        if (scope, self._caches) not in self._remotes:
            cache = self._folder / f"cache{self._caches}"
            remote = GitRemote(str(self._repository.path), scope=scope, cache=cache)
            self._remotes[scope, self._caches] = remote
        return self._remotes[scope, self._caches]

    def forget(self) -> None:
        self._caches += 1

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close()
