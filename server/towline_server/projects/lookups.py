"""A project's lookups from rows, in one session (`towline.ports.Snapshot`).

A lookup is one statement that an index answers. After 64 lookups, 128, 256 and so on, a project of
no more than four assets a lookup is read as a whole instead. So a first pull of a thousand assets
does not cost thousands of statements, nor a small change a walk over a large project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Result, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from towline.errors import InvalidPlan, StoreDamaged
from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath, Digest
from towline.plan import Plan, StoreState
from towline.planfile import load_plan
from towline.ports import LoggedPull
from towline.records import AssetRecord, Occupant

from .asset_tables import Asset, Pull, UsedId
from .contents import Contents
from .guard import guarded
from .heads import Head
from .locking import standing
from .rows import Columns, record_of, select_assets

_BATCH = 1000


class SqlSnapshot:
    """The lookups over one session; a session of `Database.reading` sees one moment.

    ``caches``: nothing is written in the session meanwhile, so that what was read may be reused.
    Few rows are sorted here: asked for an order, SQLite walks the whole project in that order
    rather than use the index that finds them.
    """

    def __init__(
        self, session: Session, project_id: UUID, head: Head, *, caches: bool = True
    ) -> None:
        self.project = head.project
        self.kinds = head.kinds
        self.names = head.names
        self._session = session
        self._project_id = project_id
        self._caches = caches
        self._lookups = 0
        self._next_count = 64
        self._whole: AssetIndex | None = None

    def at(self, path: AssetPath) -> AssetRecord | None:
        if (index := self._index()) is not None:
            return index.at(path)
        return self._first(self._assets().where(Asset.path == path))

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        if (index := self._index()) is not None:
            return index.aligned_at(path)
        return self._first(self._assets().where(Asset.aligned_path == path).limit(1))

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        if (index := self._index()) is not None:
            return index.with_id(asset_id)
        return self._first(self._assets().where(Asset.id == asset_id))

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        if (index := self._index()) is not None:
            return index.with_embedded_id(embedded_id)
        found = self._all(self._assets().where(Asset.embedded_id == embedded_id))
        return sorted(found, key=lambda record: record.id)

    def lagging(self) -> Sequence[AssetRecord]:
        if (index := self._index()) is not None:
            return index.lagging()
        return self._all(self._assets().where(Asset.lagging.is_(True)).order_by(Asset.id))

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        if (index := self._index()) is not None:
            return index.occupants(path)
        key = self.names.key(path)
        found = self._all(_against(self._assets(), Asset.path_key, key))
        return sorted(found, key=lambda record: record.ours.path if record.ours else "")

    def is_used(self, asset_id: AssetId) -> bool:
        if (index := self._index()) is not None:
            return index.is_used(asset_id)
        return self._rows(self._used().where(UsedId.asset_id == asset_id)).first() is not None

    def records(self) -> Iterator[AssetRecord]:
        """Every asset, by id; rows are fetched as they are taken."""
        found = self._assets().order_by(Asset.id).execution_options(yield_per=_BATCH)
        with guarded(self._project_id):
            yield from map(record_of, self._session.execute(found))

    def state(self) -> StoreState:
        return self._state if self._caches else self._read_state()

    @cached_property
    def _state(self) -> StoreState:
        return self._read_state()

    def _read_state(self) -> StoreState:
        with guarded(self._project_id):
            return standing(self._session, self._project_id).state

    def read(self, digest: Digest) -> bytes | None:
        with guarded(self._project_id):
            return Contents(self._session, self._project_id).read(digest)

    def log(self, number: int | None = None) -> Sequence[LoggedPull]:
        """The retained log, newest first; with a number, that entry alone."""
        found = select(Pull.number, Pull.plan, Pull.at, Pull.undone).where(
            Pull.project_id == self._project_id, Pull.plan.is_not(None)
        )
        if number is not None:
            found = found.where(Pull.number == number)
        return [
            LoggedPull(number=row.number, plan=self._plan(row.plan), at=row.at, undone=row.undone)
            for row in self._rows(found.order_by(Pull.number.desc()))
        ]

    def _plan(self, document: str) -> Plan:
        try:
            return load_plan(document)
        except InvalidPlan as error:
            raise StoreDamaged(project=self.project, problem=error.message) from error

    # --- the whole project --------------------------------------------------------------------

    def _index(self) -> AssetIndex | None:
        """The whole project, once it is small beside the number of lookups."""
        if self._whole is None and self._caches:
            self._lookups += 1
            if self._lookups == self._next_count:
                self._next_count *= 2
                if self._has_at_most(4 * self._lookups):
                    self._whole = self._read_whole()
        return self._whole

    def _read_whole(self) -> AssetIndex:
        return AssetIndex(
            self.records(),
            names=self.names,
            used=[row.asset_id for row in self._rows(self._used())],
        )

    def _has_at_most(self, number: int) -> bool:
        """Whether the project has no more assets or used ids than this."""
        for every in (self._assets(), self._used()):
            counted = every.with_only_columns(literal(1)).limit(number + 1).subquery()
            if self._rows(select(func.count()).select_from(counted)).scalar_one() > number:
                return False
        return True

    # --- statements ---------------------------------------------------------------------------

    def _assets(self) -> Columns:
        return select_assets().where(Asset.project_id == self._project_id)

    def _used(self) -> Columns:
        return select(UsedId.asset_id).where(UsedId.project_id == self._project_id)

    def _first(self, statement: Columns) -> AssetRecord | None:
        row = self._rows(statement).first()
        return None if row is None else record_of(row)

    def _all(self, statement: Executable) -> list[AssetRecord]:
        return [record_of(row) for row in self._rows(statement)]

    def _rows(self, statement: Executable) -> Result[Any]:
        with guarded(self._project_id):
            return self._session.execute(statement)


def _against(every: Columns, at: InstrumentedAttribute[Any], key: str) -> Executable:
    """What stands at a key, at one of its folders' keys, or below it."""
    parts = key.split("/")
    here_and_above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    # "0" is the character after "/", and keys are sorted by their bytes.
    below = every.where(at >= f"{key}/", at < f"{key}0")
    # Two statements in one: an OR of both would be answered by a walk over the whole project.
    return union_all(every.where(at.in_(here_and_above)), below)
