"""What a `BaseStore` reads and writes in one transaction, and the lookups over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from towline.codec import decode, decode_trusted, encode
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.options import Renames
from towline.plan import Plan
from towline.ports import LoggedPull
from towline.records import (
    AssetRecord,
    ChangedRecords,
    LocalFile,
    Occupant,
    ReadContent,
    StoreState,
    changed_among,
)
from towline.resolutions import SavedResolution
from towline.stores.resolutions import remembered_resolutions, saved_resolutions

if TYPE_CHECKING:
    from towline.stores.base import BaseStore


class StoreTransaction(Protocol):
    """Reads and writes of one project in one transaction, which sees its own writes.

    ``get`` and ``set`` store texts by name: the recorded state, used ids and where they were last,
    the log, and saved resolutions.
    """

    def find(self, column: str, low: str, high: str | None) -> Iterable[AssetRecord]:
        """Return the records whose column is ``low <= value < high``; None: no upper bound.

        Columns are those of `record_columns`; texts compare by their code points (as UTF-8
        bytes do). A column that is None is never found.
        """
        ...

    def files(self, low: str, high: str) -> Iterable[AssetPath]:  # noqa: ARG002 - for overriding
        """Return the files that are no assets, by path key as `find`; by default there are none."""
        return ()

    def put(self, record: AssetRecord) -> None:
        """Write a record, new or not."""
        ...

    def remove(self, asset_id: AssetId) -> None:
        """Delete a record, if there is one."""
        ...

    def get(self, name: str) -> str | None:
        """Return the text of this name."""
        ...

    def set(self, name: str, text: str | None) -> None:
        """Write the text of this name; None deletes it."""
        ...

    def blob(self, digest: Digest) -> bytes | None:
        """Return the bytes of this digest."""
        ...

    def put_blob(self, digest: Digest, content: bytes) -> None:
        """Write bytes; they may be there already."""
        ...

    def remove_blob(self, digest: Digest) -> None:
        """Delete bytes, if they are there."""
        ...


def former_name(path: AssetPath) -> str:
    """Return the name of the text that is the id released last at this path."""
    # Digests, as paths may be longer than a database's keys.
    return f"former/{Digest.of(path.encode('utf-8', 'surrogateescape'))}"


def record_json(record: AssetRecord) -> str:
    """Return a record as JSON text."""
    return json.dumps(encode(record), ensure_ascii=False, sort_keys=True)


def record_of(text: str) -> AssetRecord:
    """Return the record that `record_json` made this text of. Raises InvalidValue."""
    return decode_trusted(AssetRecord, json.loads(text), "record")


def record_columns(record: AssetRecord, names: NamePolicy) -> dict[str, str | None]:
    """Return the columns by which `StoreTransaction.find` finds a record; each needs an index.

    ``id``, ``path`` and ``digest`` (as it is here), ``path_key`` (the path as the name policy
    compares it), ``aligned_path``, ``embedded_id``, and ``lagging`` (``"1"`` or None).
    """
    ours = record.ours
    return {
        "id": record.id,
        "path": None if ours is None else ours.path,
        "digest": None if ours is None else ours.digest,
        "path_key": None if ours is None else names.key(ours.path),
        "aligned_path": record.aligned_path,
        "embedded_id": record.embedded_id,
        "lagging": "1" if record.lagging else None,
    }


class BaseSnapshot:
    """The lookups over one transaction; `towline.ports.Snapshot`."""

    def __init__(self, transaction: StoreTransaction, store: BaseStore) -> None:
        self.project = store.project
        self.kinds = store.kinds
        self.names = store.names
        self._keep = store.keep
        self._transaction = transaction

    def state(self) -> StoreState:
        text = self._transaction.get("state")
        return StoreState() if text is None else decode(StoreState, json.loads(text))

    def at(self, path: AssetPath) -> AssetRecord | None:
        return next(iter(self._equal("path", path)), None)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        return next(iter(self._equal("aligned_path", path)), None)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        return next(iter(self._equal("id", asset_id)), None)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        return _by_id(self._equal("embedded_id", embedded_id))

    def lagging(self) -> Sequence[AssetRecord]:
        return _by_id(self._equal("lagging", "1"))

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        key = self.names.key(path)
        parts = key.split("/")
        ranges = [only("/".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
        found: dict[AssetPath, Occupant] = {}
        # "0" is the character after "/".
        for low, high in (*ranges, (f"{key}/", f"{key}0")):
            for record in self._transaction.find("path_key", low, high):
                assert record.ours is not None, "it has a path"
                found[record.ours.path] = record
            found |= {file: LocalFile(path=file) for file in self._transaction.files(low, high)}
        return [found[at] for at in sorted(found)]

    def is_used(self, asset_id: AssetId) -> bool:
        return self._transaction.get(f"used/{asset_id}") is not None

    def former_id(self, path: AssetPath) -> AssetId | None:
        asset_id = self.released_at(path)
        record = None if asset_id is None else self.with_id(asset_id)
        is_elsewhere = record is not None and (record.ours is None or record.ours.path != path)
        return None if is_elsewhere else asset_id

    def released_at(self, path: AssetPath) -> AssetId | None:
        """Return the id that `BaseStore.use_ids` recorded last with this path."""
        asset_id = self._transaction.get(former_name(path))
        is_last = asset_id and self._transaction.get(f"used/{asset_id}") == f"/{path}"
        return AssetId(asset_id) if asset_id and is_last else None

    def records(self) -> Iterator[AssetRecord]:
        return iter(_by_id(self._transaction.find("id", "", None)))

    def changed_records(self) -> ChangedRecords:
        return changed_among(self.records())

    def read_ahead(self, paths: Iterable[AssetPath]) -> None:
        """Do nothing: a store may do better."""

    def find_renames(self, mode: Renames, read: ReadContent) -> None:
        """Do nothing: users rename by id, with `LocalEdits.move`."""

    def saved_resolutions(self) -> Sequence[SavedResolution]:
        return saved_resolutions(self._transaction.get)

    def remembered_resolutions(self) -> Sequence[SavedResolution]:
        return remembered_resolutions(self._transaction.get)

    def read(self, digest: Digest) -> bytes | None:
        return self._transaction.blob(digest)

    def log(self) -> Sequence[LoggedPull]:
        newest = self.pulls()
        found = map(self.logged, range(newest, max(newest - self._keep, 0), -1))
        return [entry for entry in found if entry is not None]

    def pulls(self) -> int:
        """Return how many plans were applied."""
        return int(self._transaction.get("pulls") or 0)

    def logged(self, number: int) -> LoggedPull | None:
        """Return the log entry of this number, if it is retained."""
        text = self._transaction.get(f"log/{number}")
        if text is None:
            return None
        entry = json.loads(text)
        return LoggedPull(
            number=number,
            plan=decode_trusted(Plan, entry["plan"]),
            at=None if entry["at"] is None else datetime.fromisoformat(entry["at"]),
            undone=self._transaction.get(f"undone/{number}") is not None,
        )

    def _equal(self, column: str, value: str) -> Iterable[AssetRecord]:
        return self._transaction.find(column, *only(value))


def _by_id(records: Iterable[AssetRecord]) -> list[AssetRecord]:
    return sorted(records, key=lambda record: record.id)


def only(value: str) -> tuple[str, str]:
    """Return the range of one value, for `StoreTransaction.find`: no value contains a NUL."""
    return value, f"{value}\0"
