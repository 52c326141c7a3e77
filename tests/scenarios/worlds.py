"""Where a scenario happens: a project and a repository, edited as their users would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from fixtures.scenarios.loader import Entry, Scenario, kinds_of, raw_path
from towline import AssetId, AssetPath, AssetStore, Kinds, MemoryStore, Remote
from towline.remotes.git import GitRemote
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.testing.git_repository import GitRepository

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


class MemoryProject:
    """A `MemoryStore`."""

    def __init__(self, scenario: Scenario, project: str, _: Path) -> None:
        self.store = MemoryStore(project, kinds=kinds_of(scenario.kinds), names=scenario.names)

    def edit(self, delta: Delta) -> None:
        standing = set(self.store.snapshot())
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
        record = self.store.at(AssetPath(source))
        assert record is not None
        folder, slash, name = path.rpartition("/")
        return self.store.move(record.id, AssetPath(f"{folder}{slash}moving {name}"))

    def _delete(self, path: AssetPath) -> None:
        if (record := self.store.at(path)) is not None:
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
        return {str(path): held for path, held in self.store.snapshot().items()}

    def fingerprint(self) -> str:
        return self.store.state_hash()


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


class OnDisk:
    """A real Git repository, and a cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._repository = GitRepository(folder / "repository.git")
        self._caches = 0

    def commit(self, tree: Mapping[str, Entry], *, rewrite: bool) -> None:
        files = {raw_path(path): entry.file for path, entry in tree.items()}
        self._repository.commit(files, parents=() if rewrite else None)

    def remote(self, scope: str) -> GitRemote:
        cache = self._folder / f"cache{self._caches}"
        return GitRemote(str(self._repository.path), scope=scope, cache=cache)

    def forget(self) -> None:
        self._caches += 1
