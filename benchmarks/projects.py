"""A repository on a Git server, and the tree that every contender must end in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.projects import large
from towline.model import Revision
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

from .bench import WrongResult

OF_OTHERS = {".git", ".towline"}
"""Folders in which a contender has what it needs itself."""


@dataclass
class ServedProject:
    """A project on a Git server."""

    folder: Path
    size: int
    server: GitServer
    version: int = 0
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._repository = GitRepository(self.server.root / "large.git")
        self.files = large.files(self.size)
        self.revision = self._repository.commit(self.files)
        self.before: Revision = self.revision

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.server.url}/large.git"

    @property
    def one_percent(self) -> range:
        """The first file of each hundred."""
        return range(0, self.size, 100)

    def commit(self) -> None:
        """Change 1% of the files, and commit."""
        self.version += 1
        changed = {large.path(n): large.content(n, self.version) for n in self.one_percent}
        self.files = self.files | changed
        self.before = self.revision
        self.revision = self._repository.commit(self.files)


@contextmanager
def served_project(size: int) -> Iterator[ServedProject]:
    """A project of this size, in a folder and on a server that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name)
        with GitServer(folder / "server") as server:
            yield ServedProject(folder, size, server)


def check_tree(folder: Path, expected: Mapping[str, bytes]) -> None:
    """Compare what is in a folder with what has to be there.

    Raises:
        WrongResult: a path is missing, is not expected, or has another content.
    """
    found: set[str] = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in OF_OTHERS]
        inside = Path(place).relative_to(folder)
        found.update((inside / name).as_posix() for name in names)
    if found != expected.keys():
        path = min(found ^ expected.keys())
        raise WrongResult(f"{path} is {'unexpected' if path in found else 'missing'}")
    for path, content in expected.items():
        if (folder / path).read_bytes() != content:
            raise WrongResult(f"{path} has another content")


def remove(folder: Path) -> None:
    """Remove a folder that need not be there."""
    shutil.rmtree(folder, ignore_errors=True)
