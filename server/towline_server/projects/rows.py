"""The codec between asset records and rows."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, Select, select

from towline.model import AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.records import AssetRecord

from .asset_tables import AssetRow

Columns: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


def select_assets() -> Columns:
    """Select the columns that `record_of` reads."""
    found_by = {"project_id", "path_key", "aligned_path", "lagging"}
    return select(*(each for each in AssetRow.__table__.columns if each.name not in found_by))


def record_of(row: AnyRow) -> AssetRecord:
    """Return the record in a row of `select_assets`."""
    recorded: AssetState | NonAsset | None
    if row.seen_reason is not None:
        recorded = NonAsset(path=row.seen_path, reason=NonAssetReason(row.seen_reason))
    else:
        recorded = state_of(row.seen_path, row.seen_digest, executable=row.seen_executable)
    return AssetRecord(
        id=row.id,
        kind=row.kind,
        ours=state_of(row.path, row.digest, executable=row.executable),
        base=state_of(row.base_path, row.base_digest, executable=row.base_executable),
        recorded=recorded,
        size=row.size,
        embedded_id=row.embedded_id,
    )


def state_of(
    path: AssetPath | None, digest: Digest | None, *, executable: bool
) -> AssetState | None:
    """Return the state in some columns of a row; None: they have none."""
    if path is None or digest is None:
        return None
    return AssetState(path=path, digest=digest, executable=executable)


def row_of(project_id: UUID, record: AssetRecord, names: NamePolicy) -> dict[str, Any]:
    """Return the values of the row of a record."""
    ours, recorded = record.ours, record.recorded
    not_asset = recorded if isinstance(recorded, NonAsset) else None
    return {
        "project_id": project_id,
        "id": record.id,
        "kind": record.kind,
        **_columns("", ours),
        "path_key": None if ours is None else names.key(ours.path),
        **_columns("base_", record.base),
        **_columns("seen_", recorded if isinstance(recorded, AssetState) else None),
        **({} if not_asset is None else {"seen_path": not_asset.path}),
        "seen_reason": None if not_asset is None else str(not_asset.reason),
        "aligned_path": record.aligned_path,
        "lagging": record.lagging,
        "size": record.size,
        "embedded_id": record.embedded_id,
    }


def _columns(prefix: str, state: AssetState | None) -> dict[str, Any]:
    return {
        f"{prefix}path": None if state is None else state.path,
        f"{prefix}digest": None if state is None else state.digest,
        f"{prefix}executable": state is not None and state.executable,
    }
