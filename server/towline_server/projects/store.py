"""The library's store port over a SQL database: one project, read and written as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from towline.codec import decode
from towline.errors import MovedError, StoreBusy
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.names import NamePolicy
from towline.plan import Plan
from towline.ports import Applied, Watch
from towline.resolutions import SavedResolution
from towline.stores.base import BaseStore
from towline.stores.checks import released_ids
from towline_server.audit.log import Action
from towline_server.db.session import Database

from .asset_events import EventSource, append_events
from .changes import record_in
from .locking import claim, store_errors
from .log import drop_log, log_values, write_log
from .rows import AnyRow
from .tables import ProjectRow
from .transaction import SqlSnapshot, SqlTransaction

BeforeCommit = Callable[[Session, Applied], None]
"""What a caller writes of its own in the transaction that applies a plan."""


class AssetChanged(MovedError, code="asset_changed"):
    """The asset is not what the edit expected; nothing was changed."""

    path: str
    found: str | None
    """The digest of what is there; None: nothing is."""

    @property
    def message(self) -> str:
        """What is there instead."""
        if self.found is None:
            return f"there is no asset at {self.path!r} now; read it again"
        return f"{self.path!r} is {self.found} now; read it again"


@frozen
class Expected:
    """What must be at the edited path, so that no edit overwrites what its user has not read."""

    digests: frozenset[Digest] | None = None
    """An asset with one of these; None: with any digest. Empty: then no asset fits."""
    nothing: bool = False
    """Nothing must be there."""

    def __call__(self, path: AssetPath, found: AssetState | None) -> None:
        """Refuse the edit if something else is there.

        Raises:
            AssetChanged: it is.
        """
        if found is None or self.nothing:
            fits = self.nothing and found is None
        else:
            fits = self.digests is None or found.digest in self.digests
        if not fits:
            raise AssetChanged(path=path, found=None if found is None else found.digest)


@frozen(kw_only=True)
class _Checked:
    """The project as a plan was checked against it, and the plan as the log will have it."""

    fence: int
    edition: int
    log: dict[str, Any]


def _checked(plan: Plan, fence: int, edition: int) -> _Checked:
    log = {} if plan.is_noop else log_values(plan)
    return _Checked(fence=fence, edition=edition, log=log)


class SqlStore(BaseStore):
    """A project in a database, as `towline.ports.AssetStore`, and its users' edits.

    Made for one request or one run: what is an asset here is read once. ``fence`` is that of
    `locking.claim` (None: no claim was made, the plan's own state is the guard); one
    applied plan uses it up. ``planned_at`` is `SqlSnapshot.moment` of what that plan was made from:
    while the project has that edition and the fence, the plan fits. ``before_commit`` is called
    once in the transaction, last, for a plan with nothing to write too. ``run_id`` is the id of the
    run that applies. All of it raises NotFound where there is no such project (any more).
    """

    def __init__(
        self,
        database: Database,
        project_id: UUID,
        *,
        fence: int | None = None,
        planned_at: AnyRow | None = None,
        before_commit: BeforeCommit | None = None,
        run_id: UUID | None = None,
    ) -> None:
        self._database = database
        self._project_id = project_id
        self._fence = None
        self._claimed = fence
        self._planned_at = planned_at
        self._before_commit = before_commit
        self._run_id = run_id
        self._row: AnyRow | None = planned_at
        self._done: list[tuple[Action, object, Mapping[str, object]]] = []
        self._checked: _Checked | None = None
        # The database decides between processes, and always has the last word. A run with a fence
        # excludes no other: a worker that hangs must not keep out the one that replaced it.
        self._apply_lock = Lock() if fence is not None else database.lock_of(project_id)

    @cached_property
    def project(self) -> str:  # type: ignore[override] # the base has it set from the start
        """The project's name for ids: its id's text, unless it is a copy of one from elsewhere."""
        ids_from: str | None = self._settings().ids_from
        return str(self._project_id) if ids_from is None else ids_from

    @cached_property
    def kinds(self) -> Kinds:  # type: ignore[override] # the base has it set from the start
        """What is an asset here."""
        return decode(Kinds, self._settings().kinds, "kinds")

    @cached_property
    def names(self) -> NamePolicy:  # type: ignore[override] # the base has it set from the start
        """Which paths are equal here."""
        return NamePolicy(self._settings().names)

    @cached_property
    def keep(self) -> int:  # type: ignore[override] # the base has it set from the start
        """How many pulls can be undone."""
        keep: int = self._settings().keep
        return keep

    def _settings(self, transaction: SqlTransaction | None = None) -> AnyRow:
        if self._row is None:
            if transaction is None:
                with self.transaction(write=False) as reading:
                    return self._settings(reading)
            self._row = transaction.row
        return self._row

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Any]:
        if not write:
            with self._database.reading_patiently() as session:
                yield SqlTransaction(session, self._project_id, write=False)
            return
        with store_errors(self._project_id), self._database.writing() as session:
            yield SqlTransaction(session, self._project_id, write=True)
            for action, subject, detail in self._done:
                record_in(session, self._project_id, action, subject, **detail)

    @contextmanager
    def _recorded(self, action: Action, subject: object, **detail: object) -> Iterator[None]:
        """Record a change in the transaction that the block makes it in."""
        self._done = [(action, subject, detail)]
        try:
            yield
        finally:
            self._done = []

    def put(self, path: AssetPath, content: bytes, **rest: Any) -> AssetId:
        """Write an asset, as the base does."""
        with self._recorded(Action.ASSET_WRITTEN, path):
            return super().put(path, content, **rest)

    def move(self, asset_id: AssetId, path: AssetPath, **rest: Any) -> AssetId:
        """Rename an asset, as the base does."""
        with self._recorded(Action.ASSET_MOVED, asset_id, to=path):
            return super().move(asset_id, path, **rest)

    def delete(self, asset_id: AssetId, **rest: Any) -> None:
        """Delete an asset, as the base does."""
        with self._recorded(Action.ASSET_DELETED, asset_id):
            super().delete(asset_id, **rest)

    def save_resolutions(
        self, save: Iterable[SavedResolution] = (), clear: Iterable[AssetId] = ()
    ) -> None:
        """Save and clear resolutions, as the base does."""
        saved, cleared = list(save), list(clear)
        about = {"saved": [each.asset_id for each in saved], "cleared": cleared}
        with self._recorded(Action.RESOLUTIONS_CHANGED, None, **about):
            super().save_resolutions(saved, cleared)

    @contextmanager
    def snapshot(self) -> Iterator[SqlSnapshot]:
        """Open the project at one moment: in a read transaction."""
        with self.transaction(write=False) as transaction:
            yield self.lookups(transaction)

    def lookups(self, transaction: Any) -> SqlSnapshot:
        """Return the lookups over a transaction."""
        self._settings(transaction)
        return SqlSnapshot(transaction, self)

    def claim(self) -> None:
        """Take the project from every store that claimed it before, for one applied plan."""
        with store_errors(self._project_id), self._database.writing() as session:
            self._claimed = claim(session, self._project_id).fence

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Exclude other applies of this process that have no fence either."""
        with super().applying():
            self._checked = None
            yield

    def apply_noop(self, plan: Plan, watch: Watch) -> None:
        """As the base; what the caller writes is fenced, too."""
        if self._before_commit is None:
            super().apply_noop(plan, watch)
            return
        with self.transaction(write=True) as transaction:
            self.check(plan, transaction)
            self.resolutions(transaction).clear_used(plan)
            self._before_commit(transaction.session, Applied(number=None))
            watch.check()

    def check_first(self, plan: Plan) -> None:
        """Check a plan as the base does, unless it was made from a snapshot under this claim."""
        if self._claimed is None or self._planned_at is None:
            super().check_first(plan)
        else:
            self._checked = _checked(plan, self._claimed, self._planned_at.edition)

    def check(self, plan: Plan, transaction: Any) -> None:
        """Refuse a plan that does not fit; nothing is read twice if nothing was written since.

        Raises:
            StalePlan: as the base.
            StoreBusy: someone else has claimed the project.
        """
        row, checked = transaction.row, self._checked
        edition = row.edition - 1 if transaction.write else row.edition
        if checked is not None and (checked.fence, checked.edition) == (row.fence, edition):
            return
        super().check(plan, transaction)
        if self._claimed is not None:
            fence = self._claimed
        else:
            fence = row.fence if checked is None else checked.fence
        if row.fence != fence:
            raise StoreBusy(project=self.project)
        if checked is None:
            self._checked = _checked(plan, fence, edition)

    def write(
        self,
        transaction: Any,
        plan: Plan,
        fetched: Mapping[Digest, bytes],
        at: datetime | None,
    ) -> int:
        """Write a plan that was checked in this transaction; return its number in the log."""
        assert self._checked is not None, "it was checked"
        session: Session = transaction.session
        number: int = transaction.row.pulls + 1
        transaction.put_blobs(fetched)
        # Old records out, then new ones in: assets may trade paths among themselves.
        transaction.remove_all([edit.before.id for edit in plan.edits if edit.before is not None])
        transaction.put_all(edit.after for edit in plan.edits if edit.after is not None)
        # A tracked asset's is used already. One that was local until now has its id for good.
        used = [
            edit.asset_id for edit in plan.edits if edit.before is None or edit.before.local_only
        ]
        self.use_ids(transaction, used, released_ids(plan.edits))
        log = self._checked.log
        self.resolutions(transaction).clear_used(plan)
        write_log(session, self._project_id, plan, log, number=number, at=at)
        pull = EventSource(number=number, run_id=self._run_id, at=at)
        events = append_events(session, self._project_id, plan, pull, transaction.row)
        self.sweep(transaction, drop_log(session, self._project_id, number - self.keep))
        values = {
            "fence": ProjectRow.fence + 1,
            "pulls": number,
            "events": events,
            "base": plan.after.base,
            "fingerprint": plan.after.fingerprint,
            "scope": plan.after.scope,
            "tracked": plan.after.tracked,
            "tracked_bytes": plan.after.tracked_bytes,
        }
        session.execute(update(ProjectRow).where(ProjectRow.id == self._project_id).values(values))
        if self._before_commit is not None:
            self._before_commit(session, Applied(number=number))
        return number

    def use_ids(
        self, transaction: Any, used: Iterable[AssetId], released: Mapping[AssetPath, AssetId]
    ) -> None:
        """Record ids as used, and those of dropped records by the path that each returns at."""
        transaction.use_ids([*used, *released.values()], released)

    def sweep(self, transaction: Any, released: Iterable[Digest]) -> None:
        """Delete those of these bytes that neither an asset has nor undo needs."""
        transaction.remove_unused_blobs(released)
