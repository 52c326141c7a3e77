"""Syncs from rows, each with how its last run ended, in one statement a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid5

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import ColumnElement, Row, Select, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from towline.codec import decode, encode
from towline.kinds import Kinds
from towline_server.db.clock import database_now
from towline_server.db.statements import batches
from towline_server.projects.connection_tables import Connection
from towline_server.projects.domain import Provider
from towline_server.projects.tables import Project
from towline_server.runs.domain import BackendName, RunMode
from towline_server.runs.schedules import is_late
from towline_server.runs.states import ResultClass, RunState
from towline_server.runs.tables import Run

from . import tables
from .domain import (
    Definition,
    ExecutionMode,
    Status,
    Sync,
    TableBinding,
    TableChoice,
    TriggerMode,
)

_LAST = aliased(Run)

# A dry run tries a sync out: it is neither a success nor a failure of it.
_MINE = and_(
    Run.sync_id == tables.Sync.id, Run.parent_id.is_(None), Run.mode != str(RunMode.DRY_RUN)
)
_LAST_ID = (
    select(Run.id)
    .where(_MINE, Run.completed_at.is_not(None))
    .order_by(Run.completed_at.desc(), Run.attempt.desc(), Run.id)
    .limit(1)
    .correlate(tables.Sync)
    .scalar_subquery()
)
_LAST_SUCCESS = (
    select(func.max(Run.completed_at))
    .where(_MINE, Run.state == str(RunState.SUCCEEDED))
    .correlate(tables.Sync)
    .scalar_subquery()
)

SHOWN_STATUS: ColumnElement[str] = case(
    (
        and_(
            tables.Sync.status.in_([str(Status.DRAFT), str(Status.ACTIVE)]),
            _LAST.result_class == str(ResultClass.PERMANENT_FAILURE),
            _LAST.completed_at >= tables.Sync.status_since,
        ),
        str(Status.ERROR),
    ),
    else_=tables.Sync.status,
)
"""What a sync's status is told to be. Whoever paused one, or put it away, finds it so."""


_Found: TypeAlias = Row[*tuple[Any, ...]]


def select_syncs() -> Select[*tuple[Any, ...]]:
    """Syncs with all that `syncs_of` needs; conditions may name `Connection` and what is here."""
    return (
        select(
            tables.Sync,
            Connection.provider,
            Project.kinds,
            SHOWN_STATUS,
            case((_LAST.state == str(RunState.FAILED), _LAST.error_message)),
            _LAST_SUCCESS,
        )
        .join(Connection, Connection.id == tables.Sync.connection_id)
        .outerjoin(Project, Project.id == tables.Sync.project_id)
        .outerjoin(_LAST, _LAST.id == _LAST_ID)
    )


def syncs_of(session: Session, rows: Sequence[_Found], now: datetime) -> tuple[Sync, ...]:
    """The syncs that rows of `select_syncs` hold."""
    ids = [row[0].id for row in rows]
    chosen: dict[UUID, list[tables.SyncTable]] = {each: [] for each in ids}
    for some in batches(ids):
        wanted = select(tables.SyncTable).where(tables.SyncTable.sync_id.in_(some))
        for table in session.scalars(wanted.order_by(tables.SyncTable.entity_key)):
            chosen[table.sync_id].append(table)
    return tuple(_sync(row, chosen[row[0].id], now) for row in rows)


def _sync(found: _Found, chosen: Sequence[tables.SyncTable], now: datetime) -> Sync:
    row, provider, kinds, status, error, succeeded = found
    definition = definition_of(row, chosen)
    names = [] if kinds is None else [kind.name for kind in decode(Kinds, kinds, "kinds").kinds]
    return Sync(
        id=row.id,
        tenant_id=row.tenant_id,
        connection_id=row.connection_id,
        project_id=row.project_id,
        provider=Provider(provider),
        definition=definition,
        slug=row.slug,
        status=Status(status),
        tables=_tables(row, names, chosen),
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        last_success_at=succeeded,
        last_error=error,
        is_late=Status(row.status).fires
        and is_late(succeeded, row.status_since, row.freshness_sla_seconds, now),
    )


def definition_of(row: tables.Sync, chosen: Sequence[tables.SyncTable]) -> Definition:
    """What a sync's owner set."""
    return Definition(
        name=row.name,
        slug=row.slug,
        status=Status(row.status),
        source_config=row.source_config,
        destination_config=row.destination_config,
        execution_config=row.execution_config,
        entities=tuple(row.entities),
        execution_backend=BackendName(row.execution_backend),
        execution_mode=ExecutionMode(row.execution_mode),
        trigger_mode=TriggerMode(row.trigger_mode),
        schedule=row.schedule,
        freshness_sla_seconds=row.freshness_sla_seconds,
        table_bindings=tuple(decode(TableChoice, each.choice, "choice") for each in chosen),
    )


def write(row: tables.Sync, definition: Definition) -> None:
    """Put what a sync's owner set into its row, but for its slug, its status and its tables."""
    row.name = definition.name
    row.source_config = dict(definition.source_config)
    row.destination_config = dict(definition.destination_config)
    row.execution_config = dict(definition.execution_config)
    row.entities = list(definition.entities)
    row.execution_backend = str(definition.execution_backend)
    row.execution_mode = str(definition.execution_mode)
    row.trigger_mode = str(definition.trigger_mode)
    row.schedule = None if definition.schedule is None else dict(definition.schedule)
    row.freshness_sla_seconds = definition.freshness_sla_seconds


def write_tables(
    session: Session, sync_id: UUID, choices: Sequence[TableChoice], now: datetime
) -> None:
    """Keep what was said of each table; one that is said the same again stays as it was."""
    mine = select(tables.SyncTable).where(tables.SyncTable.sync_id == sync_id)
    before = {table.entity_key: table for table in session.scalars(mine)}
    for choice in choices:
        table = before.pop(choice.entity_key, None)
        said = encode(choice)
        if table is None:
            key = choice.entity_key
            table = tables.SyncTable(sync_id=sync_id, entity_key=key, created_at=now)
            session.add(table)
        elif table.choice == said:
            continue
        table.choice, table.updated_at = said, now
    for table in before.values():
        session.delete(table)


def _tables(
    row: tables.Sync, kinds: Sequence[str], chosen: Sequence[tables.SyncTable]
) -> tuple[TableBinding, ...]:
    """One a kind that is pulled. Of what nobody spoke, the sync's own times are told."""
    said = {table.entity_key: table for table in chosen}
    pulled = [kind for kind in kinds if not row.entities or kind in row.entities]
    # Where no project is settled yet, there are the kinds that were named.
    return tuple(
        _table(row, kind, said.get(kind))
        for kind in pulled or {**dict.fromkeys(row.entities), **said}
    )


def _table(row: tables.Sync, kind: str, said: tables.SyncTable | None) -> TableBinding:
    choice = TableChoice(entity_key=kind)
    if said is not None:
        choice = decode(TableChoice, said.choice, "choice")
    logical = choice.logical_table_name or choice.table_name or kind
    filled = replace(
        choice,
        table_name=choice.table_name or logical,
        logical_table_name=logical,
        physical_table_name=choice.physical_table_name or f"{row.slug}__{kind}",
        source_instance_key=choice.source_instance_key or str(row.connection_id),
    )
    times = row if said is None else said
    return TableBinding(
        id=uuid5(row.id, kind),
        choice=filled,
        created_at=times.created_at,
        updated_at=times.updated_at if said is not None else row.created_at,
    )


def sync_gauges(session: Session) -> Iterable[Metric]:
    """The syncs whose last success is longer ago than their freshness allows."""
    wanted = select_syncs().where(tables.Sync.freshness_sla_seconds.is_not(None))
    syncs = syncs_of(session, session.execute(wanted).all(), database_now(session))
    yield GaugeMetricFamily(
        "towline_syncs_late",
        "Syncs whose last success is longer ago than they allow.",
        value=sum(sync.is_late for sync in syncs),
    )
