"""The lookups of the merge and the checks (`towline.records.AssetLookup`), answered from rows.

Every question is one statement that an index answers. Many questions are dearer than reading the
whole project once, if it is small beside them; `FrugalOurs` finds out. So a first pull of a
thousand assets does not cost thousands of statements, nor a small change a walk over a large
project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath
from towline.names import NamePolicy
from towline.records import AssetLookup, AssetRecord, LocalFile, Occupant

from . import asset_tables as tables
from .asset_tables import Asset, UsedId
from .rows import Columns, record_of, select_assets

_BATCH = 1000


class RowOurs:
    """The lookups over one session, each a statement.

    Few rows are sorted here: asked for an order, SQLite walks the whole project in that order
    rather than use the index that finds them.
    """

    def __init__(self, session: Session, project_id: UUID, names: NamePolicy) -> None:
        self._session = session
        self._project_id = project_id
        self._names = names
        self._any_files: bool | None = None

    def at(self, path: AssetPath) -> AssetRecord | None:
        """The asset that stands at exactly this path."""
        return self._first(self._assets().where(Asset.path == path))

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """The asset whose aligned path this is."""
        return self._first(self._assets().where(Asset.aligned_path == path).limit(1))

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """The asset of this id, as long as it has any state."""
        return self._first(self._assets().where(Asset.id == asset_id))

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        """The assets that embed this id at the recorded revision, by id."""
        found = self._all(self._assets().where(Asset.embedded_id == embedded_id))
        return sorted(found, key=lambda record: record.id)

    def lagging(self) -> Sequence[AssetRecord]:
        """The assets whose base is behind, by id."""
        return self._all(self._assets().where(Asset.lagging.is_(True)).order_by(Asset.id))

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """All that cannot stand together with a file at this path, by path."""
        key = self._names.key(path)
        found: list[Occupant] = []
        found += self._all(_against(self._assets(), Asset.path_key, key))
        if self._has_files():
            files = _against(self._files(), tables.LocalFile.path_key, key)
            found += [LocalFile(path=row.path) for row in self._session.execute(files)]
        return sorted(found, key=_path_of)

    def is_used(self, asset_id: AssetId) -> bool:
        """Whether this project has, or ever had, an asset of this id."""
        found = self._used().where(UsedId.asset_id == asset_id)
        return self._session.execute(found).first() is not None

    def records(self) -> Iterator[AssetRecord]:
        """Every asset, by id; rows are fetched as they are taken."""
        found = self._assets().order_by(Asset.id).execution_options(yield_per=_BATCH)
        return map(record_of, self._session.execute(found))

    def has_at_most(self, number: int) -> bool:
        """Whether the project has no more assets, and no more used ids, than this."""
        for every in (self._assets(), self._used(), self._files()):
            counted = every.with_only_columns(literal(1)).limit(number + 1).subquery()
            if (
                self._session.execute(select(func.count()).select_from(counted)).scalar_one()
                > number
            ):
                return False
        return True

    def used(self) -> list[AssetId]:
        """Every id that is not free."""
        return list(self._session.scalars(self._used()))

    def files(self) -> list[AssetPath]:
        """Every path at which something stands that is no asset."""
        return list(self._session.scalars(self._files()))

    def _has_files(self) -> bool:
        if self._any_files is None:
            self._any_files = self._session.execute(self._files().limit(1)).first() is not None
        return self._any_files

    def _files(self) -> Columns:
        files = tables.LocalFile
        return select(files.path).where(files.project_id == self._project_id)

    def _assets(self) -> Columns:
        return select_assets().where(Asset.project_id == self._project_id)

    def _used(self) -> Columns:
        return select(UsedId.asset_id).where(UsedId.project_id == self._project_id)

    def _first(self, statement: Columns) -> AssetRecord | None:
        row = self._session.execute(statement).first()
        return None if row is None else record_of(row)

    def _all(self, statement: Executable) -> list[AssetRecord]:
        return [record_of(row) for row in self._session.execute(statement)]


def _against(every: Columns, at: InstrumentedAttribute[Any], key: str) -> Executable:
    """What stands at a key, at one of its folders' keys, or below it."""
    parts = key.split("/")
    here_and_above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    # "0" is the character after "/", and keys are sorted by their bytes.
    below = every.where(at >= f"{key}/", at < f"{key}0")
    # Two statements in one: an OR of both would be answered by a walk over the whole project.
    return union_all(every.where(at.in_(here_and_above)), below)


def _path_of(occupant: Occupant) -> AssetPath:
    if isinstance(occupant, LocalFile):
        return occupant.path
    assert occupant.ours is not None, "it stands in the way"
    return occupant.ours.path


class FrugalOurs:
    """The same lookups at one moment, from the whole project once they were many.

    After 64 questions, 128, 256 and so on it counts, up to a bound: a project of no more than four
    assets a question is read in one go. What is read is so bounded by what was asked.
    """

    def __init__(self, rows: RowOurs, names: NamePolicy) -> None:
        self._rows = rows
        self._names = names
        self._asked = 0
        self._next = 64
        self._whole: AssetIndex | None = None

    def at(self, path: AssetPath) -> AssetRecord | None:
        """As `AssetLookup.at`."""
        return self._ours().at(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """As `AssetLookup.aligned_at`."""
        return self._ours().aligned_at(path)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """As `AssetLookup.with_id`."""
        return self._ours().with_id(asset_id)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        """As `AssetLookup.with_embedded_id`."""
        return self._ours().with_embedded_id(embedded_id)

    def lagging(self) -> Sequence[AssetRecord]:
        """As `AssetLookup.lagging`."""
        return self._ours().lagging()

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """As `AssetLookup.occupants`."""
        return self._ours().occupants(path)

    def is_used(self, asset_id: AssetId) -> bool:
        """As `AssetLookup.is_used`."""
        return self._ours().is_used(asset_id)

    def records(self) -> Iterator[AssetRecord]:
        """As `RowOurs.records`."""
        return self._rows.records()

    def _ours(self) -> AssetLookup:
        if self._whole is not None:
            return self._whole
        self._asked += 1
        if self._asked == self._next:
            self._next *= 2
            if self._rows.has_at_most(4 * self._asked):
                self._whole = self._read()
        return self._rows if self._whole is None else self._whole

    def _read(self) -> AssetIndex:
        return AssetIndex(
            self._rows.records(),
            files=self._rows.files(),
            names=self._names,
            used=self._rows.used(),
        )
