"""Syncs from rows, each with the end of its last run, in one statement a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID, uuid5

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, Select, and_, case, func, inspect, select
from sqlalchemy.orm import Session, aliased

from towline.codec import decode, encode
from towline.kinds import Kinds
from towline_server.db.clock import database_now
from towline_server.db.statements import batches
from towline_server.projects.asset_tables import AssetEventRow
from towline_server.projects.connection_tables import ConnectionRow
from towline_server.projects.domain import Provider
from towline_server.projects.tables import ProjectRow
from towline_server.runs.domain import RunMode
from towline_server.runs.schedules import is_late
from towline_server.runs.states import ResultClass, RunState
from towline_server.runs.tables import RunRow

from .domain import (
    Definition,
    LoadMode,
    SavedSync,
    SyncStatus,
    TableBinding,
    TableChoice,
)
from .tables import SyncRow, SyncTableRow

_LAST = aliased(RunRow)

# A dry run tries a sync out: it is neither a success nor a failure of it.
_MINE = and_(
    RunRow.sync_id == SyncRow.id, RunRow.parent_id.is_(None), RunRow.mode != str(RunMode.DRY_RUN)
)
_LAST_ID = (
    select(RunRow.id)
    .where(_MINE, RunRow.completed_at.is_not(None))
    .order_by(RunRow.completed_at.desc(), RunRow.attempt.desc(), RunRow.id)
    .limit(1)
    .correlate(SyncRow)
    .scalar_subquery()
)
_LAST_SUCCESS = (
    select(func.max(RunRow.completed_at))
    .where(_MINE, RunRow.state == str(RunState.SUCCEEDED))
    .correlate(SyncRow)
    .scalar_subquery()
)

SHOWN_STATUS: ColumnElement[str] = case(
    (
        and_(
            SyncRow.status.in_([str(SyncStatus.DRAFT), str(SyncStatus.ACTIVE)]),
            _LAST.result_class == str(ResultClass.PERMANENT_FAILURE),
            _LAST.completed_at >= SyncRow.status_since,
        ),
        str(SyncStatus.ERROR),
    ),
    else_=SyncRow.status,
)
"""The status that is shown of a sync; ``paused`` and ``archived`` are shown as they were set."""


EVENT_TABLE: Mapping[str, Any] = MappingProxyType(
    {
        "physical_table_name": AssetEventRow.__tablename__,
        "cursor_field": AssetEventRow.sequence.key,
        "primary_key_columns": tuple(key.name for key in inspect(AssetEventRow).primary_key),
    }
)
"""What is so of every table that changes are appended to: all are in one table of the database."""

_COLUMNS = {each.name for each in fields(Definition)} - {"slug", "status", "table_bindings"}
_DEFINITION = TypeAdapter(Definition)
_Found: TypeAlias = Row[*tuple[Any, ...]]


def select_syncs() -> Select[*tuple[Any, ...]]:
    """Select syncs with all that `syncs_of` needs; conditions may name `ConnectionRow` too."""
    return (
        select(
            SyncRow,
            ConnectionRow.provider,
            ProjectRow.kinds,
            SHOWN_STATUS,
            case((_LAST.state == str(RunState.FAILED), _LAST.error_message)),
            _LAST_SUCCESS,
        )
        .join(ConnectionRow, ConnectionRow.id == SyncRow.connection_id)
        .outerjoin(ProjectRow, ProjectRow.id == SyncRow.project_id)
        .outerjoin(_LAST, _LAST.id == _LAST_ID)
    )


def syncs_of(session: Session, rows: Sequence[_Found], now: datetime) -> tuple[SavedSync, ...]:
    """Return the syncs that rows of `select_syncs` contain."""
    ids = [row[0].id for row in rows]
    chosen: dict[UUID, list[SyncTableRow]] = {each: [] for each in ids}
    for some in batches(ids):
        wanted = select(SyncTableRow).where(SyncTableRow.sync_id.in_(some))
        for table in session.scalars(wanted.order_by(SyncTableRow.entity_key)):
            chosen[table.sync_id].append(table)
    return tuple(_sync(row, chosen[row[0].id], now) for row in rows)


def _sync(found: _Found, chosen: Sequence[SyncTableRow], now: datetime) -> SavedSync:
    row, provider, kinds, status, error, succeeded = found
    names = [] if kinds is None else [kind.name for kind in decode(Kinds, kinds, "kinds").kinds]
    return SavedSync(
        id=row.id,
        tenant_id=row.tenant_id,
        connection_id=row.connection_id,
        project_id=row.project_id,
        provider=Provider(provider),
        shown_status=SyncStatus(status),
        tables=_tables(row, names, chosen),
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        last_success_at=succeeded,
        last_error=error,
        is_late=SyncStatus(row.status).fires
        and is_late(succeeded, row.status_since, row.freshness_sla_seconds, now),
        **_definition(row, chosen),
    )


def _definition(row: SyncRow, chosen: Sequence[SyncTableRow]) -> dict[str, Any]:
    """Return the fields of the definition that a row stores."""
    stored = {name: getattr(row, name) for name in ("slug", "status", *_COLUMNS)}
    definition = _DEFINITION.validate_python({**stored, "table_bindings": _choices(chosen)})
    return {each.name: getattr(definition, each.name) for each in fields(definition)}


def _choices(chosen: Sequence[SyncTableRow]) -> tuple[TableChoice, ...]:
    return tuple(decode(TableChoice, each.choice, "choice") for each in chosen)


def write(row: SyncRow, definition: Definition) -> None:
    """Write a definition to its row, but for its slug, its status and its tables."""
    for name, value in _DEFINITION.dump_python(definition, mode="json", include=_COLUMNS).items():
        setattr(row, name, value)


def write_tables(
    session: Session, sync_id: UUID, choices: Sequence[TableChoice], now: datetime
) -> None:
    """Write the tables that a definition names; one that is unchanged retains its times."""
    mine = select(SyncTableRow).where(SyncTableRow.sync_id == sync_id)
    before = {table.entity_key: table for table in session.scalars(mine)}
    for choice in choices:
        table = before.pop(choice.entity_key, None)
        encoded = encode(choice)
        if table is None:
            key = choice.entity_key
            table = SyncTableRow(sync_id=sync_id, entity_key=key, created_at=now)
            session.add(table)
        elif table.choice == encoded:
            continue
        table.choice, table.updated_at = encoded, now
    for table in before.values():
        session.delete(table)


def _tables(
    row: SyncRow, kinds: Sequence[str], chosen: Sequence[SyncTableRow]
) -> tuple[TableBinding, ...]:
    """Return a table for each kind that is pulled; one that the owner did not set has defaults."""
    by_kind = {table.entity_key: table for table in chosen}
    pulled = [kind for kind in kinds if not row.entities or kind in row.entities]
    # Without a project there are the kinds that were named.
    return tuple(
        _table(row, kind, by_kind.get(kind))
        for kind in pulled or {**dict.fromkeys(row.entities), **by_kind}
    )


def _table(row: SyncRow, kind: str, table: SyncTableRow | None) -> TableBinding:
    choice = TableChoice(entity_key=kind)
    if table is not None:
        [choice] = _choices([table])
    logical = choice.logical_table_name or choice.table_name or kind
    filled = {
        "table_name": choice.table_name or logical,
        "logical_table_name": logical,
        "physical_table_name": choice.physical_table_name or f"{row.slug}__{kind}",
        "primary_key_columns": choice.primary_key_columns or ("asset_id",),
        "source_instance_key": choice.source_instance_key or str(row.connection_id),
    }
    if choice.load_mode is LoadMode.APPEND_EVENT:
        filled |= EVENT_TABLE
    return TableBinding(
        id=uuid5(row.id, kind),
        created_at=row.created_at if table is None else table.created_at,
        updated_at=row.created_at if table is None else table.updated_at,
        **{each.name: getattr(choice, each.name) for each in fields(choice)} | filled,
    )


def sync_gauges(session: Session) -> Iterable[Metric]:
    """Measure the syncs whose last success is longer ago than their freshness allows."""
    wanted = select_syncs().where(SyncRow.freshness_sla_seconds.is_not(None))
    syncs = syncs_of(session, session.execute(wanted).all(), database_now(session))
    yield GaugeMetricFamily(
        "towline_syncs_late",
        "Syncs whose last success is longer ago than they allow.",
        value=sum(sync.is_late for sync in syncs),
    )
