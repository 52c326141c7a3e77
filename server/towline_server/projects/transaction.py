"""One project's rows in one session, and the lookups over them.

A lookup is one statement that an index answers, or one for a set of paths. After 64 lookups, 128,
256 and so on, a project of no more than four assets a lookup is read as a whole instead. So a first
pull of a thousand assets does not cost thousands of statements, nor a small change a walk over a
large project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import Executable, Result, delete, exists, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from towline.errors import InvalidPlan, StoreDamaged
from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.planfile import load_plan
from towline.ports import LoggedPull
from towline.records import AssetRecord, Occupant, StoreState
from towline.resolutions import SavedResolution
from towline.stores.base import BaseStore
from towline.stores.resolutions import resolution_name, resolution_of
from towline.stores.transaction import BaseSnapshot
from towline_server.db.statements import batches, insert_all, insert_missing
from towline_server.errors import existing

from .asset_tables import (
    AssetEventRow,
    AssetRow,
    BlobRow,
    PullRow,
    ResolutionRow,
    RetainedBlobRow,
    UsedIdRow,
)
from .locking import store_errors
from .rows import AnyRow, Columns, record_of, row_of, select_assets
from .tables import ProjectRow

P = ParamSpec("P")
T = TypeVar("T")

_BATCH = 1000
_SETTINGS = ("kinds", "names", "ids_from", "keep")
_STATE = ("base", "fingerprint", "scope", "tracked", "tracked_bytes")
_COLUMNS = ("fence", "edition", "pulls", "events", "event_kinds", *_SETTINGS, *_STATE)

_NAMING: tuple[tuple[Any, Any], ...] = (
    (AssetRow, AssetRow.digest),
    (RetainedBlobRow, RetainedBlobRow.digest),
    (AssetEventRow, AssetEventRow.before_digest),
    (AssetEventRow, AssetEventRow.after_digest),
)
"""The columns that name bytes, each with its table."""


class SqlTransaction:
    """The rows of one project; `towline.stores.transaction.StoreTransaction`, by sets of rows.

    One that writes locks the project's row first, and raises its ``edition``.
    """

    def __init__(self, session: Session, project_id: UUID, *, write: bool) -> None:
        self.session = session
        self.project_id = project_id
        self.write = write
        if write:
            assert self.row is not None, "it is locked"

    @cached_property
    def row(self) -> AnyRow:
        """The project's fence, edition, number of pulls, settings and state, read once.

        Raises:
            NotFound: there is no such project (any more).
        """
        columns = [getattr(ProjectRow, name) for name in _COLUMNS]
        mine = ProjectRow.id == self.project_id
        statement: Executable = select(*columns).where(mine)
        if self.write:
            locked = update(ProjectRow).where(mine).values(edition=ProjectRow.edition + 1)
            statement = locked.returning(*columns)
        return existing(self.execute(statement).first(), "project")

    def execute(self, statement: Executable) -> Result[Any]:
        """Execute a statement. Raises as `store_errors`."""
        with store_errors(self.project_id):
            return self.session.execute(statement)

    # --- records ------------------------------------------------------------------------------

    def find(self, column: str, low: str, high: str | None) -> Iterable[AssetRecord]:
        """Return the records whose column has this one value, ``low``; for `BaseSnapshot`.

        Most are not sorted: asked for an order, SQLite walks the whole project in that order
        rather than use the index that finds them. The index of lagging ones is in that order.
        """
        assert high == f"{low}\0", "ranges are asked for in sets"
        if column == "lagging":
            found = self.assets().where(AssetRow.lagging.is_(True)).order_by(AssetRow.id)
        else:
            found = self.assets().where(getattr(AssetRow, column) == low)
        return [record_of(row) for row in self.execute(found)]

    def assets(self) -> Columns:
        """Select the project's assets."""
        return select_assets().where(AssetRow.project_id == self.project_id)

    def used_ids(self) -> Columns:
        """Select the ids that the project's assets have, or had, and where they were last."""
        return select(UsedIdRow.asset_id, UsedIdRow.path).where(
            UsedIdRow.project_id == self.project_id
        )

    def put(self, record: AssetRecord) -> None:
        """Write a new record."""
        self.put_all([record])

    def put_all(self, records: Iterable[AssetRecord]) -> None:
        """Write new records."""
        names = NamePolicy(self.row.names)
        rows = [row_of(self.project_id, record, names) for record in records]
        insert_all(self.session, AssetRow, rows)

    def remove(self, asset_id: AssetId) -> None:
        """Delete a record."""
        self.remove_all([asset_id])

    def remove_all(self, asset_ids: Sequence[AssetId]) -> None:
        """Delete records."""
        for some in batches(asset_ids):
            mine = (AssetRow.project_id == self.project_id, AssetRow.id.in_(some))
            self.session.execute(delete(AssetRow).where(*mine))

    def use_ids(self, asset_ids: Sequence[AssetId], released: Mapping[AssetPath, AssetId]) -> None:
        """Record ids as used, which they may be already, and the released ones with their paths."""
        of_project = {"project_id": self.project_id}
        insert_missing(self.session, UsedIdRow, [{**of_project, "asset_id": i} for i in asset_ids])
        mine = UsedIdRow.project_id == self.project_id
        for column, values in (("asset_id", asset_ids), ("path", list(released))):
            for some in batches(values):
                found = getattr(UsedIdRow, column).in_(some), UsedIdRow.path.is_not(None)
                self.session.execute(update(UsedIdRow).where(mine, *found).values(path=None))
        rows = [{**of_project, "asset_id": i, "path": path} for path, i in released.items()]
        if rows:
            self.session.execute(update(UsedIdRow), rows)

    # --- saved resolutions --------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """Return the text of this name."""
        mine = ResolutionRow.project_id == self.project_id, ResolutionRow.name == name
        text: str | None = self.execute(select(ResolutionRow.text).where(*mine)).scalar()
        return text

    def set(self, name: str, text: str | None) -> None:
        """Write the text of this name; None deletes it."""
        mine = ResolutionRow.project_id == self.project_id, ResolutionRow.name == name
        self.execute(delete(ResolutionRow).where(*mine))
        if text is not None:
            row = {"project_id": self.project_id, "name": name, "text": text}
            insert_all(self.session, ResolutionRow, [row])

    # --- bytes --------------------------------------------------------------------------------

    def blob(self, digest: Digest) -> bytes | None:
        """Return the bytes of this digest."""
        mine = (BlobRow.project_id == self.project_id, BlobRow.digest == digest)
        content: bytes | None = self.execute(select(BlobRow.content).where(*mine)).scalar()
        return content

    def put_blob(self, digest: Digest, content: bytes) -> None:
        """Write bytes; they may be there already."""
        self.put_blobs({digest: content})

    def put_blobs(self, contents: Mapping[Digest, bytes]) -> None:
        """Write bytes, before the rows that name them."""
        rows = [
            {
                "project_id": self.project_id,
                "digest": digest,
                "size": len(content),
                "content": content,
            }
            for digest, content in contents.items()
        ]
        insert_missing(self.session, BlobRow, rows)

    def remove_unused_blobs(self, digests: Iterable[Digest]) -> None:
        """Delete those of these bytes that no row names: no asset's, none for undo, no event's.

        No count is stored, so none can drift; and the database itself refuses to lose bytes that
        a row names.
        """
        unused = [
            ~exists().where(table.project_id == BlobRow.project_id, digest == BlobRow.digest)
            for table, digest in _NAMING
        ]
        for some in batches(sorted(set(digests))):
            mine = (BlobRow.project_id == self.project_id, BlobRow.digest.in_(some))
            self.session.execute(
                delete(BlobRow).where(*mine, *unused),
                execution_options={"synchronize_session": False},
            )


def _counted(
    lookup: Callable[Concatenate[SqlSnapshot, P], T],
) -> Callable[Concatenate[SqlSnapshot, P], T]:
    """Look up in the whole project instead, once it is read."""
    name = lookup.__name__

    def look_up(self: SqlSnapshot, /, *args: P.args, **options: P.kwargs) -> T:
        if (index := self._index()) is None:
            return lookup(self, *args, **options)
        found: T = getattr(index, name)(*args, **options)
        return found

    return look_up


class SqlSnapshot(BaseSnapshot):
    """The lookups over one transaction; where that writes nothing, what was read is reused."""

    def __init__(self, transaction: Any, store: BaseStore) -> None:
        super().__init__(transaction, store)
        self._rows: SqlTransaction = transaction
        self._caches = not transaction.write
        self._lookups = 0
        self._next_count = 64
        self._whole: AssetIndex | None = None
        self._placed: dict[AssetPath, AssetRecord | None] = {}
        self._aligned: dict[AssetPath, AssetRecord | None] = {}

    def at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset at this path now, which may be read already."""
        return self._placed[path] if path in self._placed else self._find_at(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset that the recorded tree has at this path; it may be read already."""
        return self._aligned[path] if path in self._aligned else self._find_aligned(path)

    def read_ahead(self, paths: Iterable[AssetPath]) -> None:
        """Read the assets at these paths, here and in the recorded tree."""
        if not self._caches or self._whole is not None:
            return
        for some in batches(list(paths)):
            self._placed |= dict.fromkeys(some)
            self._aligned |= dict.fromkeys(some)
            for record in self._among(AssetRow.path, some):
                if record.ours is not None:
                    self._placed[record.ours.path] = record
            for record in self._among(AssetRow.aligned_path, some):
                if record.aligned_path is not None:
                    self._aligned[record.aligned_path] = record

    def _among(self, column: Any, values: Sequence[AssetPath]) -> Iterator[AssetRecord]:
        return map(record_of, self._execute(self._rows.assets().where(column.in_(values))))

    _find_at = _counted(BaseSnapshot.at)
    _find_aligned = _counted(BaseSnapshot.aligned_at)
    with_id = _counted(BaseSnapshot.with_id)
    with_embedded_id = _counted(BaseSnapshot.with_embedded_id)
    lagging = _counted(BaseSnapshot.lagging)

    @_counted
    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """Return everything in the way of a file at this path, in one statement."""
        key = self.names.key(path)
        parts = key.split("/")
        here_and_above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        every, at = self._rows.assets(), AssetRow.path_key
        # "0" is the character after "/", and keys are sorted by their bytes.
        below = every.where(at >= f"{key}/", at < f"{key}0")
        # Two statements in one: an OR of both would be answered by a walk over the whole project.
        found = self._execute(union_all(every.where(at.in_(here_and_above)), below))
        return [record_of(row) for row in sorted(found, key=lambda row: row.path)]

    @_counted
    def is_used(self, asset_id: AssetId) -> bool:
        """Return whether an asset has, or had, this id."""
        used = self._rows.used_ids().where(UsedIdRow.asset_id == asset_id)
        return self._execute(used).first() is not None

    def used_ids(self) -> Mapping[AssetId, AssetPath | None]:
        """Return every id that an asset has, or had, with where it is used again, if anywhere."""
        return {row.asset_id: row.path for row in self._execute(self._rows.used_ids())}

    former_id = _counted(BaseSnapshot.former_id)

    def released_at(self, path: AssetPath) -> AssetId | None:
        """Return the id that was released last at this path."""
        row = self._execute(self._rows.used_ids().where(UsedIdRow.path == path)).first()
        return None if row is None else row.asset_id

    def records(self) -> Iterator[AssetRecord]:
        """Return every asset, by id; rows are fetched as they are taken."""
        found = self._rows.assets().order_by(AssetRow.id)
        with store_errors(self._rows.project_id):
            rows = self._rows.session.execute(found.execution_options(yield_per=_BATCH))
            yield from map(record_of, rows)

    def saved_resolutions(self) -> Sequence[SavedResolution]:
        """Return the saved resolutions, by asset id, in one statement."""
        name = ResolutionRow.name
        # "0" is the character after "/", and names are sorted by their bytes.
        saved = name >= resolution_name(AssetId("")), name < "resolution0"
        mine = ResolutionRow.project_id == self._rows.project_id
        found = select(ResolutionRow.text).where(mine, *saved).order_by(name)
        return [resolution_of(text) for text in self._execute(found).scalars()]

    @property
    def moment(self) -> AnyRow:
        """The project's own row: its fence, its edition and its settings."""
        return self._rows.row

    def state(self) -> StoreState:
        """Return the recorded state."""
        row = self._rows.row
        return StoreState(**{name: getattr(row, name) for name in _STATE})

    def log(self) -> Sequence[LoggedPull]:
        """Return the retained log, newest first."""
        return self._log()

    def logged(self, number: int) -> LoggedPull | None:
        """Return the log entry of this number, if it is retained."""
        return next(iter(self._log(PullRow.number == number)), None)

    def _log(self, *conditions: Any) -> list[LoggedPull]:
        found = select(PullRow.number, PullRow.plan, PullRow.at, PullRow.undone).where(
            PullRow.project_id == self._rows.project_id, PullRow.plan.is_not(None), *conditions
        )
        return [self._logged(row) for row in self._execute(found.order_by(PullRow.number.desc()))]

    def _logged(self, row: AnyRow) -> LoggedPull:
        try:
            plan = load_plan(row.plan)
        except InvalidPlan as error:
            raise StoreDamaged(project=self.project, problem=error.message) from error
        return LoggedPull(number=row.number, plan=plan, at=row.at, undone=row.undone)

    def _execute(self, statement: Executable) -> Result[Any]:
        return self._rows.execute(statement)

    # --- the whole project --------------------------------------------------------------------

    def _index(self) -> AssetIndex | None:
        """Return the whole project, once it is small beside the number of lookups."""
        if self._whole is None and self._caches:
            self._lookups += 1
            if self._lookups == self._next_count:
                self._next_count *= 2
                if self._has_at_most(4 * self._lookups):
                    self._whole = AssetIndex(self.records(), names=self.names, used=self.used_ids())
        return self._whole

    def _has_at_most(self, number: int) -> bool:
        """Return whether the project has no more assets or used ids than this."""
        for every in (self._rows.assets(), self._rows.used_ids()):
            counted = every.with_only_columns(literal(1)).limit(number + 1).subquery()
            if self._execute(select(func.count()).select_from(counted)).scalar_one() > number:
                return False
        return True
