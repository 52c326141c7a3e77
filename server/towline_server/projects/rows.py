"""Asset records to rows and back."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, Select, select

from towline.model import AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.plan import StoreState
from towline.records import AssetRecord

from .asset_tables import Asset
from .tables import Project

Columns: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


def select_assets() -> Columns:
    """The columns that `record_of` reads, of every asset."""
    return select(
        Asset.id,
        Asset.kind,
        Asset.path,
        Asset.digest,
        Asset.executable,
        Asset.base_path,
        Asset.base_digest,
        Asset.base_executable,
        Asset.seen_path,
        Asset.seen_digest,
        Asset.seen_executable,
        Asset.seen_reason,
        Asset.size,
        Asset.embedded_id,
    )


def record_of(row: AnyRow) -> AssetRecord:
    """The record that a row of `select_assets` holds."""
    return AssetRecord(
        id=row.id,
        kind=row.kind,
        ours=_state(row.path, row.digest, executable=row.executable),
        base=_state(row.base_path, row.base_digest, executable=row.base_executable),
        recorded=_seen(row),
        size=row.size,
        embedded_id=row.embedded_id,
    )


def _state(path: AssetPath | None, digest: Digest | None, *, executable: bool) -> AssetState | None:
    if path is None or digest is None:
        return None
    return AssetState(path=path, digest=digest, executable=executable)


def _seen(row: AnyRow) -> AssetState | NonAsset | None:
    if row.seen_reason is not None:
        return NonAsset(path=row.seen_path, reason=NonAssetReason(row.seen_reason))
    return _state(row.seen_path, row.seen_digest, executable=row.seen_executable)


def row_of(project_id: UUID, record: AssetRecord, names: NamePolicy) -> dict[str, Any]:
    """The values of the row that holds a record."""
    ours, seen = record.ours, record.recorded
    return {
        "project_id": project_id,
        "id": record.id,
        "kind": record.kind,
        **_columns("", ours),
        "path_key": None if ours is None else names.key(ours.path),
        **_columns("base_", record.base),
        **_columns("seen_", seen if isinstance(seen, AssetState) else None),
        **({"seen_path": seen.path} if isinstance(seen, NonAsset) else {}),
        "seen_reason": str(seen.reason) if isinstance(seen, NonAsset) else None,
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


def select_state() -> Columns:
    """The columns that `state_of` reads, of every project."""
    return select(
        Project.base,
        Project.fingerprint,
        Project.scope,
        Project.tracked,
        Project.tracked_bytes,
    )


def state_of(row: AnyRow) -> StoreState:
    """The store's summary that a row of `select_state` holds."""
    return StoreState(
        base=row.base,
        fingerprint=row.fingerprint,
        scope=row.scope,
        tracked=row.tracked,
        tracked_bytes=row.tracked_bytes,
    )
