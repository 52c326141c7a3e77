"""A project that a user edits, over any store: the same words for memory and for a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeAlias

from towline.model import AssetId, AssetPath
from towline.ports import AssetStore
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.remotes.trees import FileContent
from towline.stores.directory.store import DirectoryStore
from towline.stores.memory import MemoryStore
from towline.testing.plans import now
from towline.testing.sides import KINDS

Snapshot = Mapping[AssetPath, tuple[bytes, bool]]
PROJECT = "project"


class Workbench(Protocol):
    """A store, its remote, and what a user does to the files."""

    remote: MemoryRemote

    @property
    def store(self) -> AssetStore: ...
    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None: ...
    def delete(self, path: AssetPath) -> None: ...
    def move(self, path: AssetPath, to: AssetPath) -> None: ...
    def snapshot(self) -> Snapshot: ...
    def state_hash(self) -> str: ...


class MemoryBench:
    """Over a `MemoryStore`."""

    def __init__(self, repository: MemoryRepository) -> None:
        self.remote = MemoryRemote(repository=repository)
        self.store = MemoryStore(PROJECT, kinds=KINDS)

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None:
        self.store.put(path, content, executable=executable)

    def delete(self, path: AssetPath) -> None:
        self.store.delete(self._id_at(path))

    def move(self, path: AssetPath, to: AssetPath) -> None:
        self.store.move(self._id_at(path), to)

    def _id_at(self, path: AssetPath) -> AssetId:
        record = now(self.store).at(path)
        assert record is not None
        return record.id

    def snapshot(self) -> Snapshot:
        return self.store.contents()

    def state_hash(self) -> str:
        return self.store.state_hash()


class DirectoryBench:
    """Over a `DirectoryStore`, whose files are edited behind its back."""

    def __init__(self, repository: MemoryRepository, root: Path) -> None:
        self.remote = MemoryRemote(repository=repository)
        root.mkdir()
        self.store = DirectoryStore.create(root, project=PROJECT, kinds=KINDS)

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> None:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)

    def delete(self, path: AssetPath) -> None:
        self._file(path).unlink()
        self._prune(self._file(path).parent)

    def move(self, path: AssetPath, to: AssetPath) -> None:
        self._file(to).parent.mkdir(parents=True, exist_ok=True)
        self._file(path).rename(self._file(to))
        self._prune(self._file(path).parent)

    def _file(self, path: AssetPath) -> Path:
        return self.store.root / path

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, so that a file can take their name."""
        while folder != self.store.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def snapshot(self) -> Snapshot:
        files = {}
        for file in sorted(self.store.root.rglob("*")):
            path = file.relative_to(self.store.root).as_posix()
            if file.is_file() and not path.startswith(".towline"):
                files[AssetPath(path)] = (file.read_bytes(), bool(file.stat().st_mode & 0o100))
        return dict(sorted(files.items()))

    def state_hash(self) -> str:
        held = (
            now(self.store).state(),
            list(now(self.store).records()),
            [(entry.number, entry.plan, entry.undone) for entry in self.store.log()],
            list(self.snapshot().items()),
        )
        return sha256(repr(held).encode()).hexdigest()


@contextmanager
def memory_bench() -> Iterator[Workbench]:
    """A project in memory."""
    yield MemoryBench(MemoryRepository())


@contextmanager
def directory_bench() -> Iterator[Workbench]:
    """A project in a folder that goes away afterwards."""
    with TemporaryDirectory() as folder:
        bench = DirectoryBench(MemoryRepository(), Path(folder) / "project")
        with bench.store:
            yield bench


Bench: TypeAlias = Callable[[], AbstractContextManager[Workbench]]
BENCHES: tuple[Bench, ...] = (memory_bench, directory_bench)


def commit(bench: Workbench, files: Mapping[AssetPath, FileContent]) -> None:
    """Commit a whole tree at the remote."""
    bench.remote.commit({str(path): content for path, content in files.items()})
