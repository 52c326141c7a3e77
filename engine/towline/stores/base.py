"""A store over any database that has transactions: subclass `BaseStore`.

A subclass gives `BaseStore.transaction` and the reads and writes of `StoreTransaction`. The base
does the rest of the `AssetStore` port: lookups, checks inside the transaction, progress, contents
and the bytes that undo needs, the log and its bound, and local edits.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Protocol

from towline.codec import decode, encode
from towline.errors import InvalidPath, StoreBusy, UnknownAssets
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, AssetState, Digest, planned_id
from towline.names import NamePolicy
from towline.plan import Contents, Plan, StoreState
from towline.ports import Applied, LoggedPull, Snapshot, Watch
from towline.records import AssetRecord, LocalFile, Occupant, absent_at
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_state,
    check_undone,
    fetch_contents,
    undo_needs,
    undone_by,
)


class StoreTransaction(Protocol):
    """Reads and writes of one project in one transaction, which sees its own writes.

    ``get`` and ``set`` store texts by name: the recorded state, used ids, and the log.
    """

    def find(self, column: str, low: str, high: str | None) -> Iterable[AssetRecord]:
        """Return the records whose column is ``low <= value < high``; None: no upper bound.

        Columns are those of `record_columns`; texts compare by their code points (as UTF-8
        bytes do). A column that is None is never found.
        """
        ...

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


def record_json(record: AssetRecord) -> str:
    """Return a record as JSON text."""
    return json.dumps(encode(record), ensure_ascii=False, sort_keys=True)


def record_of(text: str) -> AssetRecord:
    """Return the record that `record_json` made this text of. Raises InvalidValue."""
    return decode(AssetRecord, json.loads(text), "record")


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
    """The lookups of a `BaseStore` in one transaction; `towline.ports.Snapshot`."""

    def __init__(self, store: BaseStore, transaction: StoreTransaction) -> None:
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
        ranges = [_only("/".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
        found: dict[AssetPath, Occupant] = {}
        # "0" is the character after "/".
        for low, high in (*ranges, (f"{key}/", f"{key}0")):
            for record in self._transaction.find("path_key", low, high):
                assert record.ours is not None, "it has a path"
                found[record.ours.path] = record
            found |= {file: LocalFile(path=file) for file in self._files(low, high)}
        return [found[at] for at in sorted(found)]

    def is_used(self, asset_id: AssetId) -> bool:
        return self._transaction.get(f"used/{asset_id}") is not None

    def records(self) -> Iterator[AssetRecord]:
        return iter(_by_id(self._transaction.find("id", "", None)))

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
            plan=decode(Plan, entry["plan"]),
            at=None if entry["at"] is None else datetime.fromisoformat(entry["at"]),
            undone=self._transaction.get(f"undone/{number}") is not None,
        )

    def _equal(self, column: str, value: str) -> Iterable[AssetRecord]:
        return self._transaction.find(column, *_only(value))

    def _files(self, low: str, high: str) -> Iterable[AssetPath]:
        files = getattr(self._transaction, "files", None)
        return () if files is None else files(low, high)


class BaseStore(ABC):
    """A project over transactions; `towline.ports.AssetStore`, and its users' edits.

    An asset that was put here and never pulled has the id that `mint_id` gives it. Where that is
    the one planned for its path, it follows the path in a move, and is free again when the asset
    is deleted.
    """

    def __init__(
        self,
        project: str,
        *,
        kinds: Kinds | None = None,
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> None:
        """Take what the product knows of the project; ``keep`` is how many pulls can be undone."""
        self.project = project
        self.kinds = Kinds() if kinds is None else kinds
        self.names = names
        self.keep = keep
        self._apply_lock = Lock()

    @abstractmethod
    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        """Open a transaction: committed at the end of the block, rolled back if that raises.

        All that it reads is of one moment. One that writes excludes other writers from its first
        read on, so that what it checked still holds when it writes.
        """

    def mint_id(self, path: AssetPath) -> AssetId | None:  # noqa: ARG002 - a subclass may use it
        """Return the product's own id for an asset made here; None: it gets the planned one."""
        return None

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self.transaction(write=False) as transaction:
            yield BaseSnapshot(self, transaction)

    def read(self, digest: Digest) -> bytes | None:
        with self.snapshot() as snapshot:
            return snapshot.read(digest)

    def log(self) -> Sequence[LoggedPull]:
        with self.snapshot() as snapshot:
            return snapshot.log()

    # --- applying -----------------------------------------------------------------------------

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        if not self._apply_lock.acquire(blocking=False):
            raise StoreBusy(project=self.project)
        try:
            with self.transaction(write=False) as transaction:
                self.check(plan, transaction)
            if plan.is_noop:
                return Applied(number=None)
            fetched = fetch_contents(plan, contents, watch)
            watch.check()
            with self.transaction(write=True) as transaction:
                # Again: local edits may have been made while contents were fetched.
                self.check(plan, transaction)
                number = self._write(transaction, plan, fetched, watch)
        finally:
            self._apply_lock.release()
        return Applied(number=number)

    def check(self, plan: Plan, transaction: StoreTransaction) -> None:
        """Refuse a plan that does not fit the project as it is in this transaction.

        Raises:
            StalePlan: naming what changed since the plan was made.
        """
        snapshot = BaseSnapshot(self, transaction)
        check_state(plan, self.project, snapshot.state())
        if not plan.is_noop:
            check_undone(plan, None if plan.undoes is None else snapshot.logged(plan.undoes))
            check_edits(plan, lambda record: snapshot.with_id(record.id), snapshot)
            check_destinations(plan, snapshot, self.names)

    def _write(
        self,
        transaction: StoreTransaction,
        plan: Plan,
        fetched: Mapping[Digest, bytes],
        watch: Watch,
    ) -> int:
        for digest, content in fetched.items():
            transaction.put_blob(digest, content)
        for edit in plan.edits:
            # All of them first: assets may trade paths among themselves.
            if edit.before is not None:
                transaction.remove(edit.before.id)
        for edit in plan.edits:
            transaction.set(f"used/{edit.asset_id}", "1")
            if edit.after is not None:
                transaction.put(edit.after)
        released = {edit.ours[0].digest for edit in plan.edits if edit.ours[0] is not None}
        number = self._write_log(transaction, plan, watch.now)
        released |= self._drop_log(transaction, number - self.keep)
        transaction.set("state", json.dumps(encode(plan.after)))
        self._sweep(transaction, released)
        return number

    def _write_log(self, transaction: StoreTransaction, plan: Plan, at: datetime | None) -> int:
        snapshot = BaseSnapshot(self, transaction)
        number = snapshot.pulls() + 1

        def undoes(each: int) -> int | None:
            entry = snapshot.logged(each)
            return None if entry is None else entry.plan.undoes

        for each, undone in undone_by(plan, undoes).items():
            transaction.set(f"undone/{each}", "1" if undone else None)
        entry = {
            "plan": encode(replace(plan, source=None)),
            "at": None if at is None else at.isoformat(),
        }
        transaction.set("pulls", str(number))
        transaction.set(f"log/{number}", json.dumps(entry))
        transaction.set(f"undo/{number}", json.dumps(sorted(undo_needs(plan.edits))))
        return number

    def _drop_log(self, transaction: StoreTransaction, newest: int) -> set[Digest]:
        """Drop the log entries up to this number; return the digests that they retained."""
        dropped: set[Digest] = set()
        while newest > 0 and (needs := transaction.get(f"undo/{newest}")) is not None:
            dropped.update(map(Digest, json.loads(needs)))
            for name in ("log", "undo", "undone"):
                transaction.set(f"{name}/{newest}", None)
            newest -= 1
        return dropped

    def _sweep(self, transaction: StoreTransaction, released: Iterable[Digest]) -> None:
        """Delete those of these bytes that neither an asset has nor undo needs."""
        unused = {d for d in released if not any(transaction.find("digest", *_only(d)))}
        number = BaseSnapshot(self, transaction).pulls()
        while unused and (needs := transaction.get(f"undo/{number}")) is not None:
            unused.difference_update(map(Digest, json.loads(needs)))
            number -= 1
        for digest in sorted(unused):
            transaction.remove_blob(digest)

    # --- local edits --------------------------------------------------------------------------

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> AssetId:
        """Write an asset as its user would: the one at the path, else a new one.

        Raises:
            InvalidPath: the path is outside the kinds, or is taken by something else.
        """
        state = AssetState(path=path, digest=Digest.of(content), executable=executable)
        with self._editing() as (transaction, snapshot):
            before = snapshot.at(path)
            if before is not None:
                after = replace(before, ours=state)
            else:
                kind = self._kind_at(path)
                _check_free(snapshot, path, None)
                before = absent_at(snapshot, path)
                after = (
                    AssetRecord(
                        id=self.mint_id(path) or planned_id(self.project, path, snapshot.is_used),
                        kind=kind,
                        base=None,
                        ours=state,
                        recorded=None,
                    )
                    if before is None
                    else replace(before, kind=kind, ours=state)
                )
            transaction.put_blob(state.digest, content)
            self._replace(transaction, before, after)
        return after.id

    def move(self, asset_id: AssetId, path: AssetPath) -> AssetId:
        """Rename an asset as its user would; return its id, which is new if it was only planned.

        Raises:
            UnknownAssets: there is no such asset here.
            InvalidPath: the path is outside the kinds, or is taken by something else.
        """
        with self._editing() as (transaction, snapshot):
            before, ours = _existing(snapshot, asset_id)
            kind = self._kind_at(path)
            _check_free(snapshot, path, asset_id)
            after = replace(before, kind=kind, ours=replace(ours, path=path))
            if asset_id == planned_id(self.project, ours.path, snapshot.is_used):
                after = replace(after, id=planned_id(self.project, path, snapshot.is_used))
            self._replace(transaction, before, after)
        return after.id

    def delete(self, asset_id: AssetId) -> None:
        """Delete an asset as its user would.

        Raises:
            UnknownAssets: there is no such asset here.
        """
        with self._editing() as (transaction, snapshot):
            before, _ = _existing(snapshot, asset_id)
            self._replace(transaction, before, replace(before, ours=None))

    @contextmanager
    def _editing(self) -> Iterator[tuple[StoreTransaction, BaseSnapshot]]:
        with self.transaction(write=True) as transaction:
            yield transaction, BaseSnapshot(self, transaction)

    def _kind_at(self, path: AssetPath) -> str:
        kind = self.kinds.of(path)
        if kind is None:
            raise InvalidPath(path=path, problem="is outside the kinds of this project")
        return kind.name

    def _replace(
        self, transaction: StoreTransaction, before: AssetRecord | None, after: AssetRecord
    ) -> None:
        if before is not None:
            transaction.remove(before.id)
        if not (after.local_only and after.ours is None):
            transaction.put(after)
        if before is not None and before.ours is not None:
            self._sweep(transaction, [before.ours.digest])


def _by_id(records: Iterable[AssetRecord]) -> list[AssetRecord]:
    return sorted(records, key=lambda record: record.id)


def _only(value: str) -> tuple[str, str]:
    """Return the range of one value: no path, id or key contains a NUL."""
    return value, f"{value}\0"


def _check_free(snapshot: BaseSnapshot, path: AssetPath, mover: AssetId | None) -> None:
    for occupant in snapshot.occupants(path):
        if isinstance(occupant, LocalFile) or occupant.id != mover:
            raise InvalidPath(path=path, problem="something else is in the way")


def _existing(snapshot: BaseSnapshot, asset_id: AssetId) -> tuple[AssetRecord, AssetState]:
    record = snapshot.with_id(asset_id)
    if record is None or record.ours is None:
        raise UnknownAssets(asset_ids=(asset_id,))
    return record, record.ours
