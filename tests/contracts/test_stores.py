"""The store contract over every store of this package."""

import hashlib
import os
import sqlite3
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from towline.model import AssetId, AssetPath
from towline.names import NamePolicy
from towline.stores.directory.disk import Disk
from towline.stores.directory.store import DirectoryStore
from towline.stores.memory import MemoryStore
from towline.testing.faults import OpenDisk, faulty
from towline.testing.store_contract import BaseStoreHarness, Interruption, StoreContract


class MemoryHarness(BaseStoreHarness):
    store: MemoryStore

    def put_file(self, path):
        self.store.put_file(AssetPath(path))

    def state_hash(self):
        return self.store.state_hash()


class DirectoryHarness:
    def __init__(self, store: DirectoryStore) -> None:
        self.store = store
        self.others: list[DirectoryStore] = []
        self.disk: OpenDisk = Disk

    @property
    def root(self) -> Path:
        return self.store.root

    def reopen(self):
        self.store.close()
        self.store = DirectoryStore.open(self.root, disk=self.disk)

    def another(self):
        self.others.append(DirectoryStore.open(self.root))
        return self.others[-1]

    def close(self):
        for store in (self.store, *self.others):
            store.close()

    @contextmanager
    def interrupted_at(self, number):
        active = True

        def interrupt(*_):
            if active:
                raise Interruption

        self.store.close()
        self.disk = faulty()
        try:
            self.store = DirectoryStore.open(self.root, disk=faulty(interrupt, number))
            yield
        finally:
            active = False

    def put(self, path, content, *, executable=False):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if executable else 0o644)

    def move(self, path, to):
        (self.root / to).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).rename(self.root / to)

    def delete(self, path):
        (self.root / path).unlink()

    def put_file(self, path):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to("nowhere")

    def contents(self):
        found = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name != ".towline"]
            for name in names:
                place = Path(folder, name)
                if not place.is_symlink():
                    mode = place.stat().st_mode
                    path = str(place.relative_to(self.root))
                    found[path] = (place.read_bytes(), bool(mode & 0o100))
        return found

    def state_hash(self):
        return state_hash(self.root)


def state_hash(root: Path) -> str:
    """Everything in the state file but what is remembered of files, which any look may change."""
    connection = sqlite3.connect(f"file:{root}/.towline/state.db?mode=ro", uri=True)
    try:
        tables = ("meta", "settings", "assets", "used", "log", "blobs", "blob_uses")
        held = [sorted(connection.execute(f"SELECT * FROM {table}")) for table in tables]
    finally:
        connection.close()
    return hashlib.sha256(repr(held).encode()).hexdigest()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def new_store(self):
        def make(*, project="project", names=NamePolicy.EXACT, keep=50):
            return MemoryHarness(MemoryStore(project, names=names, keep=keep))

        return make


class MintingStore(MemoryStore):
    """A store of a product that makes ids of its own, and has no files but assets."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.minted = count(1)

    def mint_id(self, path):
        return AssetId(f"{path}-{next(self.minted)}")


class TestMintingStore(StoreContract):
    mints_ids = True
    has_files = False

    @pytest.fixture
    def new_store(self):
        def make(*, project="project", names=NamePolicy.EXACT, keep=50):
            return BaseStoreHarness(MintingStore(project, names=names, keep=keep))

        return make


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def new_store(self, tmp_path):
        made: list[DirectoryHarness] = []

        def make(*, project="project", names=NamePolicy.EXACT, keep=50):
            root = tmp_path / str(len(made))
            root.mkdir()
            store = DirectoryStore.create(root, project=project, names=names, keep=keep)
            made.append(DirectoryHarness(store))
            return made[-1]

        yield make
        for harness in made:
            harness.close()
