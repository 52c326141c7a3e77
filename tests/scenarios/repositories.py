"""The repository of a scenario, in memory or on the disk, and the edits of its project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from fixtures.scenarios.loader import Scenario, ScenarioEntry, kinds_of, raw_path
from tests.edited import DirectoryProject, EditedProject, MemoryProject
from towline import AssetPath, DirectoryStore, MemoryStore, Remote
from towline.remotes.git import GitRemote
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.testing.git_repository import GitRepository
from towline.testing.plans import now

Delta: TypeAlias = Mapping[str, ScenarioEntry | None]


def memory_project(scenario: Scenario, project: str, _: Path) -> MemoryProject:
    """Return the project of a scenario, in memory."""
    kinds = kinds_of(scenario.kinds)
    return MemoryProject(MemoryStore(project, kinds=kinds, names=scenario.names))


def directory_project(scenario: Scenario, project: str, folder: Path) -> DirectoryProject:
    """Return the project of a scenario, in a folder."""
    root = folder / "project"
    root.mkdir()
    kinds = kinds_of(scenario.kinds)
    return DirectoryProject(
        DirectoryStore.create(root, project=project, kinds=kinds, names=scenario.names)
    )


def edit(project: EditedProject, delta: Delta) -> None:
    """Edit a project as its user does: move, delete, then write."""
    moves = {
        AssetPath(path): AssetPath(entry.moved_from)
        for path, entry in delta.items()
        if entry and entry.moved_from
    }
    for target, source in moves.items():
        project.move(source, _aside(target))
    files = project.files()
    for path, entry in delta.items():
        if entry is None and path in files:
            project.delete(AssetPath(path))
    for target in moves:
        project.move(_aside(target), target)
    if moves:
        # A user who renames and edits looks in between, so that the rename is recorded.
        list(now(project.store).records())
    for path, entry in delta.items():
        if entry is not None and (entry.moved_from is None or entry.content is not None):
            content = (entry.content or "").encode()
            project.put(AssetPath(path), content, executable=entry.executable)


def _aside(path: AssetPath) -> AssetPath:
    """Return where an asset waits during a swap; its kind is that of its new path."""
    folder, slash, name = path.rpartition("/")
    return AssetPath(f"{folder}{slash}moving {name}")


class Repository(Protocol):
    """A repository and its remotes."""

    def commit(self, tree: Mapping[str, ScenarioEntry], *, rewrite: bool) -> None:
        """Commit a whole tree; ``rewrite`` leaves the old history."""
        ...

    def remote(self, scope: str) -> Remote:
        """Return the remote of a scope, with the cache of those before."""
        ...

    def forget(self) -> None:
        """Lose the cache."""
        ...

    def close(self) -> None:
        """Close the remotes."""
        ...


class RepositoryInMemory:
    """A `MemoryRepository`."""

    def __init__(self, _: Path) -> None:
        self._repository = MemoryRepository()
        self._remotes: dict[str, MemoryRemote] = {}

    def commit(self, tree: Mapping[str, ScenarioEntry], *, rewrite: bool) -> None:
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


class RepositoryOnDisk:
    """A real Git repository, and a cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._repository = GitRepository(folder / "repository.git")
        self._caches = 0
        self._remotes: dict[tuple[str, int], GitRemote] = {}

    def commit(self, tree: Mapping[str, ScenarioEntry], *, rewrite: bool) -> None:
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


PLACES = {
    "memory": (memory_project, RepositoryInMemory),
    "directory": (directory_project, RepositoryOnDisk),
}
