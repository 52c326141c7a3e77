"""A store in memory, for tests, dry runs and embedders' trials."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from threading import RLock
from typing import Any

from towline.errors import InvalidPath
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.records import AssetRecord
from towline.stores.base import BaseStore
from towline.stores.transaction import StoreTransaction, record_columns


class MemoryStore(BaseStore):
    """A project in memory. Local edits are `put`, `move`, `delete` and `put_file`."""

    def __init__(
        self,
        project: str,
        *,
        kinds: Kinds | None = None,
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> None:
        super().__init__(project, kinds=kinds, names=names, keep=keep)
        self._data = _Data(names)
        self._lock = RLock()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[_Data]:
        if not write:
            with self._lock:
                data = self._data
                data.readers += 1
            try:
                yield data
            finally:
                with self._lock:
                    data.readers -= 1
            return
        with self._lock:
            if self._data.readers:
                self._data = self._data.copy()
            data = self._data
            data.undo = []
            try:
                yield data
            except BaseException:
                data.roll_back()
                raise

    def set_kinds(self, kinds: Kinds) -> None:
        """Set what is an asset; the next pull compares in full."""
        self.kinds = kinds

    def put_file(self, path: AssetPath, content: bytes = b"") -> None:
        """Write a local file that is no asset.

        Raises:
            InvalidPath: something else is in the way.
        """
        with self.transaction(write=True) as data:
            if path not in data.local_files and self.lookups(data).occupants(path):
                raise InvalidPath(path=path, problem="something else is in the way")
            data.write(data.local_files, path, content)

    def delete_file(self, path: AssetPath) -> None:
        """Delete a local file that is no asset."""
        with self.transaction(write=True) as data:
            data.write(data.local_files, path, None)

    def contents(self) -> Mapping[AssetPath, tuple[bytes, bool]]:
        """Return every file by path: its bytes, and whether it is executable."""
        files = {path: (content, False) for path, content in self._data.local_files.items()}
        for record in self._data.records.values():
            if (state := record.ours) is not None:
                files[state.path] = (self._data.blobs[state.digest], state.executable)
        return dict(sorted(files.items()))

    def state_hash(self) -> str:
        """Return a text that changes with anything that the store has."""
        data = self._data
        tables = (data.records, data.texts, data.blobs, data.local_files)
        stored = [sorted(table.items()) for table in tables], self.kinds.fingerprint
        return sha256(repr(stored).encode("utf-8", "backslashreplace")).hexdigest()


class _Data(StoreTransaction):
    """The tables, and the indexes of the records; a `StoreTransaction`."""

    def __init__(self, names: NamePolicy) -> None:
        self.names = names
        self.records: dict[AssetId, AssetRecord] = {}
        self.texts: dict[str, str] = {}
        self.blobs: dict[Digest, bytes] = {}
        self.local_files: dict[AssetPath, bytes] = {}
        self.readers = 0
        self.undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._index: dict[tuple[str, str], dict[AssetId, AssetRecord]] = {}
        self._keys: list[str] | None = None

    def find(self, column: str, low: str, high: str | None) -> Iterable[AssetRecord]:
        if high == f"{low}\0":
            return tuple(self._index.get((column, low), {}).values())
        if column != "path_key" or high is None:
            return tuple(self.records.values())
        if self._keys is None:
            self._keys = sorted(key for name, key in self._index if name == "path_key")
        keys = self._keys[bisect_left(self._keys, low) : bisect_left(self._keys, high)]
        return [record for key in keys for record in self._index["path_key", key].values()]

    def put(self, record: AssetRecord) -> None:
        self.write(self.records, record.id, record)

    def remove(self, asset_id: AssetId) -> None:
        self.write(self.records, asset_id, None)

    def get(self, name: str) -> str | None:
        return self.texts.get(name)

    def set(self, name: str, text: str | None) -> None:
        self.write(self.texts, name, text)

    def blob(self, digest: Digest) -> bytes | None:
        return self.blobs.get(digest)

    def put_blob(self, digest: Digest, content: bytes) -> None:
        self.write(self.blobs, digest, content)

    def remove_blob(self, digest: Digest) -> None:
        self.write(self.blobs, digest, None)

    def files(self, low: str, high: str) -> Iterable[AssetPath]:
        """Return the local files whose path's key is in the range."""
        return [path for path in self.local_files if low <= self.names.key(path) < high]

    def write(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Write a value so that `roll_back` undoes it; None deletes."""
        self.undo.append((table, key, table.get(key)))
        self._set(table, key, value)

    def roll_back(self) -> None:
        """Undo what was written since ``undo`` was emptied."""
        for table, key, value in reversed(self.undo):
            self._set(table, key, value)

    def copy(self) -> _Data:
        """Return the same data, which later writes here do not change."""
        copied = _Data(self.names)
        for name in ("texts", "blobs", "local_files"):
            getattr(copied, name).update(getattr(self, name))
        for record in self.records.values():
            copied._set(copied.records, record.id, record)
        return copied

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if table is self.records and key in table:
            self._unindex(table[key])
        if value is None:
            table.pop(key, None)
            return
        table[key] = value
        if table is self.records:
            for name, text in record_columns(value, self.names).items():
                if text is not None:
                    if (
                        name == "path_key"
                        and self._keys is not None
                        and (name, text) not in self._index
                    ):
                        insort(self._keys, text)
                    self._index.setdefault((name, text), {})[key] = value

    def _unindex(self, record: AssetRecord) -> None:
        for name, text in record_columns(record, self.names).items():
            if text is not None:
                del self._index[name, text][record.id]
                if not self._index[name, text]:
                    del self._index[name, text]
                    if name == "path_key" and self._keys is not None:
                        del self._keys[bisect_left(self._keys, text)]
