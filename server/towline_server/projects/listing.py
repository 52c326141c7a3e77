"""The assets of a project as a list: those that have a path, a page at a time."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState
from towline.records import AssetRecord

from .asset_tables import AssetRow, BlobRow
from .rows import AnyRow, record_of, select_assets


@frozen(kw_only=True)
class ListFilter:
    """Which assets a list shows: those that fit every field that is set."""

    kind: str | None = None
    prefix: str | None = None
    """What their paths start with, case-sensitive."""


@frozen(kw_only=True)
class ProjectAsset:
    """An asset that the project has, and the size of its content in bytes."""

    record: AssetRecord
    state: AssetState
    size: int


@frozen(kw_only=True)
class AssetPage:
    """Some of a list, and how long it is in all."""

    assets: tuple[ProjectAsset, ...]
    total: int


class AssetList:
    """The assets of one project, in a session."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def page(self, wanted: ListFilter, *, limit: int, offset: int = 0) -> AssetPage:
        """The assets that fit, by path."""
        where = self._where(wanted)
        total = self._session.scalar(select(func.count()).select_from(AssetRow).where(*where)) or 0
        found = _SELECT.where(*where).order_by(AssetRow.path).limit(limit).offset(offset)
        assets = tuple(_asset_of(row) for row in self._session.execute(found))
        return AssetPage(assets=assets, total=total)

    def with_id(self, asset_id: str) -> ProjectAsset | None:
        """Return the asset of this id, if it has a path."""
        return self._one(AssetRow.id == AssetId(asset_id))

    def at(self, path: AssetPath) -> ProjectAsset | None:
        """The asset at exactly this path."""
        return self._one(AssetRow.path == path)

    def _one(self, condition: ColumnElement[bool]) -> ProjectAsset | None:
        row = self._session.execute(_SELECT.where(*self._where(ListFilter()), condition)).first()
        return None if row is None else _asset_of(row)

    def _where(self, wanted: ListFilter) -> list[ColumnElement[bool]]:
        found = [AssetRow.project_id == self._project_id, AssetRow.path.is_not(None)]
        if wanted.kind is not None:
            found.append(AssetRow.kind == wanted.kind)
        if wanted.prefix:
            # By length: LIKE would ignore case on SQLite.
            found.append(func.substr(AssetRow.path, 1, len(wanted.prefix)) == wanted.prefix)
        return found


_SELECT = (
    select_assets()
    .add_columns(BlobRow.size.label("bytes"))
    .join(
        BlobRow, and_(BlobRow.project_id == AssetRow.project_id, BlobRow.digest == AssetRow.digest)
    )
)


def _asset_of(row: AnyRow) -> ProjectAsset:
    record = record_of(row)
    assert record.ours is not None, "only rows with a path are selected"
    return ProjectAsset(record=record, state=record.ours, size=row.bytes)
