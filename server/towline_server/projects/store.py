"""The library's store port over a SQL database: one project, read and written as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.errors import InvalidPlan, StoreDamaged
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Contents as ContentSource
from towline.plan import Plan, StoreState
from towline.planfile import load_plan
from towline.ports import Applied, LoggedPull, Phase, Watch
from towline.records import AssetRecord, Occupant
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_undone,
    needed_contents,
)
from towline_server.db.session import Database

from .asset_tables import Pull
from .commit import Writing, made_ready, write
from .contents import Contents
from .edits import LocalEdits
from .guard import guarded
from .heads import Head, read_head
from .locking import Standing, advance, check_fence, lock_for_edit, standing
from .lookups import FrugalOurs, RowOurs
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

    Made for one request or one run: what is an asset here is read once. Each lookup sees the
    moment of its call; `snapshot` gives a store whose lookups see one moment.
    """

    def __init__(self, database: Database, project_id: UUID, *, run: Run = Run()) -> None:
        self._database = database
        self._project_id = project_id
        self._run = run

    @property
    def project(self) -> str:
        return self._head.project

    @property
    def kinds(self) -> Kinds:
        return self._head.kinds

    @property
    def names(self) -> NamePolicy:
        return self._head.names

    @cached_property
    def _head(self) -> Head:
        with self._reading() as session:
            return read_head(session, self._project_id)

    # --- lookups ------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[SqlStore]:
        """The same store, whose lookups all see this moment; what it writes is not among it."""
        with self._database.reading() as session:
            yield _Snapshot(self._database, self._project_id, run=self._run, session=session)

    def state(self) -> StoreState:
        with self._reading() as session:
            return standing(session, self._project_id).state

    def at(self, path: AssetPath) -> AssetRecord | None:
        with self._asking() as ours:
            return ours.at(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        with self._asking() as ours:
            return ours.aligned_at(path)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        with self._asking() as ours:
            return ours.with_id(asset_id)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        with self._asking() as ours:
            return ours.with_embedded_id(embedded_id)

    def lagging(self) -> Sequence[AssetRecord]:
        with self._asking() as ours:
            return ours.lagging()

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        with self._asking() as ours:
            return ours.occupants(path)

    def is_used(self, asset_id: AssetId) -> bool:
        with self._asking() as ours:
            return ours.is_used(asset_id)

    def records(self) -> Iterator[AssetRecord]:
        with self._asking() as ours:
            yield from ours.records()

    def read(self, digest: Digest) -> bytes | None:
        with self._reading() as session:
            return Contents(session, self._project_id).read(digest)

    def log(self) -> Sequence[LoggedPull]:
        with self._reading() as session:
            return self._logged(session)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with guarded(self._project_id), self._database.reading() as session:
            yield session

    @contextmanager
    def _asking(self) -> Iterator[RowOurs | FrugalOurs]:
        names = self.names  # Before: a second connection while one is held may never come.
        with self._reading() as session:
            yield RowOurs(session, self._project_id, names)

    def _logged(self, session: Session, number: int | None = None) -> list[LoggedPull]:
        found = select(Pull.number, Pull.plan, Pull.at, Pull.undone).where(
            Pull.project_id == self._project_id, Pull.plan.is_not(None)
        )
        if number is not None:
            found = found.where(Pull.number == number)
        rows = session.execute(found.order_by(Pull.number.desc()))
        return [
            LoggedPull(number=row.number, plan=self._plan(row.plan), at=row.at, undone=row.undone)
            for row in rows
        ]

    def _plan(self, document: str) -> Plan:
        try:
            return load_plan(document)
        except InvalidPlan as error:
            raise StoreDamaged(project=self.project, problem=error.message) from error

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

    def put_file(self, path: AssetPath, content: bytes = b"") -> None:
        """Write something that is no asset. Raises as `LocalEdits.put_file`."""
        with self.editing() as edits:
            edits.put_file(path, content)

    def delete_file(self, path: AssetPath) -> None:
        """Delete something that is no asset."""
        with self.editing() as edits:
            edits.delete_file(path)

    # --- the transaction ----------------------------------------------------------------------

    def apply(self, plan: Plan, contents: ContentSource, watch: Watch) -> Applied:
        """As the port says. Contents are fetched before the transaction is opened."""
        if self._run.fence is not None:
            return self._apply(plan, contents, watch)
        with turn(self._database, self._project_id):
            return self._apply(plan, contents, watch)

    def _apply(self, plan: Plan, contents: ContentSource, watch: Watch) -> Applied:
        names = self.names
        with self._reading() as session:
            checked = self._checked(session, plan)
        if plan.is_noop:
            return self._confirm(plan, checked, watch)
        brought = _brought(plan, contents, watch)
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
        if plan.undoes is not None:
            logged = self._logged(session, plan.undoes)
            check_undone(plan, logged[0] if logged else None)
        ours = FrugalOurs(RowOurs(session, self._project_id, self.names), self.names)
        check_edits(plan, lambda record: ours.with_id(record.id), ours)
        check_destinations(plan, ours, self.names)

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


class _Snapshot(SqlStore):
    """A store whose lookups share one session."""

    def __init__(self, database: Database, project_id: UUID, *, run: Run, session: Session) -> None:
        super().__init__(database, project_id, run=run)
        self._session = session

    def state(self) -> StoreState:
        return self._state

    @cached_property
    def _state(self) -> StoreState:
        return super().state()

    @cached_property
    def _frugal(self) -> FrugalOurs:
        return FrugalOurs(RowOurs(self._session, self._project_id, self.names), self.names)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with guarded(self._project_id):
            yield self._session

    @contextmanager
    def _asking(self) -> Iterator[RowOurs | FrugalOurs]:
        with guarded(self._project_id):
            yield self._frugal


def _brought(plan: Plan, contents: ContentSource, watch: Watch) -> dict[Digest, bytes]:
    total = len(plan.needed())
    watch.report(Phase.APPLYING, 0, total)
    brought: dict[Digest, bytes] = {}
    for digest, content in needed_contents(plan, contents):
        brought[digest] = content
        watch.report(Phase.APPLYING, len(brought), total)
    return brought
