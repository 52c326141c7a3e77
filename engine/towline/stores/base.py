"""A store over any database that has transactions: subclass `BaseStore`.

A subclass gives `BaseStore.transaction`, the reads and writes of `StoreTransaction`. The base does
the rest of the `AssetStore` port: lookups, checks inside the transaction, progress, contents and
the bytes that undo needs, the log and its bound, and local edits.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Lock

from towline.codec import encode
from towline.errors import StoreBusy
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Plan
from towline.ports import Applied, LoggedPull, Watch
from towline.records import Contents
from towline.resolutions import SavedResolution
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_state,
    check_undone,
    fetch_contents,
    released_ids,
    undo_needs,
    undone_by,
)
from towline.stores.edits import Expect, LocalEdits
from towline.stores.resolutions import ResolutionTexts
from towline.stores.transaction import BaseSnapshot, StoreTransaction, former_name, only


class BaseStore(ABC):
    """A project over transactions; `towline.ports.AssetStore`, and its users' edits.

    ``keep`` is how many pulls can be undone.
    """

    def __init__(
        self,
        project: str,
        *,
        kinds: Kinds | None = None,
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> None:
        self.project = project
        self.kinds = Kinds() if kinds is None else kinds
        self.names = names
        self.keep = keep
        self._apply_lock = Lock()
        self._fence: str | None = None

    # --- for subclasses -----------------------------------------------------------------------

    @abstractmethod
    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        """Open a transaction: committed at the end of the block, rolled back if that raises.

        All that it reads is of one moment. One that writes excludes other writers from its first
        read on, so that what it checked still holds when it writes.
        """

    def mint_id(self, path: AssetPath) -> AssetId | None:  # noqa: ARG002 - a subclass may use it
        """Return the product's own id for a new local asset; None: it gets the planned one."""
        return None

    def lookups(self, transaction: StoreTransaction) -> BaseSnapshot:
        """Return the lookups over a transaction."""
        return BaseSnapshot(transaction, self)

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Exclude other applies, from the first check on; by default those of this store.

        Raises:
            StoreBusy: another one holds it.
        """
        if not self._apply_lock.acquire(blocking=False):
            raise StoreBusy(project=self.project)
        try:
            yield
        finally:
            self._apply_lock.release()

    def check_first(self, plan: Plan) -> None:
        """Refuse a plan that does not fit, before its contents are fetched. Raises as `check`."""
        with self.transaction(write=False) as transaction:
            self.check(plan, transaction)

    def check(self, plan: Plan, transaction: StoreTransaction) -> None:
        """Refuse a plan that does not fit the project as it is in this transaction.

        Called before contents are fetched, and again in the transaction that writes.

        Raises:
            StalePlan: naming what changed since the plan was made.
            StoreBusy: another store has claimed the project.
        """
        if self._fence is not None and transaction.get("fence") != self._fence:
            raise StoreBusy(project=self.project)
        ours = self.lookups(transaction)
        check_state(plan, self.project, ours.state())
        if not plan.is_noop:
            check_undone(plan, None if plan.undoes is None else ours.logged(plan.undoes))
            check_edits(plan, lambda record: ours.with_id(record.id), ours)
            check_destinations(plan, ours, self.names)

    def write(
        self,
        transaction: StoreTransaction,
        plan: Plan,
        fetched: Mapping[Digest, bytes],
        at: datetime | None,
    ) -> int:
        """Write a plan that was checked in this transaction; return its number in the log.

        A subclass that writes more with each plan, such as events, extends this.
        """
        for digest, content in fetched.items():
            transaction.put_blob(digest, content)
        for edit in plan.edits:
            # All of them first: assets may trade paths among themselves.
            if edit.before is not None:
                transaction.remove(edit.before.id)
        for edit in plan.edits:
            if edit.after is not None:
                transaction.put(edit.after)
        self.use_ids(transaction, [edit.asset_id for edit in plan.edits], released_ids(plan.edits))
        released = {edit.ours[0].digest for edit in plan.edits if edit.ours[0] is not None}
        number = self._write_log(transaction, plan, at)
        released |= self._drop_log(transaction, number - self.keep)
        transaction.set("state", json.dumps(encode(plan.after)))
        self.resolutions(transaction).clear_used(plan)
        self.sweep(transaction, released)
        return number

    def apply_noop(self, plan: Plan, watch: Watch) -> None:
        """Clear the resolutions that lapsed, for a plan that was checked and writes no asset."""
        if plan.cleared:
            with self.transaction(write=True) as transaction:
                self.check(plan, transaction)
                self.resolutions(transaction).clear_used(plan)
                watch.check()

    def resolutions(self, transaction: StoreTransaction) -> ResolutionTexts:
        """Return the saved resolutions in a transaction; `write` clears those that a plan used."""
        return ResolutionTexts(transaction.get, transaction.set)

    def use_ids(
        self,
        transaction: StoreTransaction,
        used: Iterable[AssetId],
        released: Mapping[AssetPath, AssetId],
    ) -> None:
        """Record ids as used, and those of dropped records by the path that each returns at."""
        for asset_id in used:
            transaction.set(f"used/{asset_id}", "1")
        for path, asset_id in released.items():
            transaction.set(f"used/{asset_id}", f"/{path}")
            transaction.set(former_name(path), asset_id)

    def sweep(self, transaction: StoreTransaction, released: Iterable[Digest]) -> None:
        """Delete those of these bytes that neither an asset has nor undo needs."""
        unused = {
            digest for digest in released if not any(transaction.find("digest", *only(digest)))
        }
        number = self.lookups(transaction).pulls()
        while unused and (needs := transaction.get(f"undo/{number}")) is not None:
            unused.difference_update(map(Digest, json.loads(needs)))
            number -= 1
        for digest in sorted(unused):
            transaction.remove_blob(digest)

    def claim(self) -> None:
        """Make this store the project's only writer: those that claimed it before apply nothing."""
        with self.transaction(write=True) as transaction:
            self._fence = str(int(transaction.get("fence") or 0) + 1)
            transaction.set("fence", self._fence)

    # --- the port -----------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[BaseSnapshot]:
        with self.transaction(write=False) as transaction:
            yield self.lookups(transaction)

    def read(self, digest: Digest) -> bytes | None:
        with self.snapshot() as snapshot:
            return snapshot.read(digest)

    def log(self) -> Sequence[LoggedPull]:
        with self.snapshot() as snapshot:
            return snapshot.log()

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        with self.applying():
            self.check_first(plan)
            if plan.is_noop:
                self.apply_noop(plan, watch)
                return Applied(number=None)
            fetched = fetch_contents(plan, contents, watch)
            watch.check()
            with self.transaction(write=True) as transaction:
                # Again: local edits may have been made while contents were fetched.
                self.check(plan, transaction)
                number = self.write(transaction, plan, fetched, watch.now)
                watch.check()
        return Applied(number=number)

    def save_resolutions(
        self, save: Iterable[SavedResolution] = (), clear: Iterable[AssetId] = ()
    ) -> None:
        with self.transaction(write=True) as transaction:
            self.resolutions(transaction).save(save, clear)

    def _write_log(self, transaction: StoreTransaction, plan: Plan, at: datetime | None) -> int:
        ours = self.lookups(transaction)
        number = ours.pulls() + 1

        def undoes(each: int) -> int | None:
            entry = ours.logged(each)
            return None if entry is None else entry.summary.undoes

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

    # --- local edits --------------------------------------------------------------------------

    @contextmanager
    def editing(self) -> Iterator[LocalEdits]:
        """Make local edits in one transaction: all of them, or none if the block raises."""
        with self.transaction(write=True) as transaction:
            yield LocalEdits(transaction, self)

    def put(
        self,
        path: AssetPath,
        content: bytes,
        *,
        executable: bool | None = None,
        expect: Expect | None = None,
    ) -> AssetId:
        """Write an asset as its user would, and return its id; see `LocalEdits.put`."""
        with self.editing() as edits:
            return edits.put(path, content, executable=executable, expect=expect).id

    def move(self, asset_id: AssetId, path: AssetPath, *, expect: Expect | None = None) -> AssetId:
        """Rename an asset as its user would, and return its id; see `LocalEdits.move`."""
        with self.editing() as edits:
            return edits.move(asset_id, path, expect=expect).id

    def delete(self, asset_id: AssetId, *, expect: Expect | None = None) -> None:
        """Delete an asset as its user would; see `LocalEdits.delete`."""
        with self.editing() as edits:
            edits.delete(asset_id, expect=expect)
