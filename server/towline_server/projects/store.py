"""The library's store port over a SQL database: one project, read and written as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Contents as ContentSource
from towline.plan import Plan
from towline.ports import Applied, LoggedPull, Watch
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_undone,
    fetch_contents,
)
from towline_server.db.session import Database

from .commit import Writing, made_ready, write
from .edits import LocalEdits
from .guard import guarded
from .heads import Head, read_head
from .locking import Standing, advance, check_fence, lock_for_edit, standing
from .lookups import SqlSnapshot
from .preconditions import Expected
from .turns import turn

Also = Callable[[Session, Applied], None]
"""What a caller writes of its own in the transaction that applies a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """On whose behalf plans are applied.

    ``fence`` is what `locking.claim` gave (None: nobody claimed, the plan's own state is the
    guard); it is used up by one applied plan. ``also`` is called once in the transaction, last,
    for a plan with nothing to write too.
    """

    fence: int | None = None
    also: Also | None = None


class SqlStore:
    """A project in a database, as `towline.ports.AssetStore`, and its users' edits.

    Made for one request or one run: what is an asset here is read once.
    """

    def __init__(self, database: Database, project_id: UUID, *, run: Run = Run()) -> None:
        self._database = database
        self._project_id = project_id
        self._run = run
        self._known_head: Head | None = None

    @property
    def project(self) -> str:
        return self._head.project

    @property
    def kinds(self) -> Kinds:
        return self._head.kinds

    @property
    def names(self) -> NamePolicy:
        return self._head.names

    @property
    def _head(self) -> Head:
        if self._known_head is not None:
            return self._known_head
        with self._database.reading() as session:
            return self._read_head(session)

    def _read_head(self, session: Session) -> Head:
        if self._known_head is None:
            with guarded(self._project_id):
                self._known_head = read_head(session, self._project_id)
        return self._known_head

    # --- lookups ------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[SqlSnapshot]:
        """See the port: a read transaction."""
        with self._database.reading() as session:
            yield SqlSnapshot(session, self._project_id, self._read_head(session))

    def read(self, digest: Digest) -> bytes | None:
        with self.snapshot() as snapshot:
            return snapshot.read(digest)

    def log(self) -> Sequence[LoggedPull]:
        with self.snapshot() as snapshot:
            return snapshot.log()

    # --- local edits --------------------------------------------------------------------------

    @contextmanager
    def editing(self) -> Iterator[LocalEdits]:
        """Local edits in one transaction: all of them, or none if the block fails."""
        head = self._head
        with guarded(self._project_id), self._database.writing() as session:
            lock_for_edit(session, self._project_id)
            yield LocalEdits(session, self._project_id, head)

    def put(
        self,
        path: AssetPath,
        content: bytes,
        *,
        executable: bool | None = None,
        expected: Expected | None = None,
    ) -> AssetId:
        """Write an asset as its user would. Raises as `LocalEdits.put`."""
        with self.editing() as edits:
            return edits.put(path, content, executable=executable, expected=expected).id

    def move(
        self, asset_id: AssetId, path: AssetPath, *, expected: Expected | None = None
    ) -> AssetId:
        """Rename an asset as its user would; returns its id, another if it was never pulled.

        Raises as `LocalEdits.move`.
        """
        with self.editing() as edits:
            return edits.move(asset_id, path, expected=expected).id

    def delete(self, asset_id: AssetId, *, expected: Expected | None = None) -> None:
        """Delete an asset as its user would. Raises as `LocalEdits.delete`."""
        with self.editing() as edits:
            edits.delete(asset_id, expected=expected)

    # --- the transaction ----------------------------------------------------------------------

    def apply(self, plan: Plan, contents: ContentSource, watch: Watch) -> Applied:
        """As the port says. Contents are fetched before the transaction is opened."""
        if self._run.fence is not None:
            return self._apply(plan, contents, watch)
        with turn(self._database, self._project_id):
            return self._apply(plan, contents, watch)

    def _apply(self, plan: Plan, contents: ContentSource, watch: Watch) -> Applied:
        names = self.names
        with guarded(self._project_id), self._database.reading() as session:
            checked = self._checked(session, plan)
        if plan.is_noop:
            return self._confirm(plan, checked, watch)
        brought = fetch_contents(plan, contents, watch)
        writing = made_ready(self._project_id, names, plan, brought, watch.now)
        with guarded(self._project_id), self._database.writing() as session:
            applied = self._write(session, writing, checked)
            self._close(session, applied, watch)
        return applied

    def _checked(self, session: Session, plan: Plan) -> Standing:
        """How the project stands, if the plan can be applied to it. Raises as `apply`."""
        now = standing(session, self._project_id)
        fence = now.fence if self._run.fence is None else self._run.fence
        check_fence(plan, now, fence)
        if not plan.is_noop:
            self._check(session, plan)
        return now

    def _check(self, session: Session, plan: Plan) -> None:
        snapshot = SqlSnapshot(session, self._project_id, self._head)
        if plan.undoes is not None:
            check_undone(plan, next(iter(snapshot.log(plan.undoes)), None))
        check_edits(plan, lambda record: snapshot.with_id(record.id), snapshot)
        check_destinations(plan, snapshot, self.names)

    def _write(self, session: Session, writing: Writing, checked: Standing) -> Applied:
        moved = advance(session, self._project_id, writing.plan, checked.fence)
        # One step is this plan's own: any other was an edit, made since the plan was checked.
        if moved.edition != checked.edition + 1:
            self._check(session, writing.plan)
        write(session, writing, number=moved.pulls, keep=moved.keep)
        return Applied(number=moved.pulls)

    def _confirm(self, plan: Plan, checked: Standing, watch: Watch) -> Applied:
        """Nothing to write but what the run writes: that is fenced like the rest."""
        applied = Applied(number=None)
        if self._run.also is not None:
            with guarded(self._project_id), self._database.writing() as session:
                now = standing(session, self._project_id, lock=True)
                check_fence(plan, now, checked.fence)
                self._close(session, applied, watch)
        return applied

    def _close(self, session: Session, applied: Applied, watch: Watch) -> None:
        if self._run.also is not None:
            self._run.also(session, applied)
        watch.check()
